"""What has to be known of an export file before a home is made from it: its days, and what its times mean.

Reading the file belongs to `portal_export`. What is wrong with a single row belongs to `published`.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd

from bike_assets.core.local_time import as_date, local_days
from bike_assets.core.portal_export import read_export, read_rows
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import (
    DifferingRowsError,
    describe_differing,
    differing_rows,
    distinguishing_columns,
)
from bike_assets.errors import BikeError

STRAY_GAP = timedelta(days=365)
"""No counter pauses this long and goes on: days beyond such a gap are slips of a pen, unless they are many."""
MAX_STRAY_SHARE = 0.01


@dataclass(frozen=True)
class ExportOutline:
    """The outline of an export file.

    Attributes:
        first_day: the first local day with a usable row.
        last_day: the last local day with a usable row that is not in the future.
        naive_zone: zone of the times without an offset; None if every time has one.
        rows_without_day: rows that belong to no day of a home: without a time, or in the future.
    """

    first_day: date
    last_day: date
    naive_zone: str | None
    rows_without_day: int


def outline_export(path: Path, form: PublishedForm, now: datetime) -> ExportOutline:
    """Read an export file, and return its outline.

    Raises:
        BikeError: as `read_export` and `outline_rows`.
    """
    return outline_rows(path, read_export(path, form), form, now)


def outline_rows(path: Path, rows: pd.DataFrame, form: PublishedForm, now: datetime) -> ExportOutline:
    """Return the outline of an export file that was read.

    Args:
        path: the file, for messages.
        rows: its rows, as `read_export` returns them.
        form: what its columns and times mean.
        now: rows after this time bound nothing.

    Raises:
        BikeError: the file has no usable row up to now, a few rows on days that are more than a year from all others,
            or dates without an hour.
        DifferingRowsError: rows of one counter and hour differ, and the form has no rule for them.
    """
    is_past = rows["counted_at"] < pd.Timestamp(now)
    usable = rows[is_past & rows["counter_id"].notna() & (rows["bike_count"] >= 0)]
    if usable.empty:
        raise BikeError(f"{path} has no row with a counter, a count and a date that is over.")
    rows_a_day = local_days(usable["counted_at"], form.timezone).value_counts().sort_index()
    _refuse_stray_days(path, rows_a_day)
    _refuse_daily_counts(path, form, usable)
    if form.repeated_rows == "refuse":
        _refuse_differing_rows(path, form, usable)
    is_naive = ~rows["has_offset"] & rows["counted_at"].notna()
    return ExportOutline(
        as_date(rows_a_day.index[0]),
        as_date(rows_a_day.index[-1]),
        form.naive_zone if is_naive.any() else None,
        int((~is_past).sum()),
    )


def _refuse_stray_days(path: Path, rows_a_day: pd.Series) -> None:
    """Refuse a few rows far before or far after all others: a home would have all days between as gaps."""
    days = rows_a_day.index
    rows_before = rows_a_day.cumsum()
    for position in range(1, len(days)):
        if days[position] - days[position - 1] <= STRAY_GAP:
            continue
        before = int(rows_before.iloc[position - 1])
        after = int(rows_before.iloc[-1]) - before
        if min(before, after) <= MAX_STRAY_SHARE * (before + after):
            first, last = (days[0], days[position - 1]) if before < after else (days[position], days[-1])
            raise BikeError(
                f"{path}: {min(before, after):,} row(s) from {first:%Y-%m-%d} to {last:%Y-%m-%d} are more than a year "
                f"away from the other {max(before, after):,}: correct their dates, or remove them."
            )


def _refuse_daily_counts(path: Path, form: PublishedForm, usable: pd.DataFrame) -> None:
    """Refuse a file of dates: a day's total, or an hour that stands in another column."""
    local = usable["counted_at"].dt.tz_convert(form.timezone).dt.tz_localize(None)
    if local.nunique() > 1 and (local == local.dt.normalize()).all():
        name = form.fields.counted_at
        raise BikeError(
            f"{path}: every {name} is a date without an hour, and the platform needs hourly counts. If another column "
            f"has the hour of the day, name it in the city's file: hour_of_day under [portal_fields]."
        )


def _refuse_differing_rows(path: Path, form: PublishedForm, usable: pd.DataFrame) -> None:
    differing = differing_rows(usable)
    if differing.empty:
        return
    published = read_rows(path, differing.index.tolist())
    columns = distinguishing_columns(published, differing, form.fields.by_column.values())
    raise DifferingRowsError(f"{path}: {describe_differing(differing, columns, form.fields.key)}", differing)
