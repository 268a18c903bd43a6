"""Rows as a source published them: our columns, their types, and what is wrong with a row.

It serves both portals and export files. Fetching rows and handling the unusable ones do not belong here.
"""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bike_assets.core.local_time import starts_an_interval
from bike_assets.core.published_times import read_times

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

MAX_PER_HOUR = 1_000_000
"""No street carries more bikes an hour: a higher value is not a count. An outlier below this limit is a real row."""
TEXTS = ("counter_id", "counter_name", "site_id", "site_name")
WKB_POINT_BYTES = 21
KEY_SEPARATOR, NAME_SEPARATOR = ":", ", "
"""Between the fields of a counter's key in its id, and after its name."""


class Problem(StrEnum):
    """Why a published row cannot be used."""

    NO_COUNTER = "no counter"
    NO_COUNT = "no count"
    NO_TIME = "no time"
    UNREADABLE_TIME = "unreadable time"
    UNREADABLE_COUNT = "no whole number of bikes"
    NEGATIVE_COUNT = "negative count"
    IMPLAUSIBLE_COUNT = "more bikes than any street carries"
    OFF_THE_HOUR = "not the start of an hour"
    PART_OF_AN_HOUR = "part of an hour of which other parts are missing"
    SKIPPED_TIME = "a local time that the clocks skip"
    IN_THE_FUTURE = "in the future"


INCOMPLETE = (Problem.NO_COUNTER, Problem.NO_COUNT, Problem.NO_TIME, Problem.PART_OF_AN_HOUR, Problem.SKIPPED_TIME)
"""Gaps that publishers leave. The last is the hour of spring, in a grid of all local hours.

Such rows are left out and counted; every other problem is an error.
"""


def arrange(raw: pd.DataFrame, naive_zone: str) -> pd.DataFrame:
    """Convert published rows to our types; drop no row.

    Args:
        raw: columns by our names, values as published. The optional columns of `PortalFields` may be missing.
        naive_zone: zone of the times without an offset.

    Returns:
        counter_id, counter_name, site_id, site_name (categories), latitude, longitude (degrees), counted_at (UTC),
        bike_count (float64, bikes an hour; NaN where missing), is_readable: False where a published time or count
        cannot be read, has_offset and is_skipped, as in `UtcTimes`.
    """
    counts = _counts(raw["bike_count"])
    texts = {name: _text(raw[name]) for name in TEXTS if name in raw}
    further = [_text(raw[name]) for name in raw if str(name).startswith("counter_id_")]
    if further:
        texts["counter_id"] = _joined([texts["counter_id"], *further], KEY_SEPARATOR)
        if "counter_name" in texts:
            texts["counter_name"] = _joined([texts["counter_name"], *further], NAME_SEPARATOR)
    texts.setdefault("counter_name", texts["counter_id"])
    texts.setdefault("site_id", texts["counter_id"])
    texts.setdefault("site_name", texts["counter_name"])
    times = read_times(_published_times(raw), texts["counter_id"], naive_zone)
    latitude, longitude = _coordinates(raw.get("coordinates", pd.Series(None, raw.index, dtype=object)))
    unreadable = (times.at.isna() & raw["counted_at"].notna()) | (counts.isna() & raw["bike_count"].notna())
    return pd.DataFrame({name: texts[name] for name in TEXTS}).assign(
        latitude=latitude,
        longitude=longitude,
        counted_at=times.at,
        bike_count=counts,
        is_readable=~unreadable,
        has_offset=times.has_offset,
        is_skipped=times.is_skipped,
    )


