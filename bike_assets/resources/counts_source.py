"""Where counts come from: an export file or the simulator, behind one interface, and the choice between them.

Parsing exports belongs to `core.portal_export`, drawing synthetic counts to `core.simulation`.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import pandas as pd

from bike_assets.core.local_time import as_date, utc_bounds
from bike_assets.errors import BikeError
from bike_assets.home import Home, describe_source, recorded_home
from bike_assets.settings import Settings

if TYPE_CHECKING:
    from bike_assets.core.portal_export import Export

EARLIEST_LAST_DAY = date(1990, 1, 1)
"""Ten years of history before it, the longest that the settings allow, begin when clocks and calendars are known."""


@dataclass(frozen=True)
class CountsBatch:
    """What a source published for some local days.

    Attributes:
        rows: counter_id, counter_name, site_id, site_name, latitude, longitude, counted_at (UTC), bike_count.
        incomplete: counted_at of the rows without a counter or a count, which are left out.
    """

    rows: pd.DataFrame
    incomplete: pd.Series


class CountsSource(Protocol):
    """What every source offers."""

    description: str

    def read(self, first: date, last: date) -> CountsBatch:
        """Return what is published for the local days from first to last."""
        ...


class SimulatorSource:
    """The synthetic city of a home."""

    def __init__(self, home: Home) -> None:
        from bike_assets.core.simulation import SimulatedCity

        self.description = describe_source(home)
        self._city = SimulatedCity(home.seed or 0, home.counters or 0, home.timezone, home.country or "FR")

    def read(self, first: date, last: date) -> CountsBatch:
        """Draw the days."""
        return CountsBatch(self._city.counts(first, last), pd.Series([], dtype="datetime64[us, UTC]"))


class FileSource:
    """The export file of a home, read once a process."""

    def __init__(self, home: Home) -> None:
        if home.file is None:
            raise ValueError(f"the record of {home.folder} names no file")
        self.description = describe_source(home)
        self._path, self._digest, self._timezone = home.file, home.digest, home.timezone

    def read(self, first: date, last: date) -> CountsBatch:
        """Return the file's rows of the days.

        Raises:
            BikeError: the file is not the one that the home was claimed for, or is no export.
        """
        start, end = utc_bounds(first, self._timezone)[0], utc_bounds(last, self._timezone)[1]
        rows, incomplete = self._export.rows, self._export.incomplete
        chosen = rows[(rows["counted_at"] >= start) & (rows["counted_at"] < end)]
        plain = chosen.astype(dict.fromkeys(("counter_id", "counter_name", "site_id", "site_name"), object))
        return CountsBatch(plain.reset_index(drop=True), incomplete[(incomplete >= start) & (incomplete < end)])

    @cached_property
    def _export(self) -> "Export":
        from bike_assets.core.portal_export import read_export

        if _digest(self._path) != self._digest:
            raise BikeError(f"{self._path} is no longer the file that this home was made from: its content differs.")
        return read_export(self._path)


def open_home(settings: Settings, until: date | None = None) -> Home:
    """Return the recorded home, or describe the one that the settings would make; nothing is written.

    Args:
        settings: the settings in force.
        until: for a new home of a source without an end, the last day of its history; yesterday by default.

    Raises:
        BikeError: the settings do not fit the record, the export cannot be used, or `until` is too long ago.
    """
    home = recorded_home(settings)
    if home is not None:
        return _with_same_file(home, settings)
    if settings.source == "file":
        return _describe_file_home(settings)
    if settings.counts_file is not None:
        raise BikeError(f"BIKE_COUNTS_FILE is set, and BIKE_SOURCE is {settings.source}: set BIKE_SOURCE=file.")
    last = min(until or date.max, yesterday(settings.timezone))
    if last < EARLIEST_LAST_DAY:
        raise BikeError(f"--until {last} is too long ago: a new home can end on {EARLIEST_LAST_DAY} at the earliest.")
    return Home(
        settings.home_folder,
        "simulator",
        as_date(pd.Timestamp(last) + pd.Timedelta(days=1) - pd.DateOffset(months=settings.history_months)),
        None,
        settings.timezone,
        seed=settings.seed,
        counters=settings.simulator_counters,
        country=settings.holidays_country,
    )


def open_source(home: Home) -> CountsSource:
    """Return the source of a home."""
    return FileSource(home) if home.source == "file" else SimulatorSource(home)


def newest_day(home: Home) -> date:
    """Return the last local day that the home's source has so far."""
    return home.last_day or yesterday(home.timezone)


def yesterday(timezone: str) -> date:
    """Return the last local day that is over: the only question put to the clock, and only about sources."""
    return (datetime.now(ZoneInfo(timezone)) - timedelta(days=1)).date()


def _describe_file_home(settings: Settings) -> Home:
    from bike_assets.core.portal_export import read_export

    if settings.counts_file is None:
        raise BikeError("BIKE_SOURCE=file needs BIKE_COUNTS_FILE, the path of a portal export (Parquet or CSV).")
    path = settings.counts_file.expanduser().absolute()
    days = read_export(path).rows["counted_at"].agg(["min", "max"]).dt.tz_convert(settings.timezone)
    first, last = (as_date(each.tz_localize(None)) for each in days)
    return Home(settings.home_folder, "file", first, last, settings.timezone, file=path, digest=_digest(path))


def _with_same_file(home: Home, settings: Settings) -> Home:
    """Accept the recorded export at the place that the settings name, and refuse another one."""
    if home.source != "file" or settings.counts_file is None:
        return home
    path = settings.counts_file.expanduser().absolute()
    if _digest(path) != home.digest:
        raise BikeError(
            f"The home {home.folder} was made from {home.file}, and {path} is another export: "
            "choose another BIKE_HOME or start over with make clean."
        )
    return replace(home, file=path)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BikeError(f"{path} cannot be read: {error.strerror}.") from None
