"""Reads a portal's export file: Parquet, or CSV with technical names or with labels.

Every error names the file, the line and what was expected. What is wrong with a row belongs to `core.published`.
Fetching exports does not belong here.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.core.local_time import starts_an_interval
from bike_assets.core.published import MAX_PER_HOUR, arrange
from bike_assets.core.published_form import PublishedForm
from bike_assets.errors import BikeError

VALUES = ("counted_at", "bike_count")
"""The columns that hardly repeat; all others are categories."""
EXPECTED_TIME = "a time such as 2021-03-28T01:00:00+01:00"
EXPECTED_COUNT = f"a whole number of bikes from 0 to {MAX_PER_HOUR:,}"


@dataclass(frozen=True)
class Export:
    """An export file, and what its columns and times mean."""

    path: Path
    form: PublishedForm

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet; else it is CSV."""
        return self.path.suffix.lower() in {".parquet", ".pq"}

    def names_in(self, found: list[str]) -> dict[str, str]:
        """Return the file's name for each of our columns; the file's other columns are ignored.

        Raises:
            BikeError: columns are missing, or one of them is there twice.
        """
        labels = self.form.labels.by_column if self.form.labels else {}
        names, missing = {}, []
        for column, name in self.form.fields.by_column.items():
            present = [each for each in (name, labels.get(column)) if each in found]
            if present and found.count(present[0]) > 1:
                raise BikeError(f"{self.path} has {found.count(present[0])} columns {present[0]}: one is expected.")
            names.update({column: present[0]} if present else {})
            missing.extend([] if present else [name])
        if missing:
            shown = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
            raise BikeError(
                f"{self.path} is not a portal export: columns {', '.join(missing)} are missing (found: {shown})."
            )
        return names


def read_export(path: Path, form: PublishedForm) -> pd.DataFrame:
    """Read and check a whole export file.

    Args:
        path: the file.
        form: what its columns and times mean.

    Returns:
        Every row of the file, as `core.published.arrange` returns them, including rows without counter, time or count.

    Raises:
        BikeError: the file is missing, unreadable or not an export, or a row has an unreadable time, a time that is not
            the start of an hour, or a count that is not a whole number or is above 1,000,000. The message names file
            and line. A negative count is no such error: as with a portal, its row is rejected later.
    """
    if not path.is_file():
        raise BikeError(f"{path} does not exist or is not a file: BIKE_COUNTS_FILE has to name a portal export.")
    export = Export(path, form)
    raw = _read_parquet(export) if export.is_parquet else _read_csv(export)
    if raw.empty:
        raise BikeError(f"{path} has the columns of an export but no rows.")
    rows = arrange(raw, form.naive_zone)
    place = _Place(export, "row" if export.is_parquet else "line", 1 if export.is_parquet else 2)
    times, counts = rows["counted_at"], rows["bike_count"]
    place.raise_if_any(times.isna() & raw["counted_at"].notna(), raw["counted_at"], EXPECTED_TIME)
    off_the_hour = times.notna() & ~starts_an_interval(times, form.timezone, form.interval_minutes)
    place.raise_if_any(off_the_hour, raw["counted_at"], _expected_start(times, form))
    wrong = (counts.isna() & raw["bike_count"].notna()) | (counts.fillna(0) > MAX_PER_HOUR) | (counts % 1 > 0)
    place.raise_if_any(wrong, raw["bike_count"], EXPECTED_COUNT)
    if not rows[["counter_id", "counted_at", "bike_count"]].notna().all(axis=1).any():
        raise BikeError(f"{path} has no row with a counter, a date and a count.")
    return rows


def _expected_start(times: pd.Series, form: PublishedForm) -> str:
    if form.interval_minutes != 60:
        return f"the start of an interval of {form.interval_minutes} minutes"
    for minutes in (30, 15, 10, 5):
        if starts_an_interval(times.dropna(), form.timezone, minutes).all():
            return f"the start of an hour; if counts cover {minutes} minutes, interval_minutes = {minutes} adds them up"
    return "the start of an hour"


@dataclass(frozen=True)
class _Place:
    export: Export
    unit: str
    first: int

    def raise_if_any(self, bad: pd.Series, values: pd.Series, expected: str) -> None:
        """Raise an error that names the first bad row, if there is one."""
        if bad.any():
            position = int(np.flatnonzero(bad.to_numpy())[0])
            raise BikeError(
                f"{self.export.path}, {self.unit} {position + self.first}: "
                f"{self.export.form.fields.by_column[str(values.name)]} is {str(values.iloc[position])!r}, "
                f"expected {expected} ({int(bad.sum())} such in the file)."
            )


def _read_parquet(export: Export) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = export.names_in(pq.read_schema(export.path).names)
        texts = [name for column, name in names.items() if column not in VALUES]
        table = pq.read_table(export.path, columns=sorted(set(names.values())), read_dictionary=texts)
    except (pa.ArrowInvalid, OSError) as error:
        raise BikeError(f"{export.path} is not a readable Parquet file: {error}.") from None
    # A column that pandas had as its index is a column like the others here.
    rows = table.to_pandas(ignore_metadata=True)
    return pd.DataFrame({column: rows[name] for column, name in names.items()})


def _read_csv(export: Export) -> pd.DataFrame:
    try:
        separator, found = _header(export.path)
        names = export.names_in(found)
        positions = {column: found.index(name) for column, name in names.items()}
        texts = {position for column, position in positions.items() if column not in VALUES}
        rows = pd.read_csv(
            export.path, sep=separator, names=range(len(found)), header=0, usecols=sorted(set(positions.values())),
            dtype={position: "category" if position in texts else "string" for position in positions.values()},
            encoding="utf-8-sig", skip_blank_lines=False,
        )  # fmt: skip
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise BikeError(f"{export.path} is not a readable CSV file: {str(error).strip()}.") from None
    rows = pd.DataFrame({column: rows[position] for column, position in positions.items()})
    return rows if rows.empty or not rows.iloc[-1].isna().all() else rows.iloc[:-1]


def _header(path: Path) -> tuple[str, list[str]]:
    """Return the separator of a CSV file and the names of its columns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline().rstrip("\r\n")
    separator = ";" if header.count(";") >= header.count(",") else ","
    return separator, [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]


def read_rows(path: Path, positions: Sequence[int]) -> pd.DataFrame:
    """Return all columns of some rows of a file that `read_export` has read."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        import pyarrow.parquet as pq

        return pq.read_table(path).take(list(positions)).to_pandas(ignore_metadata=True)
    separator, found = _header(path)
    whole = pd.read_csv(path, sep=separator, names=range(len(found)), header=0, dtype="string", encoding="utf-8-sig")
    return whole.loc[list(positions)].set_axis(found, axis=1)
