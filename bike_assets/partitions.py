"""DAILY: the local days of the home's counts, and the days that a run is for."""

from datetime import date, timedelta

import dagster as dg

from bike_assets.core.local_time import as_date
from bike_assets.resources.home_source import outline_home
from bike_assets.settings import load_settings


def daily_partitions() -> dg.DailyPartitionsDefinition:
    """Return the days of the home that the settings name, or of the one that they would make.

    Raises:
        BikeError: the settings, the home or its export cannot be used.
    """
    home = outline_home(load_settings())
    end = home.last_day + timedelta(days=1) if home.last_day else None
    return dg.DailyPartitionsDefinition(
        start_date=home.first_day.isoformat(), end_date=end.isoformat() if end else None, timezone=home.timezone
    )


DAILY = daily_partitions()


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """Return the local days that a run materializes, oldest first."""
    if isinstance(context, dg.AssetExecutionContext):
        return [as_date(key) for key in context.partition_keys]
    return [as_date(key) for key in context.op_execution_context.partition_keys]
