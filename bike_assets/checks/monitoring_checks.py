"""What one hopes of the champion and of the data. Warnings: acting on them is the matrix's business."""

from typing import Any

import dagster as dg

from bike_assets.assets.monitoring import champion_performance, drift_report
from bike_assets.partitions import days_of
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


@dg.asset_check(asset=champion_performance)
def champion_beats_seasonal_naive(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Over the newest 7 days the champion's day-ahead forecasts are better than no model at all."""
    figures = warehouse.query(
        "SELECT role, r2 FROM monitoring_audit.performance_metrics WHERE day = @day AND horizon_days = 1",
        day=days_of(context)[-1],
    )
    r2: dict[str, Any] = dict(zip(figures["role"], figures["r2"], strict=True))
    known = {"champion", "seasonal_naive"} <= set(r2)
    return dg.AssetCheckResult(
        passed=known and bool(r2["champion"] > r2["seasonal_naive"]),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: float(value) for name, value in r2.items()},
    )


@dg.asset_check(asset=drift_report)
def drift_share_is_below_critical(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Fewer columns have drifted than would make a weak model be retrained; unknown drift is not green."""
    row = one_row(
        warehouse.query(
            "SELECT drift_share, drifted_columns FROM monitoring_audit.drift_metrics WHERE day = @day",
            day=days_of(context)[-1],
        )
    )
    share = row["drift_share"] if row else None
    return dg.AssetCheckResult(
        passed=share is not None and bool(share < settings.drift_critical),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "drift_share": "not enough data" if share is None else float(share),
            "drifted_columns": (row and row["drifted_columns"]) or "",
            "critical": settings.drift_critical,
        },
    )
