"""Published weather, arranged by the hour: file formats, limits of plausible values, and interpolation.

Features from weather belong to `weather_cube`; fetching, storing and reading it belong to `resources`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.core.weather_cube import WEATHER_COLUMNS
from bike_assets.errors import BikeError

PLAUSIBLE = {"temperature": (-60.0, 60.0), "rain": (0.0, 200.0), "wind": (0.0, 100.0), "cloud": (0.0, 100.0)}
"""In °C, mm in the hour, m/s and %. Values outside are dropped."""
MAX_STEP_HOURS = 3
KELVIN = 273.15
TRACE = -0.1
"""SYNOP's code for rain that was too little to measure."""
OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
EXPECTED_TIME = "a time with its offset from UTC, such as 2026-03-28T01:00:00+01:00"


@dataclass(frozen=True)
class FileFormat:
    """One format of a weather file.

    Attributes:
        time: the column of times.
        numbers: the other required columns; a value may be missing.
        rain_fell_before: whether the rain fell before the row's time, not after it.
        convert: converts the file's columns to ours.
    """

    time: str
    numbers: tuple[str, ...]
    rain_fell_before: bool
    convert: Callable[[pd.DataFrame], pd.DataFrame]

    @property
    def columns(self) -> tuple[str, ...]:
        """All required columns."""
        return (self.time, *self.numbers)


def _from_own_format(raw: pd.DataFrame) -> pd.DataFrame:
    return raw.set_axis(list(WEATHER_COLUMNS), axis=1)


def _from_synop(raw: pd.DataFrame) -> pd.DataFrame:
    rain = raw[["rain_1h_mm", "rain_3h_mm"]].replace(TRACE, 0.0)
    hourly = (rain["rain_3h_mm"] / 3).fillna(rain["rain_1h_mm"])
    temperature = raw["temperature_k"] - KELVIN
    return pd.DataFrame(
        {"temperature": temperature, "rain": hourly, "wind": raw["wind_mps"], "cloud": raw["cloud_pct"]}
    )


OWN_FORMAT = FileFormat("at", ("temperature_c", "rain_mm", "wind_mps", "cloud_pct"), False, _from_own_format)
SYNOP_FORMAT = FileFormat(
    "date", ("temperature_k", "wind_mps", "rain_1h_mm", "rain_3h_mm", "cloud_pct"), True, _from_synop
)


def arrange_weather(published: pd.DataFrame, rain_fell_before: bool) -> pd.DataFrame:
    """Arrange published weather as one row an hour. Steps of up to three hours are filled; wider gaps stay missing.

    Temperature, wind and cloud are interpolated linearly; rain is repeated.

    Args:
        published: at (UTC, the start of an hour, each once), temperature (°C), rain (mm in an hour), wind (m/s), cloud
            (%), each of which may be missing.
        rain_fell_before: whether a row's rain fell before its time, as stations and services report it, not after.

    Returns:
        at (UTC, start of the hour), WEATHER_COLUMNS, and implausible: the number of values of the row that were dropped
        as implausible. Sorted by hour, without gaps.
    """
    rows = published.set_index("at").sort_index()
    values = rows[list(WEATHER_COLUMNS)].astype("float64")
    wrong = pd.DataFrame(
        {name: ~values[name].between(*PLAUSIBLE[name]) & values[name].notna() for name in WEATHER_COLUMNS}
    )
    values = values.mask(wrong)
    hours = pd.DatetimeIndex([], tz="UTC", name="at")
    if len(rows):
        hours = pd.date_range(rows.index[0], rows.index[-1], freq="h", name="at")
    filled = {name: _bridged(values[name].reindex(hours), pd.Series.interpolate) for name in WEATHER_COLUMNS}
    rain = values["rain"]
    if rain_fell_before:
        filled["rain"] = _bridged(rain.shift(freq="-1h").reindex(hours), pd.Series.bfill)
    else:
        filled["rain"] = _bridged(rain.reindex(hours), pd.Series.ffill)
    implausible = wrong.sum(axis=1).reindex(hours, fill_value=0).astype("int64")
    return pd.DataFrame(filled).assign(implausible=implausible).reset_index()


