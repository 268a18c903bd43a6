"""What should hold of published counts. Both are warnings: the publisher has gaps, and they are no reason to stop."""

import dagster as dg
import pandas as pd

from bike_assets.assets.raw_counts import raw_counts
from bike_assets.core.local_time import as_date, hours_in_days
from bike_assets.partitions import days_of
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

MOST_WITHOUT_COUNTER = 0.10


@dg.asset_check(asset=raw_counts)
def days_have_all_their_hours(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.AssetCheckResult:
    """Every local day has its 23, 24 or 25 hours; the first and the last day of an export often have not."""
    audit = _audit(context, warehouse)
    torn = audit[audit["hours"].to_numpy() != hours_in_days(audit["day"], settings.timezone)]
    short = [f"{as_date(day)}: {hours} hours" for day, hours in zip(torn["day"], torn["hours"], strict=True)]
    return dg.AssetCheckResult(
        passed=not short and not audit.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": len(audit), "short_days": len(short), "which": ", ".join(short[:50])},
    )


@dg.asset_check(asset=raw_counts)
def rows_name_their_counter(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """At most a tenth of a day's rows lack their counter or count; those are left out and counted here."""
    audit = _audit(context, warehouse)
    share = audit["rows_without_counter"] / audit["rows_read"].clip(lower=1)
    bad = [str(as_date(day)) for day in audit.loc[share > MOST_WITHOUT_COUNTER, "day"]]
    return dg.AssetCheckResult(
        passed=not bad,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows_without_counter": int(audit["rows_without_counter"].sum()), "which": ", ".join(bad[:50])},
    )


def _audit(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> pd.DataFrame:
    days = days_of(context)
    return warehouse.query(
        "SELECT day, hours, rows_read, rows_without_counter FROM monitoring_audit.ingestions "
        "WHERE day BETWEEN @first AND @last ORDER BY day",
        first=days[0],
        last=days[-1],
    )
