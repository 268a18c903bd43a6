"""Local days and the UTC hours inside them.

Only this module converts between them. Holidays belong to `calendar`, partitions to `bike_assets.partitions`.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd


def local_days(counted_at: pd.Series, timezone: str) -> pd.Series:
    """Return the local day (datetime64[s], midnight, no zone) in which each UTC hour lies."""
    return counted_at.dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize().astype("datetime64[s]")


def starts_an_interval(times: pd.Series, timezone: str, minutes: int) -> pd.Series:
    """Whether each time (UTC) is the start of an interval of a local hour, such as one of 15 minutes."""
    into_the_hour = (times - hour_starts(times, timezone)).dt.total_seconds()
    return into_the_hour % (60 * minutes) == 0


def hour_starts(times: pd.Series, timezone: str) -> pd.Series:
    """Return the start (UTC) of the local hour in which each time lies."""
    local = times.dt.tz_convert(timezone).dt.tz_localize(None)
    return times - (local - local.dt.floor("h"))


def utc_bounds(day: date, timezone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first UTC instant of a local day and that of the next one (23, 24 or 25 hours apart)."""
    midnights = pd.DatetimeIndex([day, day + timedelta(days=1)])
    # Some zones change their clocks at midnight. Such a day begins at its first instant that exists.
    start, end = midnights.tz_localize(
        timezone, nonexistent="shift_forward", ambiguous=np.array([True, True])
    ).tz_convert("UTC")
    return start, end


def hours_of(day: date, timezone: str) -> pd.DataFrame:
    """Return the hours of a local day: columns counted_at (UTC) and hour (local, 0 to 23; one hour twice in autumn)."""
    start, end = utc_bounds(day, timezone)
    counted_at = pd.date_range(start, end, freq="h", inclusive="left")
    return pd.DataFrame({"counted_at": counted_at, "hour": counted_at.tz_convert(timezone).hour})


def hours_in_days(days: pd.Series, timezone: str) -> np.ndarray:
    """Return how many hours each local day has: 23, 24 or 25."""
    starts = pd.DatetimeIndex(days)
    bounds = [
        each.tz_localize(timezone, nonexistent="shift_forward", ambiguous=np.full(len(days), True)).tz_convert("UTC")
        for each in (starts, starts + pd.Timedelta(days=1))
    ]
    return ((bounds[1] - bounds[0]) // pd.Timedelta(hours=1)).to_numpy()


def days_between(first: date, last: date) -> list[date]:
    """Return every day from first to last, both included; empty when last lies before first."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def as_date(value: object) -> date:
    """Return the calendar day of an ISO text, a numpy or pandas time, or a date."""
    return pd.Timestamp(value).date()  # type: ignore[arg-type]


def day_numbers(days: pd.Series | Sequence[date]) -> np.ndarray:
    """Return days as whole numbers since 1970-01-01 (int64), for arithmetic on arrays."""
    return np.asarray(days, dtype="datetime64[D]").astype(np.int64)
