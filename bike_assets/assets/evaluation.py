"""The double evaluation: challenger, champion and seasonal naive on the same rows. The rule is in `core.decisions`."""

from dataclasses import dataclass
from datetime import date

import dagster as dg
import pandas as pd
from numpy.typing import ArrayLike

from bike_assets.core.decisions import Decision, Verdict, evaluate_challenger
from bike_assets.core.families import FAMILIES
from bike_assets.core.features import SEASONAL
from bike_assets.core.gain import Gain, gain_of
from bike_assets.core.schemas import EVALUATIONS
from bike_assets.core.scoring import Scores, score
from bike_assets.core.splits import TEST_BASELINE, TEST_CURRENT, Span
from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.resources.audit import append
from bike_assets.resources.queries.features import read_features
from bike_assets.resources.queries.splits import recorded_split
from bike_assets.resources.registry import Registry
from bike_assets.resources.tracking import CHALLENGER, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import trigger_of
from bike_assets.settings import Settings

SETS = {"baseline": TEST_BASELINE, "current": TEST_CURRENT}


@dg.asset(deps=list(FAMILIES), kinds={"onnx", "parquet"})
def double_evaluation(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    mlflow: dg.ResourceParam[Tracking],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Score challenger, champion and seasonal naive on both test sets a day ahead, decide, and record the verdict."""
    summary = registry.read()
    challenger = pick_challenger(summary)
    judged = _judge(warehouse, registry, challenger, summary.champion, settings)
    decision = _decide(challenger, summary, judged, settings)
    row = {**_audit_row(challenger, summary, judged, decision), **trigger_of(context)}
    versions = {**judged.hashes, "challenger": challenger.sha256[:16]}
    append(warehouse, EVALUATIONS, [row], run_id=context.run.run_id, settings=settings, data_versions=versions)
    is_champion = summary.champion is not None and summary.champion.version == challenger.version
    mlflow.set_alias(CHALLENGER, None if is_champion else challenger.version)
    shown = ("r2_baseline", "r2_current", "naive_r2_current", "gain", "gain_low", "gain_high", "gain_residual_share")
    return dg.MaterializeResult(
        metadata={
            "decision": str(decision.decision),
            "reason": decision.reason,
            "scores": dg.MetadataValue.md(_scoreboard(challenger, summary.champion, judged.scores)),
            "challenger_version": challenger.version,
            **{name: float(row[name]) for name in shown if row.get(name) is not None},
        }
    )


@dataclass(frozen=True)
class Judged:
    """The scores of challenger, champion and seasonal naive on the same rows.

    Attributes:
        scores: scores by role and set. A role is a prefix of audit columns; the challenger's is empty.
        gain: gain of the challenger over the champion on test_current; None without a champion.
        rows: number of scored rows by set.
        hashes: content hashes of the recorded sets.
        cut_on: newest whole day when test_current was cut.
        current_days: days from the end of the baseline to the end of test_current.
    """

    scores: dict[str, dict[str, Scores]]
    gain: Gain | None
    rows: dict[str, int]
    hashes: dict[str, str]
    cut_on: date
    current_days: int


def _judge(
    warehouse: Warehouse,
    registry: Registry,
    challenger: ModelEntry,
    champion: ModelEntry | None,
    settings: Settings,
) -> Judged:
    records = {short: _record(warehouse, name) for short, name in SETS.items()}
    rows = {short: _rows(warehouse, record, settings.left_out) for short, record in records.items()}
    forecasts: dict[str, dict[str, ArrayLike]] = {
        "": _forecasts(registry, challenger, rows),
        "naive_": {s: each[SEASONAL] for s, each in rows.items()},
    }
    if champion:
        forecasts["champion_"] = _forecasts(registry, champion, rows)
    scores = {
        role: {short: score(rows[short]["bike_count"], predicted) for short, predicted in by_set.items()}
        for role, by_set in forecasts.items()
    }
    current, gain = rows["current"], None
    if champion:
        challenger_forecasts, champion_forecasts = forecasts[""]["current"], forecasts["champion_"]["current"]
        gain = gain_of(current["day"], current["bike_count"], challenger_forecasts, champion_forecasts, settings.seed)
    return Judged(
        scores,
        gain,
        rows={short: len(each) for short, each in rows.items()},
        hashes={SETS[short]: record["content_hash"] for short, record in records.items()},
        cut_on=records["current"]["cut_on"],
        current_days=(records["current"]["last_day"] - records["baseline"]["last_day"]).days,
    )


def pick_challenger(summary: Summary) -> ModelEntry:
    """Return the best of the families' newest versions on test_current; a family with a withdrawn one is left out.

    Raises:
        dg.Failure: nothing was trained yet.
    """
    latest = [entry for name in FAMILIES if (entry := summary.latest(name)) and not entry.withdrawn]
    if not latest:
        raise dg.Failure("no model was trained yet: materialize a model family first", allow_retries=False)
    return max(latest, key=lambda entry: entry.scores[TEST_CURRENT]["r2"])


def _decide(challenger: ModelEntry, summary: Summary, judged: Judged, settings: Settings) -> Decision:
    if summary.champion and summary.champion.version == challenger.version:
        return Decision(Verdict.SKIP, f"version {challenger.version} is the champion already")
    return evaluate_challenger(
        judged.scores[""]["baseline"].r2,
        judged.scores[""]["current"].r2,
        judged.scores["champion_"]["current"].r2 if summary.champion else None,
        settings.evaluation_rule,
        (judged.gain.low, judged.gain.high) if judged.gain else None,
        judged.current_days,
    )


def _record(warehouse: Warehouse, name: str) -> dict:
    record = recorded_split(warehouse, name)
    if record is None:
        raise dg.Failure(f"{name} was not cut yet", allow_retries=False)
    return record


def _rows(warehouse: Warehouse, record: dict, left_out: list[str]) -> pd.DataFrame:
    return read_features(warehouse, [Span(record["first_day"], record["last_day"])], left_out, horizon=1)


def _forecasts(registry: Registry, entry: ModelEntry, rows: dict[str, pd.DataFrame]) -> dict[str, ArrayLike]:
    model = registry.load(entry)
    return {name: model.predict(each) for name, each in rows.items()}


def _audit_row(challenger: ModelEntry, summary: Summary, judged: Judged, decision: Decision) -> dict:
    figures = {
        f"{role}{metric}_{name}": getattr(each, metric)
        for role, by_set in judged.scores.items()
        for name, each in by_set.items()
        for metric in ("r2", "rmse")
    }
    return {
        "decided_on": judged.cut_on,
        "challenger_version": challenger.version,
        "challenger_family": challenger.family,
        "champion_version": summary.champion.version if summary.champion else 0,
        "decision": str(decision.decision),
        "reason": decision.reason,
        **figures,
        **(judged.gain.as_row() if judged.gain else {}),
        **{f"rows_{name}": number for name, number in judged.rows.items()},
    }


def _scoreboard(challenger: ModelEntry, champion: ModelEntry | None, scores: dict[str, dict[str, Scores]]) -> str:
    names = {"": f"challenger, version {challenger.version} ({challenger.family})", "naive_": "seasonal naive"}
    if champion:
        names["champion_"] = f"champion, version {champion.version} ({champion.family})"
    lines = ["| | R² baseline | R² current | RMSE baseline | RMSE current |", "|---|---|---|---|---|"]
    for role, by_set in scores.items():
        figures = [f"{by_set[name].r2:.4f}" for name in SETS] + [f"{by_set[name].rmse:.2f}" for name in SETS]
        lines.append(f"| {names[role]} | {' | '.join(figures)} |")
    return "\n".join(lines)
