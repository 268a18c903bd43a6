"""The sources of the parts: the home, its warehouse and its registry. Reading Dagster belongs to `orchestration`."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.schemas import Table
from bike_assets.home.record import Home, recorded_home
from bike_assets.resources.profiles import open_registry
from bike_assets.resources.registry import Registry
from bike_assets.resources.table_rows import plain_rows
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


@dataclass(frozen=True)
class Sources:
    """A recorded home with its open warehouse and registry."""

    home: Home
    settings: Settings
    warehouse: Warehouse
    registry: Registry

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query; null is None."""
        return plain_rows(self.warehouse.query(sql, **parameters))

    def end_of(self, day: date | pd.Timestamp) -> float:
        """Return the first instant after a local day, in seconds since 1970."""
        return utc_bounds(pd.Timestamp(day).date(), self.home.timezone)[1].timestamp()

    def state_of(self, *tables: Table) -> tuple:
        """Return a value that changes with the registry and with each of the tables."""
        return self.registry.state(), *(self.warehouse.state(table) for table in tables)


def open_sources(settings: Settings, warehouse: Warehouse) -> Sources | None:
    """Return the sources of the home that the settings name; None while no home is recorded.

    Raises:
        BikeError: the home's record cannot be read.
    """
    home = recorded_home(settings)
    return Sources(home, settings, warehouse, open_registry(settings)) if home else None
