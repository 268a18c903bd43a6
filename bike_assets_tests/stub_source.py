"""A source of counts for tests: a small city's rows, changed as a test likes, and days that cannot be read."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.published import arrange
from bike_assets.core.repeated_rows import describe_differing
from bike_assets.errors import UnreliableAnswerError
from bike_assets.resources.counts_source import CountsBatch
from bike_assets_tests.export_files import ZONE, city_counts

READ_AT = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)


class StubSource:
    """The counts of six counters.

    Args:
        change: makes what is published of what was counted, over all requested days.
        newest: the last day that is published; any day by default.
        read_at: what the source's clock shows.

    Attributes:
        unreliable: days whose answers are unreliable.
        requests: first and last day of every request.
    """

    description = "a stub"

    def __init__(
        self,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
        newest: date | None = None,
        read_at: datetime = READ_AT,
    ) -> None:
        self.change, self.newest, self.read_at = change, newest, read_at
        self.unreliable: set[date] = set()
        self.requests: list[tuple[date, date]] = []

    def read(self, first: date, last: date) -> CountsBatch:
        """Return the days."""
        self.requests.append((first, last))
        if any(first <= day <= last for day in self.unreliable):
            raise UnreliableAnswerError(f"The stub cannot be believed from {first} to {last}.")
        start, end = utc_bounds(first, ZONE)[0], utc_bounds(min(last, self.newest or last), ZONE)[1]
        counts = city_counts(first, last, seed=7)
        counts = counts[(counts["counted_at"] >= start) & (counts["counted_at"] < end)].reset_index(drop=True)
        published = self.change(counts).reset_index(drop=True)
        places = published["latitude"].astype(str) + "," + published["longitude"].astype(str)
        rows = arrange(published.drop(columns=["latitude", "longitude"]).assign(coordinates=places), "UTC")
        return CountsBatch(rows, len(rows), self.read_at)

    def describe_differing(self, rows: pd.DataFrame) -> str:
        """Describe rows that differ without asking anyone."""
        return describe_differing(rows, [])

    def newest_day(self) -> date | None:
        """Return the last day that is published."""
        return self.newest


def on(rows: pd.DataFrame, day: date) -> pd.Series:
    """Whether each row is of a local day."""
    return rows["counted_at"].dt.tz_convert(ZONE).dt.date == day
