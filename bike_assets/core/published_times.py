"""Published times as UTC: times with an offset, and times of a clock, which have none.

Which zone such a clock shows is a setting. What is wrong with a row belongs to `core.published`, local days to
`core.local_time`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

HAS_OFFSET = r"[T ]\d{1,2}.*(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)$"
"""The date of 2021-06-01 ends like an offset too: an offset follows a time of day."""


@dataclass(frozen=True)
class UtcTimes:
    """Published times.

    Attributes:
        at: datetime64[us, UTC]; missing where nothing was published or it cannot be read. An hour that the clocks skip
            is the hour after it.
        has_offset: whether the publisher wrote an offset.
        is_skipped: whether the publisher's clock never showed this time: the clocks were put forward over it.
    """

    at: pd.Series
    has_offset: pd.Series
    is_skipped: pd.Series


def read_times(published: pd.Series, counters: pd.Series, naive_zone: str) -> UtcTimes:
    """Convert published times to UTC. No time depends on the rows around it, but for the doubled hour of autumn.

    The clock of a zone shows one hour of autumn twice. If a counter has it in two rows, the first is the earlier hour
    and the second the later one; in a file with the newest rows first, it is the other way round. If a counter has it
    in one row, that row is the earlier hour.

    Args:
        published: texts, or times with or without a zone.
        counters: the counter of each row.
        naive_zone: zone of the times without an offset.
    """
    if isinstance(published.dtype, pd.DatetimeTZDtype):
        yes = pd.Series(True, published.index)
        return UtcTimes(published.dt.tz_convert("UTC").astype("datetime64[us, UTC]"), yes, ~yes)
    codes, distinct = pd.factorize(published)
    has_offset, aware, walls = _parse(pd.Series(distinct))
    earlier, later = (_localize(walls, naive_zone, in_summer_time=each) for each in (True, False))
    is_skipped = walls.notna() & (earlier.dt.tz_convert(naive_zone).dt.tz_localize(None) != walls)
    is_doubled = walls.notna() & (earlier != later)
    at = _take(aware.fillna(earlier), codes, published.index)
    is_later = _are_second(_take(is_doubled, codes, published.index), codes, counters, newest_first=_is_falling(at))
    return UtcTimes(
        at.where(~is_later, _take(later, codes, published.index)),
        _take(has_offset, codes, published.index),
        _take(is_skipped, codes, published.index),
    )


def _localize(walls: pd.Series, zone: str, in_summer_time: bool) -> pd.Series:
    """Return the UTC of a clock's times, with one reading of the doubled hour."""
    summer = np.full(len(walls), in_summer_time)
    return walls.dt.tz_localize(zone, ambiguous=summer, nonexistent="shift_forward").dt.tz_convert("UTC")


def _take(values: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    """Return the value of each row's code; missing, or False, for rows without a value."""
    if values.dtype == bool:
        return pd.Series(np.append(values.to_numpy(), False)[codes], index)
    return values.reindex(codes).set_axis(index)


def _is_falling(at: pd.Series) -> bool:
    """Whether rows have the newest first: more of them are older than the row before than are newer."""
    steps = np.sign(np.diff(at.dropna().to_numpy(dtype="datetime64[us]").astype(np.int64)))
    return bool(steps.sum() < 0)


def _are_second(is_doubled: pd.Series, codes: np.ndarray, counters: pd.Series, newest_first: bool) -> pd.Series:
    """Return which rows are the second half of a counter's rows of one doubled hour, in the order of time."""
    doubled = pd.DataFrame({"code": codes, "counter": counters.astype(object)}, index=counters.index)[is_doubled]
    same = doubled.groupby(["code", "counter"], sort=False, dropna=False)["code"]
    is_second = same.cumcount(ascending=not newest_first) >= np.ceil(same.transform("size") / 2)
    return is_second.reindex(counters.index, fill_value=False)


def _parse(values: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return which values have an offset, those as UTC, and the others as times of a clock."""
    if pd.api.types.is_datetime64_any_dtype(values):
        walls = values.astype("datetime64[us]")
        return pd.Series(False, values.index), pd.Series(pd.NaT, values.index, dtype="datetime64[us, UTC]"), walls
    texts = values.astype(str)
    has_offset = texts.str.contains(HAS_OFFSET, regex=True)
    aware = pd.to_datetime(texts.where(has_offset), utc=True, errors="coerce", format="ISO8601")
    walls = pd.to_datetime(texts.where(~has_offset), errors="coerce", format="ISO8601")
    return has_offset, aware.astype("datetime64[us, UTC]"), walls.astype("datetime64[us]")
