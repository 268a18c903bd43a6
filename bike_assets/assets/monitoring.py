"""How the champion fares, how far the data have moved, and what follows. Rules and statistics are in `core`."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd

from bike_assets.core.decisions import RetrainDecision, decide_retrain
from bike_assets.core.drift import Drift, Reference, measure_drift, pick_reference, week_to
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS
from bike_assets.core.performance import scores_by_role
from bike_assets.core.schemas import DRIFT, PERFORMANCE, RETRAIN_DECISIONS
from bike_assets.partitions import DAILY, days_of
from bike_assets.resources.queries import TRAIN_BASELINE, as_list, read_features, recorded_split, whole_days
from bike_assets.resources.registry import LocalRegistry, Summary
from bike_assets.resources.reports import DriftReports
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

FORECASTS_AND_COUNTS = """
SELECT p.day, p.counter_id, p.counted_at, p.horizon_days, p.model_version, p.kind, p.predicted_count, p.naive_count,
  c.bike_count
FROM bike_traffic_predictions.predictions AS p
JOIN bike_traffic_raw.comptage_velo AS c ON c.counter_id = p.counter_id AND c.counted_at = p.counted_at
WHERE p.issued_on BETWEEN @issued_first AND @issued_last AND p.day BETWEEN @first AND @last
  AND c.day BETWEEN @first AND @last AND NOT c.is_outlier
  AND STRPOS(@left_out, CONCAT(',', c.counter_id, ',')) = 0
ORDER BY p.counter_id, p.counted_at, p.horizon_days, p.model_version
"""


@dg.asset(
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["predictions", "raw_counts"],
    kinds={"parquet"},
)
def champion_performance(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Forecasts against counts over the 7 days to the day: champion, what was issued, naive, and the first champion."""
    summary, rows = registry.read(), pd.DataFrame()
    for day in days_of(context):
        rows = _performance_rows(warehouse, summary, settings, day)
        warehouse.merge(PERFORMANCE, rows)
    shown = rows[rows["role"] == "champion"].set_index("horizon_days")
    figures = {
        f"{metric}_h{horizon}": float(shown.loc[horizon, metric])
        for horizon in shown.index
        for metric in ("r2", "rmse", "mae")
    }
    return dg.MaterializeResult(
        metadata={
            "scores": dg.MetadataValue.md(_as_table(rows)),
            "compared": int(rows["n"].max() if len(rows) else 0),
            **figures,
        }
    )


def _performance_rows(warehouse: Warehouse, summary: Summary, settings: Settings, day: date) -> pd.DataFrame:
    week = week_to(day)
    compared = warehouse.query(
        FORECASTS_AND_COUNTS,
        first=week.first,
        last=week.last,
        issued_first=week.first - timedelta(days=max(HORIZONS)),
        issued_last=week.last,
        left_out=as_list(settings.left_out),
    )
    versions = {"champion": summary.champion, "first_champion": summary.first_champion}
    scored = scores_by_role(compared, {role: entry.version if entry else None for role, entry in versions.items()})
    return frame(PERFORMANCE, [{"day": day, **row} for row in scored])


def _as_table(rows: pd.DataFrame) -> str:
    lines = ["| role | days ahead | R² | RMSE | MAE | rows |", "|---|---|---|---|---|---|"]
    for row in rows.itertuples():
        lines.append(f"| {row.role} | {row.horizon_days} | {row.r2:.4f} | {row.rmse:.2f} | {row.mae:.2f} | {row.n} |")
    return "\n".join(lines)