def _bridged(values: pd.Series, fill: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Fill between values that are at most MAX_STEP_HOURS apart."""
    known = pd.Series(np.arange(len(values), dtype=np.float64), values.index).where(values.notna())
    return fill(values).where(known.bfill() - known.ffill() <= MAX_STEP_HOURS)


def read_weather_file(path: Path) -> pd.DataFrame:
    """Read a whole weather file, CSV or Parquet.

    The file has one of two formats. Ours: `at` (ISO time with offset, start of the hour), `temperature_c`, `rain_mm`,
    `wind_mps`, `cloud_pct`. SYNOP, as stations report: `date`, `temperature_k`, `wind_mps`, `rain_1h_mm`, `rain_3h_mm`
    (before that time) and `cloud_pct`. Other columns are ignored.

    Returns:
        As `arrange_weather`.

    Raises:
        BikeError: the file cannot be read or has neither format, or a row has an unusable or repeated time or a value
            that is not a number. The message names file, row, column and what was expected.
    """
    if not path.is_file():
        raise BikeError(f"{path} does not exist or is not a file: BIKE_WEATHER_FILE has to name a weather file.")
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    raw = _read_parquet(path) if is_parquet else _read_csv(path)
    file_format = _format_of(path, list(raw.columns))
    raw = raw[list(file_format.columns)].dropna(how="all")
    if raw.empty:
        raise BikeError(f"{path} has the columns of a weather file but no rows.")
    place = _Place(path, "row" if is_parquet else "line", 1 if is_parquet else 2)
    numbers = raw[list(file_format.numbers)].apply(pd.to_numeric, errors="coerce").astype("float64")
    for name in file_format.numbers:
        unreadable = (numbers[name].isna() & raw[name].notna()) | np.isinf(numbers[name])
        place.raise_if_any(unreadable, raw[name], "a number, or nothing where none is known")
    times = _times(raw[file_format.time])
    place.raise_if_any(times.isna(), raw[file_format.time], EXPECTED_TIME)
    place.raise_if_any(times != times.dt.floor("h"), raw[file_format.time], "the start of an hour")
    place.raise_if_any(times.duplicated(), raw[file_format.time], "every hour once")
    return arrange_weather(file_format.convert(numbers).assign(at=times), file_format.rain_fell_before)


@dataclass(frozen=True)
class _Place:
    path: Path
    unit: str
    first: int

    def raise_if_any(self, bad: pd.Series, values: pd.Series, expected: str) -> None:
        """Raise an error that names the first bad row, if there is one."""
        if bad.any():
            position = int(np.flatnonzero(bad.to_numpy())[0])
            value = values.iloc[position]
            raise BikeError(
                f"{self.path}, {self.unit} {values.index[position] + self.first}: {values.name} is "
                f"{'missing' if pd.isna(value) else repr(str(value))}, expected {expected} "
                f"({int(bad.sum())} such in the file)."
            )


def _format_of(path: Path, found: list[str]) -> FileFormat:
    for file_format in (OWN_FORMAT, SYNOP_FORMAT):
        if set(file_format.columns) <= set(found):
            return file_format
    shown = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    raise BikeError(
        f"{path} is not a weather file: expected the columns {', '.join(OWN_FORMAT.columns)}, "
        f"or {', '.join(SYNOP_FORMAT.columns)} (found: {shown})."
    )


def _times(values: pd.Series) -> pd.Series:
    """Times in UTC; missing where a value is not a time or has no offset from UTC."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC")
    texts = values.where(values.map(lambda value: isinstance(value, str))).astype("string").str.strip()
    has_offset = texts.str.contains(OFFSET, regex=True).fillna(False).to_numpy(dtype=bool)
    return pd.to_datetime(texts.where(has_offset), format="ISO8601", utc=True, errors="coerce")


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype="string", encoding="utf-8-sig", skip_blank_lines=False, skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise BikeError(f"{path} is empty: a weather file is expected.") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise BikeError(f"{path} is not a readable CSV file: {str(error).strip()}.") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pandas(ignore_metadata=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise BikeError(f"{path} is not a readable Parquet file: {error}.") from None
