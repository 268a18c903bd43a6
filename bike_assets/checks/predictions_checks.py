"""The check of a day's forecasts; it only warns."""

import dagster as dg

from bike_assets.assets.predictions import predictions
from bike_assets.core.features import HORIZONS
from bike_assets.core.local_time import as_date
from bike_assets.core.splits import Span
from bike_assets.partitions import days_of
from bike_assets.resources.queries.predictions import coverage_by_day
from bike_assets.resources.warehouse import Warehouse


@dg.asset_check(asset=predictions)
def forecasts_cover_every_horizon(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Each day of the run has forecasts for the three days after it. None is negative or missing."""
    days = days_of(context)
    found = coverage_by_day(warehouse, Span(days[0], days[-1]))
    good = found[(found["horizons"] == len(HORIZONS)) & (found["least"] >= 0) & (found["missing"] == 0)]
    bad = sorted(set(days) - {as_date(day) for day in good["issued_on"]})
    return dg.AssetCheckResult(
        passed=not bad,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": len(days), "which": ", ".join(str(day) for day in bad[:50])},
    )
