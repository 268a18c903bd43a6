"""Metrics of retrain decisions, trainings, evaluations and deployments, and the bounds of the rules."""

from collections.abc import Iterator

import pandas as pd

from bike_assets.core.decisions import RetrainDecision, Verdict
from bike_assets.core.promotion import BY_EVALUATION
from bike_assets.core.schemas import DEPLOYMENTS, EVALUATIONS, RETRAIN_DECISIONS, TRAINING_RUNS
from bike_assets.exporter.names import Sample
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries import decisions, deployments, evaluations

TABLES = (DEPLOYMENTS, EVALUATIONS, RETRAIN_DECISIONS, TRAINING_RUNS)
BY_PERSON = "person"
BOUNDS = ("r2_floor", "min_gain", "r2_critical", "r2_warning", "drift_critical", "drift_warning", "rmse_limit")


def read_decisions(sources: Sources) -> Iterator[Sample]:
    """Return the figures of decisions. Counters start at 0, so that Prometheus sees the first event as an increase."""
    for bound in BOUNDS:
        yield Sample("bike_threshold", getattr(sources.settings, bound), (bound,))
    yield from _days(sources)
    yield from _trainings(sources)
    yield from _evaluations(sources)
    yield from _deployments(sources)


def _days(sources: Sources) -> Iterator[Sample]:
    counted = {row["decision"]: row["number"] for row in sources.rows(decisions.NUMBER_BY_DECISION)}
    newest = next(iter(sources.rows(decisions.NEWEST_DECISION)), None)
    for decision in RetrainDecision:
        yield Sample("bike_retrain_decisions_total", counted.get(decision, 0), (decision,))
        if newest:
            yield Sample("bike_retrain_decision", newest["decision"] == decision, (decision,))
    if newest:
        end = sources.end_of(newest["day"])
        held = newest["held_until"]
        yield Sample("bike_retrain_decision_end_timestamp_seconds", end)
        yield Sample("bike_behind_naive_streak", newest["days_behind_naive"] or 0)
        yield Sample("bike_retrain_held", held is not None)
        if held is not None:
            before = pd.Timestamp(held) - pd.Timedelta(days=1)
            yield Sample("bike_retrain_held_until_timestamp_seconds", sources.end_of(before))


def _trainings(sources: Sources) -> Iterator[Sample]:
    last: dict[str, float] = {}
    for row in sources.rows(evaluations.TRAININGS_BY_FAMILY):
        yield Sample("bike_training_runs_total", row["number"], (row["family"], row["status"], row["trigger"] or ""))
        last[row["status"]] = max(last.get(row["status"], 0), row["newest"].timestamp())
    for status, seconds in last.items():
        yield Sample("bike_training_last_timestamp_seconds", seconds, (status,))
    for row in sources.rows(evaluations.LAST_TRAININGS):
        yield Sample("bike_training_last_duration_seconds", row["seconds"], (row["family"],))


def _evaluations(sources: Sources) -> Iterator[Sample]:
    rows = {row["decision"]: row for row in sources.rows(evaluations.NUMBER_BY_DECISION)}
    for verdict in Verdict:
        row = rows.get(verdict)
        yield Sample("bike_evaluations_total", row["number"] if row else 0, (verdict,))
        if row:
            yield Sample("bike_evaluation_last_timestamp_seconds", row["newest"].timestamp(), (verdict,))


def _deployments(sources: Sources) -> Iterator[Sample]:
    """Deployments by an evaluation or by a person; the metrics do not show the person's name."""
    rows = sources.rows(deployments.NUMBER_BY_DECIDER)
    counted = dict.fromkeys((BY_EVALUATION, BY_PERSON), 0)
    for row in rows:
        counted[BY_EVALUATION if row["decided_by"] == BY_EVALUATION else BY_PERSON] += row["number"]
    for decided_by, number in counted.items():
        yield Sample("bike_deployments_total", number, (decided_by,))
    if rows:
        yield Sample("bike_deployment_last_timestamp_seconds", max(row["newest"] for row in rows).timestamp())
