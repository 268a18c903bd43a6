"""Counts of less than an hour, added up to hours. Which rows are usable belongs to `published`."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bike_assets.core.local_time import hour_starts

IntervalMinutes = Literal[5, 10, 15, 30, 60]


@dataclass(frozen=True)
class Hours:
    """Counts by the hour.

    Attributes:
        rows: one row for each counter and hour with all its parts, in the order of their first parts.
        added: the rows that were added to the first part of their hour.
        incomplete: the rows of hours of which parts are missing.
    """

    rows: pd.DataFrame
    added: pd.DataFrame
    incomplete: pd.DataFrame


def add_up_hours(rows: pd.DataFrame, timezone: str, minutes: IntervalMinutes) -> Hours:
    """Add up the parts of each hour. An hour without all its parts would be a count that is too low.

    Args:
        rows: counter_id, counted_at (UTC, start of the interval) and bike_count, one row for each counter and interval.
        timezone: zone in which an hour begins.
        minutes: length of the interval.
    """
    if minutes == 60:
        return Hours(rows, rows.iloc[:0], rows.iloc[:0])
    hourly = rows.assign(counted_at=hour_starts(rows["counted_at"], timezone))
    hours = hourly.groupby(["counter_id", "counted_at"], observed=True, sort=False)["bike_count"]
    is_whole = hours.transform("size") == 60 // minutes
    is_first = ~hourly.duplicated(["counter_id", "counted_at"])
    totals = hourly.assign(bike_count=hours.transform("sum"))
    return Hours(totals[is_whole & is_first], rows[is_whole & ~is_first], rows[~is_whole])
