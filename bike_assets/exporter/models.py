"""Metrics of the versions' scores: live and on both test sets, with the seasonal naive and the first champion."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from bike_assets.core.families import FAMILIES
from bike_assets.core.schemas import EVALUATIONS, PERFORMANCE
from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.exporter.names import Sample
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries.evaluations import NEWEST_CHALLENGE, NEWEST_EVALUATIONS, NEWEST_OF_VERSION
from bike_assets.resources.queries.performance import NEWEST_SCORES

TABLES = (PERFORMANCE, EVALUATIONS)
DATASETS = ("baseline", "current")
SCORES = ("r2", "rmse", "mae")


def read_models(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the models."""
    summary = sources.registry.read()
    yield from _live(sources)
    yield from _family_scores(summary)
    yield from _evaluation(sources, summary)
    if summary.champion:
        yield from _champion(sources, summary.champion)
    if summary.first_champion:
        yield from _role("first_champion", summary.first_champion)
        # Only the frozen test set still has the rows that the first champion was scored on.
        yield from _scores_by_dataset(
            "first_champion", {"baseline": _training_scores(summary.first_champion)["baseline"]}
        )


def _live(sources: Sources) -> Iterator[Sample]:
    rows = sources.rows(NEWEST_SCORES)
    for row in rows:
        labels = row["role"], "live", str(row["horizon_days"])
        yield Sample("bike_model_scored_rows", row["n"], labels)
        for name in SCORES:
            if row[name] is not None:
                yield Sample(f"bike_model_{name}", row[name], labels)
    if rows:
        yield Sample("bike_performance_end_timestamp_seconds", sources.end_of(rows[0]["day"]))


def _family_scores(summary: Summary) -> Iterator[Sample]:
    for family in FAMILIES:
        entry = summary.latest(family)
        for dataset in DATASETS if entry else ():
            scores = entry.scores[f"test_{dataset}"]  # type: ignore[union-attr]
            yield Sample("bike_model_family_r2", scores["r2"], (family, dataset))
            yield Sample("bike_model_family_rmse", scores["rmse"], (family, dataset))


def _evaluation(sources: Sources, summary: Summary) -> Iterator[Sample]:
    """The seasonal naive on the rows of the newest evaluation, and the newest challenger with its gain."""
    yield Sample("bike_gain_required_r2", sources.settings.min_gain)
    for newest in sources.rows(NEWEST_EVALUATIONS, number=1):
        yield from _scores_by_dataset("seasonal_naive", _evaluation_scores(newest, "naive_"))
    for row in sources.rows(NEWEST_CHALLENGE):
        challenger = summary.entry(row["challenger_version"])
        if challenger:
            yield from _role("challenger", challenger)
            yield from _scores_by_dataset("challenger", _evaluation_scores(row, ""))
        for bound, column in (("estimate", "gain"), ("low", "gain_low"), ("high", "gain_high")):
            if row[column] is not None:
                yield Sample("bike_gain_r2", row[column], (bound,))
        if row["gain_residual_share"] is not None:
            yield Sample("bike_gain_residual_share", row["gain_residual_share"])


def _champion(sources: Sources, champion: ModelEntry) -> Iterator[Sample]:
    yield from _role("champion", champion)
    yield Sample("bike_champion_version", champion.version)
    yield Sample(
        "bike_champion_trained_until_timestamp_seconds", sources.end_of(date.fromisoformat(champion.trained_until))
    )
    if champion.promoted_on:
        promoted = sources.end_of(date.fromisoformat(champion.promoted_on))
        yield Sample("bike_champion_promoted_timestamp_seconds", promoted)
    evaluation = next(iter(sources.rows(NEWEST_OF_VERSION, version=champion.version)), None)
    if evaluation is None:
        yield from _scores_by_dataset("champion", _training_scores(champion))
    else:
        role = "" if evaluation["challenger_version"] == champion.version else "champion_"
        yield from _scores_by_dataset("champion", _evaluation_scores(evaluation, role))


def _role(role: str, entry: ModelEntry) -> Iterator[Sample]:
    yield Sample("bike_model_info", 1, (role, entry.family, str(entry.version)))


def _training_scores(entry: ModelEntry) -> dict[str, dict[str, float]]:
    """The scores of a version at its training."""
    return {dataset: {name: entry.scores[f"test_{dataset}"][name] for name in SCORES} for dataset in DATASETS}


def _evaluation_scores(row: Mapping[str, Any], prefix: str) -> dict[str, dict[str, float]]:
    """The scores in the row of an evaluation."""
    return {dataset: {name: row[f"{prefix}{name}_{dataset}"] for name in ("r2", "rmse")} for dataset in DATASETS}


def _scores_by_dataset(role: str, scores: Mapping[str, Mapping[str, float]]) -> Iterator[Sample]:
    for dataset, figures in scores.items():
        for name, value in figures.items():
            if value is not None:
                yield Sample(f"bike_model_{name}", value, (role, dataset, "1"))
