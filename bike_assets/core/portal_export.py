"""Reads a portal's export file (Parquet, or CSV with technical names or French labels) into rows of counts.

Every refusal names the file, the line and what was expected. Fetching exports does not belong here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.errors import BikeError

LABELS = {
    "Identifiant du compteur": "id_compteur",
    "Nom du compteur": "nom_compteur",
    "Identifiant du site de comptage": "id",
    "Nom du site de comptage": "name",
    "Comptage horaire": "sum_counts",
    "Date et heure de comptage": "date",
    "Coordonnées géographiques": "coordinates",
}
COLUMNS = {
    "id_compteur": "counter_id",
    "nom_compteur": "counter_name",
    "id": "site_id",
    "name": "site_name",
    "sum_counts": "bike_count",
    "date": "counted_at",
    "coordinates": "coordinates",
}
MOST_AN_HOUR = 1_000_000
"""No street carries more bikes an hour; what is above is no count. Outliers below it are real rows."""
REPEATED = ("id_compteur", "nom_compteur", "id", "name", "coordinates")


@dataclass(frozen=True)
class Export:
    """A read export.

    Attributes:
        rows: counter_id, counter_name, site_id, site_name (categories), latitude, longitude (degrees), counted_at
            (UTC) and bike_count (bikes an hour); the last row of a key wins.
        incomplete: counted_at of the rows that name no counter or no count; NaT where that is missing too.
        duplicates: rows that a later one of the same counter and hour replaced.
    """

    rows: pd.DataFrame
    incomplete: pd.Series
    duplicates: int


def read_export(path: Path) -> Export:
    """Read and check a whole export file.

    Raises:
        BikeError: the file is missing or unreadable, is no export, or a row has an unparsable date, a date off the
            hour, or a count that is not a whole number from 0; the message names file and line.
    """
    if not path.is_file():
        raise BikeError(f"{path} does not exist or is not a file: BIKE_COUNTS_FILE has to name a portal export.")
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    table = _read_parquet(path) if is_parquet else _read_csv(path)
    place = _Place(path, "row" if is_parquet else "line", 1 if is_parquet else 2)
    if table.empty:
        raise BikeError(f"{path} has the columns of an export but no rows.")
    counted_at = _hours(table["date"], place)
    counts = _counts(table["sum_counts"], place)
    complete = table["id_compteur"].notna() & counts.notna() & counted_at.notna()
    latitude, longitude = _coordinates(table["coordinates"])
    rows = table[["id_compteur", "nom_compteur", "id", "name"]].rename(columns=COLUMNS)
    rows = rows.assign(latitude=latitude, longitude=longitude, counted_at=counted_at, bike_count=counts)[complete]
    if rows.empty:
        raise BikeError(f"{path} has no row with a counter, a date and a count.")
    rows["bike_count"] = rows["bike_count"].astype("int64")
    unique = rows.drop_duplicates(["counter_id", "counted_at"], keep="last").reset_index(drop=True)
    return Export(unique, counted_at[~complete].reset_index(drop=True), len(rows) - len(unique))


@dataclass(frozen=True)
class _Place:
    path: Path
    unit: str
    first: int

    def refuse(self, bad: pd.Series, values: pd.Series, expected: str) -> None:
        """Refuse the file if any row is bad, naming the first."""
        if bad.any():
            position = int(np.flatnonzero(bad.to_numpy())[0])
            raise BikeError(
                f"{self.path}, {self.unit} {position + self.first}: {values.name} is {str(values.iloc[position])!r}, "
                f"expected {expected} ({int(bad.sum())} such in the file)."
            )


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).names
        _check_columns(path, found)
        texts = [name for name in found if LABELS.get(name, name) in REPEATED]
        wanted = [name for name in found if LABELS.get(name, name) in COLUMNS]
        table = pq.read_table(path, columns=wanted, read_dictionary=texts)
    except (pa.ArrowInvalid, OSError) as error:
        raise BikeError(f"{path} is not a readable Parquet file: {error}.") from None
    rows = table.to_pandas().rename(columns=LABELS)
    return rows.assign(**{name: _as_text(rows[name]).astype("category") for name in REPEATED})


def _as_text(values: pd.Series) -> pd.Series:
    """Ids are published as text or as whole numbers, coordinates as text or as records."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("Int64").astype("string")
    return values.map(lambda value: f"{value['lat']},{value['lon']}" if isinstance(value, dict) else value)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n")
        separator = ";" if header.count(";") >= header.count(",") else ","
        found = [name.strip().strip('"') for name in header.split(separator)]
        _check_columns(path, found)
        wanted = [name for name in found if LABELS.get(name, name) in COLUMNS]
        kinds = {name: "category" if LABELS.get(name, name) in REPEATED else "string" for name in wanted}
        rows = pd.read_csv(
            path, sep=separator, names=found, header=0, usecols=wanted, dtype=kinds, encoding="utf-8-sig",
            skip_blank_lines=False,
        )  # fmt: skip
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise BikeError(f"{path} is not a readable CSV file: {str(error).strip()}.") from None
    rows = rows.rename(columns=LABELS)
    return rows if rows.empty or not rows.iloc[-1].isna().all() else rows.iloc[:-1]


def _check_columns(path: Path, found: list[str]) -> None:
    present = {LABELS.get(name, name) for name in found}
    missing = [name for name in COLUMNS if name not in present]
    if missing:
        shown = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
        raise BikeError(f"{path} is not a portal export: columns {', '.join(missing)} are missing (found: {shown}).")


def _hours(values: pd.Series, place: _Place) -> pd.Series:
    times = pd.to_datetime(values, utc=True, errors="coerce", format=None if _is_time(values) else "ISO8601")
    place.refuse(times.isna() & values.notna(), values, "a time such as 2021-03-28T01:00:00+01:00")
    place.refuse(times.notna() & (times != times.dt.floor("h")), values, "the start of an hour")
    return times.astype("datetime64[us, UTC]")


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _counts(values: pd.Series, place: _Place) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = (numbers.isna() & values.notna()) | ~numbers.fillna(0).between(0, MOST_AN_HOUR) | (numbers % 1 > 0)
    place.refuse(wrong.fillna(False), values, f"a whole number of bikes from 0 to {MOST_AN_HOUR:,}")
    return numbers


def _coordinates(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Split "lat,lon" into two arrays of degrees; what is not of that form is unknown."""
    texts = values.astype("category").cat
    points = np.array([_point(text) for text in texts.categories] + [(np.nan, np.nan)]).reshape(-1, 2)
    return points[texts.codes, 0], points[texts.codes, 1]


def _point(text: str) -> tuple[float, float]:
    latitude, _, longitude = str(text).partition(",")
    try:
        return float(latitude), float(longitude)
    except ValueError:
        return np.nan, np.nan
