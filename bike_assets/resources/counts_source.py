"""The sources of counts behind one interface: a portal, an export file or the simulated portal.

`home_source` decides which source a home has, and its first day. What rows mean belongs to `core.published`, requests
to a portal to `portal`, synthetic counts to `core.simulation`.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import describe_differing, distinguishing_columns
from bike_assets.core.service_access import PortalAccess
from bike_assets.errors import BikeError
from bike_assets.home.record import Home, describe_source
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from bike_assets.simulator.server import PortalSimulator


@dataclass(frozen=True)
class CountsBatch:
    """What a source published for some local days.

    Attributes:
        rows: every row, usable or not, in the form that `core.published.arrange` returns.
        reported: number of rows that the source reported for these days; never more than `rows` has.
        read_at: when the source was read, by its own clock.
    """

    rows: pd.DataFrame
    reported: int
    read_at: datetime


class CountsSource(Protocol):
    """The interface of every source."""

    description: str

    def read(self, first: date, last: date) -> CountsBatch:
        """Return all published rows of the local days from first to last.

        Raises:
            SourceUnavailableError: the source did not answer or refused.
            UnreliableAnswerError: its answer is incomplete or wrong; a request for fewer days may succeed.
        """
        ...

    def describe_differing(self, rows: pd.DataFrame) -> str:
        """Describe rows of one counter and hour that differ, with the published column that distinguishes them, if any.

        Args:
            rows: some of the rows of a reading.
        """
        ...

    def newest_day(self) -> date | None:
        """Return the last local day that is completely published, or None if nothing is published.

        Raises:
            SourceUnavailableError: the source did not answer or refused.
            UnreliableAnswerError: its answer is incomplete or wrong.
        """
        ...


ASKED_ZONE = "UTC"
"""The portal is asked for times in UTC, whatever zone it has them in."""


class PortalSource:
    """A portal's dataset."""

    def __init__(self, home: Home, access: PortalAccess) -> None:
        from bike_assets.resources.portal import Portal

        self.description = describe_source(home)
        self._form, self._fields, self._timezone = access.form, access.form.fields, home.timezone
        self._portal = Portal(access)

    def read(self, first: date, last: date) -> CountsBatch:
        """Fetch all rows of the days, or raise."""
        start, end = utc_bounds(first, self._timezone)[0], utc_bounds(last, self._timezone)[1]
        answer = self._portal.rows(start, end)
        return CountsBatch(self._arrange(answer.table), answer.total, answer.read_at)

    def describe_differing(self, rows: pd.DataFrame) -> str:
        """Ask the portal for all its fields of the hour of the first rows."""
        whole = self._portal.all_fields(rows.iloc[0]["counted_at"])
        columns = distinguishing_columns(whole.to_pandas(), self._arrange(whole), self._fields.by_column.values())
        return describe_differing(rows, columns, self._fields.key)

    def _arrange(self, table: "pa.Table") -> pd.DataFrame:
        from bike_assets.core.published import arrange

        names = self._fields.by_column
        texts = {name for column, name in names.items() if column not in {"counted_at", "bike_count"}}
        words = [name for name in texts if _is_text(table, name)]
        rows = table.to_pandas(categories=words, integer_object_nulls=True)
        return arrange(pd.DataFrame({column: rows[name] for column, name in names.items()}), ASKED_ZONE)

    def newest_day(self) -> date | None:
        """Ask the portal for its last hour, and return the last day that is complete by then."""
        newest = self._portal.newest_hour()
        return last_whole_day(newest, self._form) if newest else None


class FileSource:
    """The export file of a home, read once per process."""

    def __init__(self, home: Home, form: PublishedForm) -> None:
        if home.file is None:
            raise ValueError(f"the record of {home.folder} names no file")
        self.description = describe_source(home)
        self._path, self._digest, self._timezone, self._last_day = home.file, home.digest, home.timezone, home.last_day
        self._form = form

    def read(self, first: date, last: date) -> CountsBatch:
        """Return the file's rows of the days.

        Raises:
            BikeError: the file has changed since the home was claimed, or is not an export.
        """
        start, end = utc_bounds(first, self._timezone)[0], utc_bounds(last, self._timezone)[1]
        rows = self._rows[(self._rows["counted_at"] >= start) & (self._rows["counted_at"] < end)]
        return CountsBatch(rows.reset_index(drop=True), len(rows), datetime.now(UTC))

    def describe_differing(self, rows: pd.DataFrame) -> str:
        """Describe them without a column: the home was made from this file, which had no such rows then."""
        return describe_differing(rows, [])

    def newest_day(self) -> date | None:
        """Return the file's last day, complete or not: the file will never have more of it."""
        return self._last_day

    @cached_property
    def _rows(self) -> pd.DataFrame:
        from bike_assets.core.portal_export import read_export

        if file_digest(self._path) != self._digest:
            raise BikeError(f"{self._path} is no longer the file that this home was made from: its content differs.")
        return read_export(self._path, self._form)


def open_source(home: Home, settings: Settings) -> CountsSource:
    """Return the source of a claimed home."""
    if home.source == "file":
        return FileSource(home, settings.published_form)
    if home.source == "simulator":
        url = simulator_of(home, settings).url
        return PortalSource(home, replace(settings.portal, addresses=url, api_key=None))
    return PortalSource(home, portal_of(home, settings))


def portal_of(home: Home, settings: Settings) -> PortalAccess:
    """Return how to reach the portal that a home has recorded. Addresses in the settings take precedence."""
    addresses = settings.named_portal or home.portal
    if addresses is None or home.dataset is None:
        raise ValueError(f"the home {home.folder} has no portal")
    return replace(settings.portal, addresses=addresses, dataset=home.dataset)


def simulator_of(home: Home, settings: Settings) -> "PortalSimulator":
    """Return the running simulated portal of a home with simulated counts."""
    return simulated_portal(
        home.seed or 0,
        home.counters or 0,
        home.timezone,
        home.country or settings.holidays_country,
        home.first_day,
        settings.portal_dataset,
        settings.portal_fields,
        settings.simulator_scenarios or home.scenarios or "",
    )


@lru_cache(maxsize=4)
def simulated_portal(
    seed: int,
    counters: int,
    timezone: str,
    country: str,
    first_day: date,
    dataset: str,
    fields: PortalFields,
    scenarios: str,
) -> "PortalSimulator":
    """Start the simulated portal of a city on a free port of this machine; it stops with this process."""
    from bike_assets.core.simulation import SimulatedCity
    from bike_assets.simulator.publication import SimulatedPublication
    from bike_assets.simulator.scenarios import parse_scenarios
    from bike_assets.simulator.server import PortalSimulator

    city = SimulatedCity(seed, counters, timezone, country)
    publication = SimulatedPublication(city, fields, parse_scenarios(scenarios), first_day=first_day)
    server = PortalSimulator(publication, dataset)
    server.start()
    return server


def last_whole_day(newest: datetime, form: PublishedForm) -> date:
    """Return the last complete local day: the day of the newest count if that is its last one, else the day before."""
    end = pd.Timestamp(newest + timedelta(minutes=form.interval_minutes))
    return end.tz_convert(form.timezone).date() - timedelta(days=1)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        BikeError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BikeError(f"{path} cannot be read: {error.strerror}.") from None


def _is_text(table: "pa.Table", name: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
