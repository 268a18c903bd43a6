"""What one hopes of the champion and of the data, read from the rows; nothing is computed. Acting is the matrix's work.

What is not known is not green: too few forecasts or rows fail a check as a warning, and say so.
"""

from typing import Any

import dagster as dg

from bike_assets.assets.monitoring import champion_performance, drift_report
from bike_assets.core.drift import LEAST_CURRENT_ROWS
from bike_assets.partitions import days_of
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

NOT_KNOWN = "not enough data"
PERFORMANCE = """
SELECT champion.r2, champion.rmse, champion.n, naive.r2 AS naive_r2
FROM monitoring_audit.performance_metrics AS champion
LEFT JOIN monitoring_audit.performance_metrics AS naive
ON naive.day = champion.day AND naive.horizon_days = 1 AND naive.role = 'seasonal_naive'
WHERE champion.day = @day AND champion.horizon_days = 1 AND champion.role = 'champion'
"""


@dg.asset_check(asset=champion_performance)
def r2_is_above_critical(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Over the newest 7 days the champion's R² a day ahead is not below the bound of a reactive retrain."""
    row = _performance(context, warehouse, settings)
    return _result(row, "r2", row.get("r2", 0) >= settings.r2_critical, settings.r2_critical, is_critical=True)


@dg.asset_check(asset=champion_performance)
def r2_is_above_warning(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Over the newest 7 days the champion's R² a day ahead is that of a healthy model."""
    row = _performance(context, warehouse, settings)
    return _result(row, "r2", row.get("r2", 0) >= settings.r2_warning, settings.r2_warning)


@dg.asset_check(asset=champion_performance)
def rmse_is_within_limit(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Over the newest 7 days the champion's RMSE a day ahead is not above the limit of a reactive retrain."""
    row = _performance(context, warehouse, settings)
    return _result(row, "rmse", row.get("rmse", 0) <= settings.rmse_limit, settings.rmse_limit, is_critical=True)


@dg.asset_check(asset=champion_performance)
def champion_beats_seasonal_naive(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Over the newest 7 days the champion's day-ahead forecasts are better than no model at all."""
    row = _performance(context, warehouse, settings)
    return _result(row, "r2", row.get("r2", 0) > row.get("naive_r2", 0), row.get("naive_r2"))


@dg.asset_check(asset=drift_report)
def drift_share_is_below_warning(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Fewer columns have drifted than would have a healthy model watched."""
    row = _drift(context, warehouse)
    return _result(row, "drift_share", row.get("drift_share", 1) < settings.drift_warning, settings.drift_warning)


@dg.asset_check(asset=drift_report)
def drift_share_is_below_critical(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Fewer columns have drifted than would make a weak model be retrained."""
    row = _drift(context, warehouse)
    return _result(row, "drift_share", row.get("drift_share", 1) < settings.drift_critical, settings.drift_critical)


@dg.asset_check(asset=drift_report)
def current_window_is_large_enough(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """The newest 7 days have rows enough to speak of drift."""
    row = _drift(context, warehouse)
    return _result(row, "rows_current", row.get("rows_current", 0) >= LEAST_CURRENT_ROWS, LEAST_CURRENT_ROWS)


def _performance(context: dg.AssetCheckExecutionContext, warehouse: Warehouse, settings: Settings) -> dict[str, Any]:
    """The newest day's figures that are known; none where too few forecasts were compared."""
    row = one_row(warehouse.query(PERFORMANCE, day=days_of(context)[-1])) or {}
    known = {name: value for name, value in row.items() if value is not None}
    return known if known.get("n", 0) >= settings.min_scored_rows else {}


def _drift(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dict[str, Any]:
    """The newest day's figures that are known."""
    row = one_row(
        warehouse.query(
            "SELECT drift_share, drifted_columns, rows_current, reference FROM monitoring_audit.drift_metrics "
            "WHERE day = @day",
            day=days_of(context)[-1],
        )
    )
    return {name: value for name, value in (row or {}).items() if value is not None}


def _result(
    row: dict[str, Any], figure: str, holds: bool, bound: float | None, is_critical: bool = False
) -> dg.AssetCheckResult:
    known = figure in row and bound is not None
    severe = is_critical and known
    return dg.AssetCheckResult(
        passed=known and bool(holds),
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        metadata={"bound": NOT_KNOWN if bound is None else float(bound), **{figure: NOT_KNOWN}, **row},
    )