@dg.asset(
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["hourly_features", "champion"],
    kinds={"evidently", "parquet"},
)
def drift_report(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    reports: dg.ResourceParam[DriftReports],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The 7 days to the day against a reference of the same season: drifted columns, counters come and gone."""
    summary, days = registry.read(), days_of(context)
    row: dict = {}
    for number, day in enumerate(days, start=1):
        row = _drift_row(warehouse, registry, summary, reports, settings, day)
        warehouse.merge(DRIFT, frame(DRIFT, [row]))
        context.log.info(f"{number} of {len(days)} days: drift share {row['drift_share']} to {day}")
    return dg.MaterializeResult(
        metadata={**{k: v for k, v in row.items() if v is not None and k != "day"}, **reports.metadata(days[-1])}
    )


def _drift_row(
    warehouse: Warehouse,
    registry: LocalRegistry,
    summary: Summary,
    reports: DriftReports,
    settings: Settings,
    day: date,
) -> dict:
    whole = whole_days(warehouse, settings.timezone)
    reference = pick_reference(day, whole.first) if whole else None
    empty = {"day": day, "model_version": summary.champion.version if summary.champion else 0}
    if reference is None or summary.champion is None:
        return {**empty, "drift_share": None, "reference": "none: too few days before the week", "columns_checked": 0}
    model = registry.load(summary.champion)
    current, before = (
        _with_residual(read_features(warehouse, [span], settings.left_out, horizon=1), model)
        for span in (week_to(day), reference.span)
    )
    drift = measure_drift(current, before, settings.seed, reports.path(day))
    return {**empty, **_figures(drift, reference), **_counters_come_and_gone(current, before)}


def _with_residual(rows: pd.DataFrame, model: ServedModel) -> pd.DataFrame:
    predicted = model.predict(rows)
    return rows.assign(predicted_count=predicted, residual=rows["bike_count"] - predicted)


def _figures(drift: Drift, reference: Reference) -> dict:
    return {
        "drift_share": drift.share,
        "drifted_columns": ", ".join(drift.drifted),
        "columns_checked": len(drift.columns),
        "reference": f"{reference.name}: {reference.span.first} to {reference.span.last}",
        "rows_current": drift.rows_current,
        "rows_reference": drift.rows_reference,
    }


def _counters_come_and_gone(current: pd.DataFrame, before: pd.DataFrame) -> dict:
    now, then = set(current["counter_id"]), set(before["counter_id"])
    return {"new_counters": ", ".join(sorted(now - then)), "vanished_counters": ", ".join(sorted(then - now))}


@dg.asset(
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["champion_performance", "drift_report"],
    kinds={"parquet"},
)
def retrain_decision(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """What the retrain matrix says of the day, with its inputs, its reason, and how long a cooldown holds it back."""
    summary, row = registry.read(), {}
    for day in days_of(context):
        row = _decision_row(warehouse, summary, settings, day)
        warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [row]))
    return dg.MaterializeResult(
        metadata={k: str(v) if isinstance(v, date) else v for k, v in row.items() if v is not None}
    )


def _decision_row(warehouse: Warehouse, summary: Summary, settings: Settings, day: date) -> dict:
    performance = one_row(
        warehouse.query(
            "SELECT r2, rmse, n FROM monitoring_audit.performance_metrics "
            "WHERE day = @day AND role = 'champion' AND horizon_days = 1",
            day=day,
        )
    ) or {"r2": None, "rmse": None, "n": 0}
    drift = one_row(warehouse.query("SELECT drift_share FROM monitoring_audit.drift_metrics WHERE day = @day", day=day))
    share = drift["drift_share"] if drift else None
    decision = decide_retrain(
        performance["r2"], performance["rmse"], int(performance["n"]), share, settings.retrain_rule
    )
    bootstrap = recorded_split(warehouse, TRAIN_BASELINE)
    return {
        "day": day,
        "decision": str(decision.decision),
        "reason": decision.reason,
        "r2": performance["r2"],
        "rmse": performance["rmse"],
        "rows": int(performance["n"]),
        "drift_share": share,
        "champion_version": summary.champion.version if summary.champion else 0,
        "held_until": _held_until(summary, settings, day)
        if RetrainDecision(decision.decision).asks_for_training
        else None,
        "acts": bootstrap is not None and day > bootstrap["cut_on"],
    }


def _held_until(summary: Summary, settings: Settings, day: date) -> date | None:
    """A training that was just done is given time: no other is started within the cooldown."""
    trained = max((date.fromisoformat(entry.registered_on) for entry in summary.models), default=None)
    if trained is None or day >= trained + timedelta(days=settings.retrain_cooldown_days):
        return None
    return trained + timedelta(days=settings.retrain_cooldown_days)
