"""Sorts the rows of a reading, day by day: rows to keep, rows to reject, an audit row. Reads no source.

Problems of a single row belong to `core.published`, checks against a counter's history to `core.plausibility`.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from bike_assets.core.local_time import day_numbers, days_between, local_days
from bike_assets.core.parts_of_hours import add_up_hours
from bike_assets.core.plausibility import (
    OutlierRule,
    are_outliers,
    busiest_hours,
    concat_busiest,
    counters_in_week_before,
)
from bike_assets.core.published import INCOMPLETE, Problem, problems_of
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import settle_repeated_rows
from bike_assets.core.splits import Span

MAX_SHRINKAGE = 0.5
"""A day keeps its old rows if more than this share disappears at once: publishers correct rows, not whole days."""
PROBLEMS_BY_COLUMN = {
    "rows_without_counter": tuple(str(problem) for problem in INCOMPLETE),
    "rows_negative": (str(Problem.NEGATIVE_COUNT),),
    "rows_in_future": (str(Problem.IN_THE_FUTURE),),
    "rows_unreadable": (
        str(Problem.UNREADABLE_COUNT),
        str(Problem.IMPLAUSIBLE_COUNT),
        str(Problem.OFF_THE_HOUR),
        str(Problem.UNREADABLE_TIME),
    ),
}


@dataclass(frozen=True)
class Reading:
    """The result of a reading of some days.

    Attributes:
        rows: rows of `comptage_velo` without ingested_at; one a counter and hour.
        rejected: rows of `rejected_counts` without ingested_at.
        days: by local day rows_reported, rows_read, rows_kept, the columns of `PROBLEMS_BY_COLUMN`, rows_duplicated,
            rows_summed (added to another row), outliers, hours, counters and counters_before; including days without
            rows.
        busiest: `busiest_hours` of the rows.
    """

    rows: pd.DataFrame
    rejected: pd.DataFrame
    days: pd.DataFrame
    busiest: pd.DataFrame


def classify_rows(
    span: Span,
    published: pd.DataFrame,
    read_at: datetime,
    history: pd.DataFrame,
    rule: OutlierRule,
    form: PublishedForm,
    reported: int | None = None,
) -> Reading:
    """Sort published rows into rows to keep and rows to reject, and count both by day.

    Args:
        span: the local days that were read.
        published: all rows of these days, as `core.published.arrange` returns them.
        read_at: when they were read, by the source's clock.
        history: `busiest_hours` of the 56 days before, as far as they exist.
        rule: the bounds of an outlier.
        form: the zone of the local days, the interval, and the rule for rows that share a counter and a time.
        reported: the number of rows that the source reports; used only for a single day.

    Raises:
        DifferingRowsError: usable rows of one counter and time differ, and the form's rule is "refuse".
    """
    published = published.assign(day=local_days(published["counted_at"], form.timezone))
    problems = problems_of(published, read_at, form.timezone, form.interval_minutes)
    settled = settle_repeated_rows(published[problems == ""], form.repeated_rows)
    hourly = add_up_hours(settled.rows, form.timezone, form.interval_minutes)
    problems[hourly.incomplete.index] = str(Problem.PART_OF_AN_HOUR)
    rows = hourly.rows.reset_index(drop=True)
    rows["bike_count"] = rows["bike_count"].astype("int64")
    busiest = busiest_hours(rows)
    rows["is_outlier"] = are_outliers(rows, busiest, history, rule)
    rejected = published[problems != ""].assign(problem=problems[problems != ""])
    rejected = rejected.assign(position=rejected.groupby("day").cumcount()).reset_index(drop=True)
    days = empty_days(span)
    days["rows_read"] = rows_by_day(span, published)
    days["rows_reported"] = days["rows_read"] if reported is None or span.days > 1 else reported
    days["rows_kept"] = rows_by_day(span, rows)
    days["rows_duplicated"] = rows_by_day(span, settled.doubled)
    days["rows_summed"] = rows_by_day(span, settled.added) + rows_by_day(span, hourly.added)
    for name, problems_counted in PROBLEMS_BY_COLUMN.items():
        days[name] = rows_by_day(span, rejected[rejected["problem"].isin(problems_counted)])
    days["outliers"] = rows_by_day(span, rows[rows["is_outlier"]])
    days["hours"] = rows_by_day(span, rows[["day", "counted_at"]].drop_duplicates())
    days["counters"] = rows_by_day(span, busiest)
    days["counters_before"] = counters_in_week_before(days["day"], concat_busiest(history, busiest))
    return Reading(rows, rejected, days, busiest)


def rows_by_day(span: Span, rows: pd.DataFrame) -> np.ndarray:
    """Return the number of rows of each local day of a span; rows without a day are not counted."""
    numbers = day_numbers(rows["day"][rows["day"].notna()]) - day_numbers([span.first])[0]
    return np.bincount(numbers[numbers >= 0], minlength=span.days)[: span.days]


def empty_days(span: Span) -> pd.DataFrame:
    """Return one row a local day of a span, with the column day only."""
    return pd.DataFrame({"day": pd.to_datetime(days_between(span.first, span.last)).astype("datetime64[s]")})


def shrinkage_reasons(days: pd.DataFrame, rows_known: pd.Series) -> pd.Series:
    """Return for each day that lost most of its rows why its old rows are kept; None for other days.

    Args:
        days: as in a `Reading`.
        rows_known: rows in the table by local day, before this reading.
    """
    known = days["day"].map(rows_known).fillna(0).astype("int64")
    reasons = [
        f"the source now publishes {left:,} of the {before:,} rows that it had: the old rows are kept"
        if before and left < before * (1 - MAX_SHRINKAGE)
        else None
        for left, before in zip(days["rows_kept"], known, strict=True)
    ]
    return pd.Series(reasons, days.index, dtype=object)
