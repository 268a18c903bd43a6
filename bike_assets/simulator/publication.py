"""The rows that the portal has published at a moment: simulated, replayed from an export, or added by a test.

All follow the portal's rule: it publishes a local day once the day is over. Answers belong to `explore`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from bike_assets.core.local_time import as_date, days_between, utc_bounds
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.simulator.scenarios import SETTLED_AGE, PublishedDay, Scenario, apply_scenarios
from bike_assets.simulator.tables import as_portal_table, portal_schema, rows_between

if TYPE_CHECKING:
    from bike_assets.core.simulation import SimulatedCity

ROLLING_MONTHS = 13
CACHED_DAYS = 130
"""More than four months: fewer days than a client asks for at once would be drawn again for each request."""
UNRELATED_SEED = 0
"""Seed of the weather beside counts that are not simulated."""
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
EARLIEST, LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
COLUMNS = (
    "counter_id", "counter_name", "site_id", "site_name", "latitude", "longitude", "counted_at", "bike_count",
)  # fmt: skip


class Publication(Protocol):
    """The interface of every publication.

    Attributes:
        fields: the portal's name for each of our columns.
        weather: of the city; only simulated counts depend on it.
    """

    fields: PortalFields
    weather: SimulatedWeather

    def published(self, start: datetime, end: datetime, now: datetime) -> pa.Table:
        """Return the rows with start <= counted_at < end (UTC) that are published at `now`, sorted by time."""
        ...

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the first and the last published hour at `now`; None when there is none."""
        ...


class SimulatedPublication:
    """A simulated city's counts up to yesterday.

    Args:
        city: draws the counts.
        fields: the portal's names.
        scenarios: change the counts.
        first_day: the fixed first local day, if any.
        months: without a first day, the window begins this many months before today; 13 by default.
    """

    def __init__(
        self,
        city: "SimulatedCity",
        fields: PortalFields,
        scenarios: Sequence[Scenario] = (),
        first_day: date | None = None,
        months: int | None = None,
    ) -> None:
        self.fields, self.weather = fields, SimulatedWeather(city.seed, city.timezone)
        self._city, self._scenarios = city, tuple(scenarios)
        self._first_day, self._months = first_day, months or ROLLING_MONTHS
        self._zone = ZoneInfo(city.timezone)
        self._cache: OrderedDict[tuple[date, int], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def published(self, start: datetime, end: datetime, now: datetime) -> pa.Table:
        """Draw the days and apply the scenarios as of `now`."""
        first, last = self._days(now)
        days = days_between(max(first, self._local_day(start)), min(last, self._local_day(end - TICK)))
        today = self._local_day(now)
        empty = portal_schema(self.fields).empty_table()
        table = pa.concat_tables([empty, *(self._day(day, (today - day).days) for day in days)])
        return rows_between(table, self.fields, start, end)

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the first hour of the first day and the last hour of yesterday."""
        first, last = self._days(now)
        if first > last:
            return None
        start, end = utc_bounds(first, self._city.timezone)[0], utc_bounds(last, self._city.timezone)[1]
        return start.to_pydatetime(), end.to_pydatetime() - HOUR

    def _days(self, now: datetime) -> tuple[date, date]:
        today = self._local_day(now)
        first = self._first_day or as_date(pd.Timestamp(today) - pd.DateOffset(months=self._months))
        return first, today - timedelta(days=1)

    def _local_day(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _day(self, day: date, age: int) -> pa.Table:
        key = day, min(age, SETTLED_AGE)
        with self._lock:
            if key not in self._cache:
                rows = self._city.counts(day, day)
                rows = apply_scenarios(self._scenarios, rows, PublishedDay(day, age, self._city))
                self._cache[key] = as_portal_table(rows, self.fields)
            self._cache.move_to_end(key)
            if len(self._cache) > CACHED_DAYS:
                self._cache.popitem(last=False)
            return self._cache[key]


class ReplayedPublication:
    """An export file's rows, each local day once it is over.

    Args:
        path: the export; read once, as a whole.
        form: what the file's columns and times mean; the answers have the same names.

    Raises:
        BikeError: the file cannot be used.
    """

    def __init__(self, path: Path, form: PublishedForm) -> None:
        from bike_assets.core.portal_export import read_export

        self.fields, self.weather = form.fields, SimulatedWeather(UNRELATED_SEED, form.timezone)
        self._timezone = form.timezone
        rows = read_export(path, form)
        self._table = _as_table(rows[rows["counted_at"].notna() & ~rows["is_skipped"]], form.fields)

    def published(self, start: datetime, end: datetime, now: datetime) -> pa.Table:
        """Return the file's rows of the range up to yesterday."""
        return rows_between(self._table, self.fields, start, min(end, _start_of_today(now, self._timezone)))

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the first and the last hour of the file's days that are over."""
        return _span(self.published(EARLIEST, LATEST, now), self.fields)


class PublishedTable:
    """Rows that a test adds and withdraws; a local day is published once it is over.

    Args:
        fields: the portal's names.
        timezone: zone of the local days.
    """

    def __init__(self, fields: PortalFields, timezone: str) -> None:
        self.fields, self.weather = fields, SimulatedWeather(UNRELATED_SEED, timezone)
        self._timezone = timezone
        self._rows = pd.DataFrame(columns=list(COLUMNS))
        self._table = portal_schema(fields).empty_table()
        self._lock = threading.Lock()

    @property
    def rows(self) -> pd.DataFrame:
        """A copy of all rows, in the order of their addition."""
        with self._lock:
            return self._rows.copy()

    def put(self, rows: pd.DataFrame) -> None:
        """Add rows, also duplicates.

        Args:
            rows: counted_at (UTC) and any of our other columns; missing columns become null.
        """
        with self._lock:
            added = rows.reindex(columns=list(COLUMNS))
            self._replace(added if self._rows.empty else pd.concat([self._rows, added], ignore_index=True))

    def withdraw(self, chosen: pd.Series | Callable[[pd.DataFrame], pd.Series]) -> None:
        """Remove rows.

        Args:
            chosen: a mask over `rows`, or a function that returns the mask for `rows`.
        """
        with self._lock:
            gone = chosen(self._rows) if callable(chosen) else chosen
            self._replace(self._rows[~np.asarray(gone, dtype=bool)].reset_index(drop=True))

    def published(self, start: datetime, end: datetime, now: datetime) -> pa.Table:
        """Return the added rows of the range up to yesterday."""
        with self._lock:
            table = self._table
        return rows_between(table, self.fields, start, min(end, _start_of_today(now, self._timezone)))

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the first and the last hour of the added days that are over."""
        return _span(self.published(EARLIEST, LATEST, now), self.fields)

    def _replace(self, rows: pd.DataFrame) -> None:
        self._rows, self._table = rows, _as_table(rows, self.fields)


def _as_table(rows: pd.DataFrame, fields: PortalFields) -> pa.Table:
    return (
        as_portal_table(rows.reindex(columns=list(COLUMNS)), fields)
        if len(rows)
        else portal_schema(fields).empty_table()
    )


def _start_of_today(now: datetime, timezone: str) -> datetime:
    return utc_bounds(now.astimezone(ZoneInfo(timezone)).date(), timezone)[0].to_pydatetime()


def _span(table: pa.Table, fields: PortalFields) -> tuple[datetime, datetime] | None:
    times = table[fields.counted_at]
    return (times[0].as_py(), times[-1].as_py()) if len(times) else None
