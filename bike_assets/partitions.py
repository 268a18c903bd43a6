"""The local days of a home as Dagster's partitions, and the days of a run."""

from datetime import date, timedelta

import dagster as dg

from bike_assets.core.local_time import as_date
from bike_assets.home.record import Home


def daily_partitions(home: Home) -> dg.DailyPartitionsDefinition:
    """Return a home's days, in its own time zone; without an end, unless its source has a last day."""
    end = home.last_day + timedelta(days=1) if home.last_day else None
    return dg.DailyPartitionsDefinition(
        start_date=home.first_day.isoformat(), end_date=end.isoformat() if end else None, timezone=home.timezone
    )


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """Return the local days that a run materializes, oldest first."""
    if isinstance(context, dg.AssetExecutionContext):
        return [as_date(key) for key in context.partition_keys]
    return [as_date(key) for key in context.op_execution_context.partition_keys]
