"""The local days that a home's Dagster instance has materialized, and the new days since the first training."""

from datetime import date, timedelta

import dagster as dg

from bike_assets.core.local_time import as_date, days_between
from bike_assets.resources.queries.splits import bootstrapped_on
from bike_assets.resources.warehouse import Warehouse

LAST_DAILY_ASSET = "retrain_decision"
"""The asset that is materialized last on each day."""
REREAD_DAYS = 7
"""The days before new ones that are read again, because portals add late rows and correct counts."""


def new_days(instance: dg.DagsterInstance, warehouse: Warehouse, last: date) -> list[date]:
    """Return the days up to `last`, after the first split of the data, that have no retrain decision yet."""
    began = bootstrapped_on(warehouse)
    done = materialized_days(instance, LAST_DAILY_ASSET)
    return [day for day in days_between(began + timedelta(days=1), last) if day not in done] if began else []


def materialized_days(instance: dg.DagsterInstance, asset: str) -> set[date]:
    """Return the days for which an asset was ever materialized."""
    return {as_date(key) for key in instance.get_materialized_partitions(dg.AssetKey(asset))}
