"""Checks of counts against the counter's own history: which counts are outliers, and which counters are active.

A day is judged from itself and earlier days only. What is wrong with a single row belongs to `core.published`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from bike_assets.core.local_time import day_numbers

HISTORY_DAYS = 56
MIN_HISTORY_DAYS = 14
WEEK = 7
SILENT_AFTER_DAYS = 3
NEW_FOR_DAYS = 28
GONE_AFTER_DAYS = 28


@dataclass(frozen=True)
class OutlierRule:
    """When a count is an outlier.

    Attributes:
        factor: an outlier exceeds this many times the median of the counter's daily maxima of the last 8 weeks.
        floor: an outlier also exceeds this many bikes an hour.
    """

    factor: float = 6.0
    floor: float = 300.0


class CounterState(StrEnum):
    """State of a counter on the newest day of a home."""

    ACTIVE = "active"
    NEW = "new"
    SILENT = "silent"
    GONE = "gone"


def busiest_hours(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the largest count of every counter and local day: columns day, counter_id, busiest."""
    return rows.groupby(["day", "counter_id"], observed=True, as_index=False).agg(busiest=("bike_count", "max"))


def concat_busiest(*busiest: pd.DataFrame) -> pd.DataFrame:
    """Concatenate several `busiest_hours`; skip empty ones, whose column types would change the result."""
    return pd.concat([each for each in busiest if len(each)] or busiest[:1])


def are_outliers(rows: pd.DataFrame, busiest: pd.DataFrame, history: pd.DataFrame, rule: OutlierRule) -> np.ndarray:
    """Return whether each count is far above the counter's own history.

    Args:
        rows: day, counter_id and bike_count of some days.
        busiest: their `busiest_hours`.
        history: `busiest_hours` of the 56 days before them, as far as they exist.
        rule: the bounds. A counter with fewer than 14 days with a count above zero has no outliers.
    """
    counts = rows["bike_count"].to_numpy()
    outliers = counts > rule.floor
    suspects = rows.loc[outliers, ["day", "counter_id"]].astype({"counter_id": str})
    if suspects.empty:
        return outliers
    known = concat_busiest(history, busiest).astype({"counter_id": str})
    known = known[(known["busiest"] > 0) & known["counter_id"].isin(suspects["counter_id"].unique())]
    table = known.pivot_table(index="day", columns="counter_id", values="busiest", aggfunc="max").asfreq("D")
    typical = table.rolling(HISTORY_DAYS, min_periods=MIN_HISTORY_DAYS).median().shift(1)
    limits = (rule.factor * typical).clip(lower=rule.floor).stack()
    found = limits.reindex(pd.MultiIndex.from_frame(suspects)).to_numpy()
    outliers[outliers] = counts[outliers] > np.where(np.isnan(found), np.inf, found)
    return outliers


def counters_in_week_before(days: pd.Series, seen: pd.DataFrame) -> pd.Series:
    """Return for each day the number of counters that had rows in the seven days before it.

    Args:
        days: local days (datetime64).
        seen: `busiest_hours` of these days and of the week before them.
    """
    if days.empty or seen.empty:
        return pd.Series(0, days.index, dtype="int64")
    counters, names = pd.factorize(seen["counter_id"].astype(object))
    numbers, wanted = day_numbers(seen["day"]), day_numbers(days)
    first = min(int(numbers.min()), int(wanted.min()) - WEEK)
    present = np.zeros((max(int(numbers.max()), int(wanted.max())) - first + 2, len(names)), dtype=np.int64)
    present[numbers - first + 1, counters] = 1
    until = present.cumsum(axis=0)
    return pd.Series((until[wanted - first] > until[wanted - first - WEEK]).sum(axis=1), days.index, dtype="int64")


def counter_states(counters: pd.DataFrame, first: date, newest: date) -> list[str]:
    """Return the state of each counter on the newest day.

    Args:
        counters: first_day, last_day and last_counting_day (the last with a count above zero, or missing).
        first: the home's first day; a counter that began in the week after it is not new.
        newest: the newest day of the counts.
    """
    newest_day = pd.Timestamp(newest)
    days_unseen = (newest_day - pd.to_datetime(counters["last_day"])).dt.days
    days_without_bikes = (newest_day - pd.to_datetime(counters["last_counting_day"])).dt.days.fillna(np.inf)
    age = (newest_day - pd.to_datetime(counters["first_day"])).dt.days
    began_later = pd.to_datetime(counters["first_day"]) > pd.Timestamp(first + timedelta(days=WEEK))
    return [
        str(state)
        for state in np.select(
            [
                days_unseen >= GONE_AFTER_DAYS,
                days_without_bikes >= SILENT_AFTER_DAYS,
                began_later & (age < NEW_FOR_DAYS),
            ],
            [CounterState.GONE, CounterState.SILENT, CounterState.NEW],
            CounterState.ACTIVE,
        )
    ]
