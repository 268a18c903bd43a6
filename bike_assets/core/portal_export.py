"""Reads a portal's export file: Parquet, or CSV with technical names or with labels.

Every error names the file, the line and what was expected. What is wrong with a row belongs to `core.published`.
Fetching exports does not belong here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published import MAX_PER_HOUR, TEXTS, arrange
from bike_assets.errors import BikeError

REPEATED_COLUMNS = (*TEXTS, "coordinates")
EXPECTED_TIME = "a time such as 2021-03-28T01:00:00+01:00"
EXPECTED_COUNT = f"a whole number of bikes from 0 to {MAX_PER_HOUR:,}"


@dataclass(frozen=True)
class Export:
    """An export file, and its names for our columns."""

    path: Path
    fields: PortalFields
    labels: PortalFields | None

    def our_columns(self, found: list[str]) -> dict[str, str]:
        """Return our column names by those of the file; the file's other columns are ignored.

        Raises:
            BikeError: columns are missing.
        """
        names = {name: column for column, name in self.fields.by_column.items()}
        names |= {name: column for column, name in self.labels.by_column.items()} if self.labels else {}
        present = {name: names[name] for name in found if name in names}
        missing = [name for column, name in self.fields.by_column.items() if column not in present.values()]
        if missing:
            shown = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
            raise BikeError(
                f"{self.path} is not a portal export: columns {', '.join(missing)} are missing (found: {shown})."
            )
        return present


def read_export(path: Path, fields: PortalFields, labels: PortalFields | None = None) -> pd.DataFrame:
    """Read and check a whole export file.

    Args:
        path: the file.
        fields: the portal's technical names for our columns.
        labels: their titles in a CSV with labels.

    Returns:
        Every row of the file, as `core.published.arrange` returns them, including rows without counter, time or count.

    Raises:
        BikeError: the file is missing, unreadable or not an export, or a row has an unreadable time, a time that is not
            the start of an hour, or a count that is not a whole number from 0 to 1,000,000. The message names file
            and line.
    """
    if not path.is_file():
        raise BikeError(f"{path} does not exist or is not a file: BIKE_COUNTS_FILE has to name a portal export.")
    export = Export(path, fields, labels)
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    raw = _read_parquet(export) if is_parquet else _read_csv(export)
    if raw.empty:
        raise BikeError(f"{path} has the columns of an export but no rows.")
    rows = arrange(raw)
    place = _Place(export, "row" if is_parquet else "line", 1 if is_parquet else 2)
    times, counts = rows["counted_at"], rows["bike_count"]
    place.raise_if_any(times.isna() & raw["counted_at"].notna(), raw["counted_at"], EXPECTED_TIME)
    place.raise_if_any(times.notna() & (times != times.dt.floor("h")), raw["counted_at"], "the start of an hour")
    wrong = (counts.isna() & raw["bike_count"].notna()) | ~counts.fillna(0).between(0, MAX_PER_HOUR) | (counts % 1 > 0)
    place.raise_if_any(wrong, raw["bike_count"], EXPECTED_COUNT)
    if not rows[["counter_id", "counted_at", "bike_count"]].notna().all(axis=1).any():
        raise BikeError(f"{path} has no row with a counter, a date and a count.")
    return rows


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
                f"{self.export.fields.by_column[str(values.name)]} is {str(values.iloc[position])!r}, "
                f"expected {expected} ({int(bad.sum())} such in the file)."
            )


def _read_parquet(export: Export) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        ours = export.our_columns(pq.read_schema(export.path).names)
        texts = [name for name, column in ours.items() if column in REPEATED_COLUMNS]
        table = pq.read_table(export.path, columns=list(ours), read_dictionary=texts)
    except (pa.ArrowInvalid, OSError) as error:
        raise BikeError(f"{export.path} is not a readable Parquet file: {error}.") from None
    return table.to_pandas().rename(columns=ours)


def _read_csv(export: Export) -> pd.DataFrame:
    try:
        with export.path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n")
        separator = ";" if header.count(";") >= header.count(",") else ","
        found = [name.strip().strip('"') for name in header.split(separator)]
        ours = export.our_columns(found)
        kinds = {name: "category" if column in REPEATED_COLUMNS else "string" for name, column in ours.items()}
        rows = pd.read_csv(
            export.path, sep=separator, names=found, header=0, usecols=list(ours), dtype=kinds, encoding="utf-8-sig",
            skip_blank_lines=False,
        )  # fmt: skip
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise BikeError(f"{export.path} is not a readable CSV file: {str(error).strip()}.") from None
    rows = rows.rename(columns=ours)
    return rows if rows.empty or not rows.iloc[-1].isna().all() else rows.iloc[:-1]
