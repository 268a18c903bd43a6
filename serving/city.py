"""The city's data: counters, the last week's counts, and the model's inputs for every hour that has a forecast.

Reading it fills arrays, with the same feature function as training and the daily forecasts, so a request only picks
rows. Models and HTTP do not belong here.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bike_assets.core.families.base import INPUTS, counter_codes, model_inputs
from bike_assets.core.features import HORIZONS, CountCube, build_cube, forecast_days, history_start, hourly_features_of
from bike_assets.core.forecasting import active_counters
from bike_assets.core.local_time import as_date, day_numbers, days_between
from bike_assets.core.place import Place
from bike_assets.core.schemas import COUNTERS, INGESTIONS, WEATHER
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import WeatherCube
from bike_assets.resources.queries.counts import counter_places, read_counts, whole_days
from bike_assets.resources.queries.weather import read_weather_cube
from bike_assets.resources.table_rows import plain_rows
from bike_assets.resources.warehouse import Warehouse

PAST_DAYS = 6
"""Days before the newest one for which the API gives hindcasts."""
HOUR = 3600


@dataclass(frozen=True)
class Counter:
    """A counter as the newest counts leave it.

    Attributes:
        counter_id: its id.
        counter_name: its name.
        latitude: degrees north.
        longitude: degrees east.
        state: active, new, silent or gone.
        last_day: the last local day with counts.
        last_counted_at: the last hour with a count (UTC), if it is in the last ten weeks.
        last_count: bikes in that hour.
    """

    counter_id: str
    counter_name: str
    latitude: float | None
    longitude: float | None
    state: str
    last_day: date
    last_counted_at: datetime | None
    last_count: int | None


@dataclass(frozen=True)
class CityData:
    """The warehouse's data when it was read.

    Attributes:
        timezone: zone of the local days.
        newest: the newest local day with all its hours.
        begins: when the first hour begins, in seconds since 1970 (UTC); the others follow without a gap.
        days: local day of each hour, in days since 1970 [hours].
        horizons: days from the end of the counts to each hour's day [hours].
        counters: all counters that ever had counts.
        columns: index of the column by counter id, for counters that may have a forecast.
        inputs: float32 [hours, columns, len(INPUTS)], without the counters' codes.
        base: float32 [hours, columns], the seasonal naive forecast; NaN where there can be no forecast.
        counts: float32 [hours, columns], bikes an hour; NaN where nothing was counted (yet).
    """

    timezone: str
    newest: date
    begins: int
    days: np.ndarray
    horizons: np.ndarray
    counters: tuple[Counter, ...]
    columns: dict[str, int]
    inputs: np.ndarray
    base: np.ndarray
    counts: np.ndarray

    @cached_property
    def by_id(self) -> dict[str, Counter]:
        """Counters by id."""
        return {counter.counter_id: counter for counter in self.counters}

    @cached_property
    def by_name(self) -> dict[str, list[Counter]]:
        """Counters by name. Several may share a name."""
        found: dict[str, list[Counter]] = {}
        for counter in self.counters:
            found.setdefault(counter.counter_name, []).append(counter)
        return found

    @cached_property
    def range(self) -> tuple[datetime, datetime]:
        """Start of the first hour and end of the last one, in local time."""
        return self.local_hour(0), self.local_hour(len(self.days))

    @property
    def counts_end(self) -> datetime:
        """The end of the newest whole day of counts."""
        return self.local_hour(int(self.hours_ahead(1)[0]))

    def hours_ahead(self, days: int) -> np.ndarray:
        """Return the indices of the hours of the first days after the newest one."""
        ahead = self.days - day_numbers([self.newest])[0]
        return np.flatnonzero((ahead > 0) & (ahead <= days))

    def hours_past(self, days: int) -> np.ndarray:
        """Return the indices of the hours of the last days, the newest one included."""
        behind = day_numbers([self.newest])[0] - self.days
        return np.flatnonzero((behind >= 0) & (behind < days))

    def local_hour(self, index: int) -> datetime:
        """Return when an hour begins, in local time with its offset."""
        return datetime.fromtimestamp(self.begins + index * HOUR, UTC).astimezone(ZoneInfo(self.timezone))


def state_of(warehouse: Warehouse) -> tuple:
    """Return a state of the tables. If it changes, the city has to be read again."""
    return tuple(warehouse.state(table) for table in (INGESTIONS, COUNTERS, WEATHER))


def read_city(warehouse: Warehouse, place: Place) -> CityData | None:
    """Read the city; return None while there is no whole day of counts.

    Args:
        warehouse: warehouse of the home.
        place: the holidays and the zone of the local days.
    """
    span = whole_days(warehouse, place.timezone)
    if span is None:
        return None
    newest = span.last
    first = newest - timedelta(days=PAST_DAYS)
    # Like the daily forecasts: start at the first day that the oldest forecast here can depend on.
    counts = read_counts(warehouse, Span(history_start(first - timedelta(days=max(HORIZONS))), newest))
    cube = build_cube(counts, place.timezone)
    ahead = forecast_days(newest)
    weather = read_weather_cube(warehouse, Span(first, ahead[-1]), place.timezone)
    days_at = [(days_between(first, newest) + ahead[:1], 1), *[([day], h) for h, day in enumerate(ahead, 1) if h > 1]]
    hours, values = _features(cube, days_at, place, weather)
    begins = int(hours["counted_at"].iloc[0].timestamp())
    flat = values.reshape(-1, values.shape[-1])
    inputs = model_inputs(np.zeros(len(flat)), flat[:, :-1].T).reshape(*values.shape[:2], len(INPUTS))
    return CityData(
        timezone=place.timezone,
        newest=newest,
        begins=begins,
        days=hours["day"].to_numpy(dtype="datetime64[D]").astype(np.int64),
        horizons=hours["horizon"].to_numpy(),
        counters=_counters(warehouse, counts),
        columns={counter: column for column, counter in enumerate(cube.counters)},
        inputs=inputs,
        base=_base_where_active(values[..., -1], hours, cube),
        counts=_counts_array(counts, cube, begins, len(hours)),
    )


def _features(
    cube: CountCube,
    days_at: list[tuple[list[date], int]],
    place: Place,
    weather: WeatherCube | None,
) -> tuple[pd.DataFrame, np.ndarray]:
    parts = [
        (hours.assign(horizon=horizon), values)
        for days, horizon in days_at
        for hours, values in [hourly_features_of(cube, days, horizon, place, weather)]
    ]
    return pd.concat([hours for hours, _ in parts], ignore_index=True), np.concatenate([values for _, values in parts])


def _base_where_active(base: np.ndarray, hours: pd.DataFrame, cube: CountCube) -> np.ndarray:
    """Set the base to NaN where the counter published no count in the four weeks before the forecast."""
    issued_on = hours["day"] - pd.to_timedelta(hours["horizon"], unit="D")
    masks = {day: np.isin(cube.counters, list(active_counters(cube, day.date()))) for day in issued_on.unique()}
    active = np.stack([masks[day] for day in issued_on])
    return np.where(active, base, np.float32(np.nan))


def _counts_array(counts: pd.DataFrame, cube: CountCube, begins: int, hours: int) -> np.ndarray:
    out = np.full((hours, len(cube.counters)), np.nan, dtype=np.float32)
    index = (counts["counted_at"].to_numpy(dtype="datetime64[s]").astype(np.int64) - begins) // HOUR
    recent = index >= 0
    out[index[recent], counter_codes(counts["counter_id"][recent], cube.counters)] = counts["bike_count"][recent]
    return out


def _counters(warehouse: Warehouse, counts: pd.DataFrame) -> tuple[Counter, ...]:
    rows = counter_places(warehouse)
    last = counts.sort_values("counted_at").drop_duplicates("counter_id", keep="last")
    rows = rows.merge(last[["counter_id", "counted_at", "bike_count"]], how="left", on="counter_id")
    return tuple(
        Counter(
            row["counter_id"],
            row["counter_name"],
            row["latitude"],
            row["longitude"],
            row["state"],
            as_date(row["last_day"]),
            row["counted_at"] and row["counted_at"].to_pydatetime(),
            None if row["bike_count"] is None else int(row["bike_count"]),
        )
        for row in plain_rows(rows)
    )