def problems_of(rows: pd.DataFrame, read_at: datetime, timezone: str, interval_minutes: int) -> pd.Series:
    """Return for each row why it cannot be used (the text of a `Problem`), or "".

    Args:
        rows: as `arrange` returns them.
        read_at: when the source was read, by the source's clock. Rows from this time on are in the future.
        timezone: zone in which an hour begins; some zones differ from UTC by half an hour.
        interval_minutes: the minutes that a count covers.
    """
    import pandera.errors

    problems = pd.Series("", rows.index, dtype=object)
    readable, no_time, no_count = rows["is_readable"], rows["counted_at"].isna(), rows["bike_count"].isna()
    for found, problem in (
        (no_count & readable, Problem.NO_COUNT),
        (no_time & readable, Problem.NO_TIME),
        (rows["counter_id"].isna(), Problem.NO_COUNTER),
        (no_count & ~readable, Problem.UNREADABLE_COUNT),
        (no_time & ~readable, Problem.UNREADABLE_TIME),
        (rows["is_skipped"], Problem.SKIPPED_TIME),
    ):
        if found.any():
            problems[found] = str(problem)
    complete = rows.loc[problems == "", ["counted_at", "bike_count"]]
    complete = complete.assign(
        ahead=complete["counted_at"] >= pd.Timestamp(read_at),
        starts=starts_an_interval(complete["counted_at"], timezone, interval_minutes),
    )
    try:
        usable_rows().validate(complete, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases.drop_duplicates("index")
        problems[cases["index"]] = cases["check"].to_numpy()
    return problems


@lru_cache(maxsize=1)
def usable_rows() -> "DataFrameSchema":
    """Return the schema of usable rows; each check has the text of the problem that it finds."""
    import pandera.pandas as pa

    def found(problem: Problem, check: pa.Check) -> pa.Check:
        check.error = str(problem)
        return check

    return pa.DataFrameSchema(
        {
            "starts": pa.Column(bool, checks=found(Problem.OFF_THE_HOUR, pa.Check.eq(True))),
            "bike_count": pa.Column(
                checks=[
                    found(Problem.UNREADABLE_COUNT, pa.Check(lambda counts: counts % 1 == 0)),
                    found(Problem.NEGATIVE_COUNT, pa.Check.ge(0)),
                    found(Problem.IMPLAUSIBLE_COUNT, pa.Check.le(MAX_PER_HOUR)),
                ]
            ),
            "ahead": pa.Column(bool, checks=found(Problem.IN_THE_FUTURE, pa.Check.eq(False))),
        }
    )


def _published_times(raw: pd.DataFrame) -> pd.Series:
    """Return the times as published, or the times of a clock from a date and an hour of the day."""
    if "hour_of_day" not in raw:
        return raw["counted_at"]
    days = pd.to_datetime(raw["counted_at"].astype("string").str[:10], errors="coerce", format="%Y-%m-%d")
    hours = _counts(raw["hour_of_day"].astype("string"))
    return days + pd.to_timedelta(hours.where(hours.between(0, 23) & (hours % 1 == 0)), unit="h")


def _joined(parts: list[pd.Series], separator: str) -> pd.Series:
    """Join texts row by row; a row without one of them has none."""
    together = pd.DataFrame(dict(enumerate(parts)))
    distinct = together.drop_duplicates().dropna()
    names = distinct.astype(str).agg(separator.join, axis=1)
    codes = together.merge(distinct.assign(name=names), how="left", on=list(together))["name"]
    return codes.astype("category").set_axis(together.index)


def _counts(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _text(values: pd.Series) -> pd.Series:
    """Texts as categories, without blank ones. Portals publish ids as text or as whole numbers."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.map(_as_text, na_action="ignore").astype("category")
    return values.cat.remove_categories([text for text in values.cat.categories if not text.strip()])


def _as_text(value: object) -> str:
    """The text of a value. Pandas turns whole numbers beside missing ones into floats; this undoes it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _coordinates(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Split points into latitudes and longitudes in degrees; NaN where a value is not a point."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.map(_point_text, na_action="ignore").astype("category")
    codes, texts = values.cat.codes.to_numpy(), values.cat.categories
    points = np.array([_point(text) for text in texts] + [(np.nan, np.nan)]).reshape(-1, 2)
    return points[codes, 0], points[codes, 1]


def _point_text(value: object) -> str:
    if isinstance(value, dict):
        return f"{value.get('lat')},{value.get('lon')}"
    if isinstance(value, bytes) and len(value) == WKB_POINT_BYTES:
        longitude, latitude = np.frombuffer(value, "<f8" if value[0] else ">f8", count=2, offset=5)
        return f"{latitude},{longitude}"
    return str(value)


def _point(text: str) -> tuple[float, float]:
    latitude, _, longitude = str(text).partition(",")
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        return np.nan, np.nan
    return place if abs(place[0]) <= 90 and abs(place[1]) <= 180 else (np.nan, np.nan)
