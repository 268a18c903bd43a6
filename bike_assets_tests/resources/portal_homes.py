"""What tests of the portal's client need: a small published table, the simulated portal over it, and fast settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.simulation import SimulatedCity
from bike_assets.settings import Settings
from bike_assets.simulator.clock import Clock
from bike_assets.simulator.publication import PublishedTable
from bike_assets.simulator.server import PortalSimulator

ZONE = "Europe/Paris"
FIRST, LAST = date(2025, 3, 28), date(2025, 4, 1)
NOW = datetime(2025, 4, 2, 9, 30, tzinfo=UTC)
START, END = utc_bounds(FIRST, ZONE)[0], utc_bounds(LAST, ZONE)[1]


def city_rows(first: date = FIRST, last: date = LAST, counters: int = 4) -> pd.DataFrame:
    """Synthetic counts in our vocabulary."""
    return SimulatedCity(3, counters, ZONE, "FR").counts(first, last)


@contextmanager
def serving(
    rows: pd.DataFrame, settings: Settings, now: datetime = NOW, daily_quota: int | None = None
) -> Iterator[tuple[PortalSimulator, PublishedTable]]:
    """Serve rows as a portal whose clock begins at `now`."""
    table = PublishedTable(settings.portal_fields, settings.timezone)
    table.put(rows)
    clock = Clock()
    clock.set(now)
    with PortalSimulator(table, settings.portal_dataset, clock=clock, daily_quota=daily_quota) as portal:
        yield portal, table


def fast(folder: Path, **changes: object) -> Settings:
    """Settings for a portal that does not keep one waiting."""
    values = {"portal_backoff_seconds": 0.001, "portal_timeout_seconds": 30.0, "portal_attempts": 3, "source": "portal"}
    return Settings(home=folder, **{**values, **changes})
