"""The champion's performance, the drift of the data, and the retrain decision. Rules and statistics are in `core`."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd
from pydantic import Field

from bike_assets.core.decisions import (
    MIN_CURRENT_DAYS,
    RetrainDecision,
    WeekFigures,
    decide_retrain,
    held_until,
)
from bike_assets.core.drift import Drift, Reference, measure_drift, pick_reference, week_to
from bike_assets.core.families.served import ServedModel
from bike_assets.core.performance import days_behind, scores_by_role
from bike_assets.core.schemas import DRIFT, PERFORMANCE, RETRAIN_DECISIONS
from bike_assets.core.summary import Summary
from bike_assets.partitions import days_of
from bike_assets.resources.audit import append, rows_digest
from bike_assets.resources.queries.counts import whole_days
from bike_assets.resources.queries.decisions import drift_of
from bike_assets.resources.queries.evaluations import failed_challenges
from bike_assets.resources.queries.features import read_features
from bike_assets.resources.queries.performance import champion_scores, days_worse_than_naive, forecasts_and_counts
from bike_assets.resources.queries.splits import bootstrapped_on, recorded_baseline
from bike_assets.resources.registry import Registry
from bike_assets.resources.reports import DriftReports
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

_SCORED = ("model_version", "r2", "rmse", "mae", "n")


@dg.asset(
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["predictions", "raw_counts"],
    kinds={"parquet"},
)
def champion_performance(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Scores over the 7 days to each day: champion, forecasts as issued, seasonal naive, and first champion."""
    summary, rows = registry.read(), pd.DataFrame()
    for day in days_of(context):
        rows, compared = _performance_rows(warehouse, summary, settings, day)
        versions = {"compared": compared, **_champion_version(summary)}
        row_dicts = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
        append(warehouse, PERFORMANCE, row_dicts, run_id=context.run.run_id, settings=settings, data_versions=versions)
    shown = rows[rows["role"] == "champion"].set_index("horizon_days")
    figures = {
        f"{metric}_h{horizon}": float(shown.loc[horizon, metric])
        for horizon in shown.index
        for metric in ("r2", "rmse", "mae")
    }
    compared_roles = rows[(rows["horizon_days"] == 1) & rows["role"].isin(["seasonal_naive", "first_champion"])]
    return dg.MaterializeResult(
        metadata={
            "scores": dg.MetadataValue.md(_as_table(rows)),
            "compared": int(rows["n"].max() if len(rows) else 0),
            **figures,
            **{
                f"{role}_r2_h1": float(r2)
                for role, r2 in zip(compared_roles["role"], compared_roles["r2"], strict=True)
            },
        }
    )


def _champion_version(summary: Summary) -> dict[str, str]:
    return {"champion": summary.champion.sha256[:16]} if summary.champion else {}


def _performance_rows(
    warehouse: Warehouse, summary: Summary, settings: Settings, day: date
) -> tuple[pd.DataFrame, str]:
    """Return a day's scores, and a digest of the rows that were compared."""
    week = week_to(day)
    compared = forecasts_and_counts(warehouse, week, settings.left_out)
    versions = {"champion": summary.champion, "first_champion": summary.first_champion}
    scored = scores_by_role(compared, {role: entry.version if entry else None for role, entry in versions.items()})
    rows = pd.DataFrame([{"day": day, **row} for row in scored], columns=["day", "role", "horizon_days", *_SCORED])
    return rows, rows_digest(compared)


def _as_table(rows: pd.DataFrame) -> str:
    lines = ["| role | days ahead | R² | RMSE | MAE | rows |", "|---|---|---|---|---|---|"]
    for row in rows.itertuples():
        lines.append(f"| {row.role} | {row.horizon_days} | {row.r2:.4f} | {row.rmse:.2f} | {row.mae:.2f} | {row.n} |")
    return "\n".join(lines)


