"""The champion in memory: its file, and its forecast of the day ahead. HTTP belongs to `server`.

The forecast is made by the same functions as the daily one; it is made anew when the registry or the counts change.
"""

import threading
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from bike_assets.core.features import forecast_days
from bike_assets.core.forecasting import forecast
from bike_assets.core.local_time import as_date, utc_bounds
from bike_assets.core.schemas import PREDICTIONS
from bike_assets.core.splits import Span
from bike_assets.home import recorded_home
from bike_assets.resources.queries import read_cube, read_weather_cube
from bike_assets.resources.registry import SUMMARY, LocalRegistry, ModelEntry
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings

LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class DayAhead:
    """A champion and what it says of the next day.

    Attributes:
        entry: the version.
        day: the local day that is forecast.
        start: its first hour (UTC).
        end: the first hour after it (UTC).
        counts: forecast bikes by counter id and hour (UTC).
        known: whether a counter was seen in training, by counter id.
        ids: counter id by counter name.
    """

    entry: ModelEntry
    day: date
    start: datetime
    end: datetime
    counts: dict[tuple[str, datetime], float]
    known: dict[str, bool]
    ids: dict[str, str]


class ChampionInMemory:
    """Loads the champion when asked for, and again when what it depends on has changed on disk."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: tuple | None = None
        self._current: DayAhead | None = None
        self._look_again = 0.0

    def get(self) -> DayAhead | None:
        """Return the champion as the files said a second ago at most, or None before there is one.

        Raises:
            BikeError: registry, model file or home cannot be read.
        """
        with self._lock:
            if time.monotonic() >= self._look_again:
                signature = self._signature()
                if signature != self._seen:
                    self._current = self._load()
                    self._seen = signature
                self._look_again = time.monotonic() + LOOK_EVERY_SECONDS
            return self._current

    def _signature(self) -> tuple:
        folder = self._settings.home_folder
        forecasts = LocalWarehouse(folder / "warehouse").state(PREDICTIONS)
        return _state(folder / "registry" / SUMMARY), forecasts[-1:]

    def _load(self) -> DayAhead | None:
        home = recorded_home(self._settings)
        if home is None:
            return None
        registry = LocalRegistry(home.registry)
        entry = registry.read().champion
        warehouse = LocalWarehouse(home.warehouse, self._settings.threads)
        newest = _newest_forecast(warehouse, entry)
        if entry is None or newest is None:
            return None
        cube = read_cube(warehouse, Span(newest, newest), home.timezone)
        ahead = forecast_days(newest)
        weather = read_weather_cube(warehouse, Span(ahead[0], ahead[-1]), home.timezone)
        country = self._settings.holidays_country
        rows = forecast(cube, newest, registry.load(entry), country, home.timezone, weather)
        return _day_ahead(entry, rows[rows["horizon_days"] == 1], _names(warehouse), home.timezone)


def _newest_forecast(warehouse: LocalWarehouse, entry: ModelEntry | None) -> date | None:
    """The day that the newest forecast was issued on: the newest day that the graph holds for complete."""
    rows = warehouse.query("SELECT MAX(issued_on) AS day FROM bike_traffic_predictions.predictions")
    return None if entry is None or rows["day"].isna().all() else as_date(rows["day"].iloc[0])


def _names(warehouse: LocalWarehouse) -> dict[str, str]:
    rows = warehouse.query("SELECT counter_id, counter_name FROM bike_traffic_raw.counters")
    return dict(zip(rows["counter_name"], rows["counter_id"], strict=True))


def _day_ahead(entry: ModelEntry, rows: pd.DataFrame, ids: dict[str, str], timezone: str) -> DayAhead:
    day = as_date(rows["day"].iloc[0])
    start, end = utc_bounds(day, timezone)
    keys = zip(rows["counter_id"], (each.to_pydatetime() for each in rows["counted_at"]), strict=True)
    return DayAhead(
        entry,
        day,
        start.to_pydatetime(),
        end.to_pydatetime(),
        dict(zip(keys, rows["predicted_count"].astype(float), strict=True)),
        dict(zip(rows["counter_id"], rows["known_counter"].astype(bool), strict=True)),
        ids,
    )


def _state(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_ino
