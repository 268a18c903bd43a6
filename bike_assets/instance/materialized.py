"""Which local days a home's Dagster instance has materialized, and which are new since the first pass."""

from datetime import date, timedelta

import dagster as dg

from bike_assets.core.local_time import as_date, days_between
from bike_assets.resources.queries import bootstrapped_on
from bike_assets.resources.warehouse import Warehouse

LAST_OF_A_DAY = "retrain_decision"
"""The asset that is materialized last on each day."""
CORRECTED_DAYS = 7
"""Days before new ones that are read again: publishers add late rows and correct counts."""


def new_days(instance: dg.DagsterInstance, warehouse: Warehouse, last: date) -> list[date]:
    """Return the days since the first pass for which nothing was decided yet."""
    began = bootstrapped_on(warehouse)
    done = materialized_days(instance, LAST_OF_A_DAY)
    return [day for day in days_between(began + timedelta(days=1), last) if day not in done] if began else []


def materialized_days(instance: dg.DagsterInstance, asset: str) -> set[date]:
    """Return the days of which an asset was ever materialized."""
    return {as_date(key) for key in instance.get_materialized_partitions(dg.AssetKey(asset))}