@dg.asset(
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["hourly_features", "champion"],
    kinds={"evidently", "parquet"},
)
def drift_report(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    reports: dg.ResourceParam[DriftReports],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Drift of the 7 days to each day against a reference: drifted columns, new and vanished counters.

    The reference is the same weeks of last year, or the 8 weeks before if the home has no such weeks.
    """
    summary, days = registry.read(), days_of(context)
    row: dict = {}
    for number, day in enumerate(days, start=1):
        row, versions = _drift_row(warehouse, registry, summary, reports, settings, day)
        append(warehouse, DRIFT, [row], run_id=context.run.run_id, settings=settings, data_versions=versions)
        context.log.info(f"{number} of {len(days)} days: drift share {row['drift_share']} to {day}")
    return dg.MaterializeResult(
        metadata={
            **{k: v for k, v in row.items() if v is not None and k != "day"},
            **reports.metadata(days[-1], settings.api_address),
        }
    )


def _drift_row(
    warehouse: Warehouse,
    registry: Registry,
    summary: Summary,
    reports: DriftReports,
    settings: Settings,
    day: date,
) -> tuple[dict, dict[str, str]]:
    whole = whole_days(warehouse, settings.timezone)
    reference = pick_reference(day, whole.first) if whole else None
    empty = {"day": day, "model_version": summary.champion.version if summary.champion else 0}
    if reference is None or summary.champion is None:
        return {**empty, "reference": "none: too few days before the week", "columns_checked": 0}, {}
    model = registry.load(summary.champion)
    current, before = (
        _with_forecast(read_features(warehouse, [span], settings.left_out, horizon=1), model)
        for span in (week_to(day), reference.span)
    )
    with reports.writing(day) as html:
        drift = measure_drift(current, before, settings.seed, html)
    row = {**empty, **_figures(drift, reference), **_new_and_vanished_counters(current, before)}
    versions = {"current": rows_digest(current), "reference": rows_digest(before), **_champion_version(summary)}
    return row, versions


def _with_forecast(rows: pd.DataFrame, model: ServedModel) -> pd.DataFrame:
    return rows.assign(predicted_count=model.predict(rows))


def _figures(drift: Drift, reference: Reference) -> dict:
    return {
        "drift_share": drift.share,
        "drifted_columns": ", ".join(drift.drifted),
        "columns_checked": len(drift.columns),
        "reference": f"{reference.name}: {reference.span.first} to {reference.span.last}",
        "rows_current": drift.rows_current,
        "rows_reference": drift.rows_reference,
    }


def _new_and_vanished_counters(current: pd.DataFrame, before: pd.DataFrame) -> dict:
    now, then = set(current["counter_id"]), set(before["counter_id"])
    return {"new_counters": ", ".join(sorted(now - then)), "vanished_counters": ", ".join(sorted(then - now))}


class Force(dg.Config):
    """A retrain forced by hand. The figures and the cooldown do not count, and the sensor starts it."""

    force: bool = Field(False, description="Whether to retrain regardless of the figures.")
    by: str = Field("", description="Who forces it.")
    reason: str = Field("", description="Why.")


@dg.asset(
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["champion_performance", "drift_report"],
    kinds={"parquet"},
)
def retrain_decision(
    context: dg.AssetExecutionContext,
    config: Force,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The retrain matrix's decision for each day, with its inputs, its reason, and the end of its cooldown."""
    summary, forced = registry.read(), _forced(config)
    row: dict = {}
    for day in days_of(context):
        row, versions = _decision_row(warehouse, summary, settings, day, forced)
        append(
            warehouse, RETRAIN_DECISIONS, [row], run_id=context.run.run_id, settings=settings, data_versions=versions
        )
    return dg.MaterializeResult(
        metadata={k: str(v) if isinstance(v, date) else v for k, v in row.items() if v is not None}
    )


def _forced(config: Force) -> str | None:
    """Return who forces a retrain, and why; None if the retrain is not forced.

    Raises:
        dg.Failure: it is forced without `by` or `reason`.
    """
    if not config.force:
        return None
    if not config.by.strip() or not config.reason.strip():
        raise dg.Failure("a forced retrain needs `by` and `reason` in its config", allow_retries=False)
    return f"{config.by.strip()}: {config.reason.strip()}"


def _decision_row(
    warehouse: Warehouse, summary: Summary, settings: Settings, day: date, forced: str | None
) -> tuple[dict, dict[str, str]]:
    """Return a day's decision, and the ids of the runs that recorded its figures."""
    performance = champion_scores(warehouse, day) or {"r2": None, "rmse": None, "n": 0, "run_id": "none"}
    drift = drift_of(warehouse, day) or {"drift_share": None, "run_id": "none"}
    week = WeekFigures(
        performance["r2"],
        performance["rmse"],
        int(performance["n"]),
        drift["drift_share"],
        days_behind(days_worse_than_naive(warehouse, day), day),
    )
    decision = decide_retrain(week, settings.retrain_rule, forced)
    version = summary.champion.version if summary.champion else 0
    began = bootstrapped_on(warehouse)
    row = {
        "day": day,
        "decision": str(decision.decision),
        "reason": decision.reason,
        **decision.inputs,
        "champion_version": version,
        "held_until": _held_until(warehouse, version, settings, day) if _can_wait(decision.decision) else None,
        "acts": bool(forced) or (began is not None and day > began),
    }
    return row, {"performance_run": performance["run_id"], "drift_run": drift["run_id"]}


def _can_wait(decision: str) -> bool:
    """Whether a cooldown can hold a decision back. A forced retrain never waits."""
    return RetrainDecision(decision).asks_for_training and decision != RetrainDecision.FORCED


def _held_until(warehouse: Warehouse, champion_version: int, settings: Settings, day: date) -> date | None:
    """After a failed challenge, wait for the cooldown. Never retrain while no comparison is possible."""
    failed = failed_challenges(warehouse, champion_version, day)
    baseline = recorded_baseline(warehouse)
    comparable_from = baseline.test.last + timedelta(days=MIN_CURRENT_DAYS) if baseline else None
    return held_until(day, failed, settings.cooldown_rule, comparable_from)
