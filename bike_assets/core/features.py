"""The one feature function: training, evaluation, daily forecasts and the API all call it.

A feature of target day D at horizon h uses only the counts of days up to D - h, the calendar, and the weather if there
is any: every array below is read at `known = D - h` or at whole weeks before D. Models and reading counts do not belong
here.

The base is also the seasonal naive forecast: the mean of the same hour one to four weeks ago, times the ratio of the
last 7 days to the last 28.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from bike_assets.core.calendar import is_holiday
from bike_assets.core.local_time import as_date, day_numbers, days_between, hours_of, local_days
from bike_assets.core.place import Place
from bike_assets.core.weather_cube import BASE_WEEKS, WEATHER_FEATURES, WeatherCube

HORIZONS = (1, 2, 3)
HISTORY_DAYS = 63
"""Maximum days before the target that a feature uses: eight weeks, and one more week for the longest horizon."""

TREND_BOUNDS = (0.25, 4.0)
SEASONAL = "base"
FEATURES = (
    "horizon_days",
    "hour",
    "weekday",
    "hour_of_week",
    "holiday",
    "holiday_tomorrow",
    "holiday_yesterday",
    "holiday_week_ago",
    "holiday_4_weeks_ago",
    "ratio_last_day",
    "ratio_day_before",
    "ratio_week_ago",
    "ratio_2_weeks_ago",
    "ratio_7_day_hour_mean",
    "ratio_8_week_mean",
    "level_7_over_28",
    "level_1_over_7",
    "log_level_28",
    "log_base",
    "silent_3_days",
    *WEATHER_FEATURES,
)


@dataclass(frozen=True)
class CountCube:
    """Counts by local day, local hour and counter.

    Attributes:
        counters: counter ids, sorted.
        first_day: the local day of index 0.
        values: float32 [days, 24, counters], bikes an hour; NaN where there is no count. The doubled hour of autumn
            holds the mean of both counts, the missing hour of spring NaN.
    """

    counters: tuple[str, ...]
    first_day: date
    values: np.ndarray

    @property
    def last_day(self) -> date:
        """The last local day that the cube covers."""
        return self.first_day + timedelta(days=len(self.values) - 1)

    def until(self, day: date) -> "CountCube":
        """Return the cube up to a day: later days are cut, missing days are NaN."""
        length = max(0, (day - self.first_day).days + 1)
        missing = max(0, length - len(self.values))
        padding = np.full((missing, *self.values.shape[1:]), np.nan, dtype=np.float32)
        return CountCube(self.counters, self.first_day, np.concatenate([self.values[:length], padding]))


def build_cube(counts: pd.DataFrame, timezone: str, also: Sequence[str] = ()) -> CountCube:
    """Arrange counts by day, hour and counter.

    Args:
        counts: rows with counter_id, counted_at (UTC) and bike_count (bikes an hour).
        timezone: the zone of the local days.
        also: counters to include even without counts.

    Raises:
        ValueError: there are no rows.
    """
    if counts.empty:
        raise ValueError("no counts to build features from")
    counters = tuple(sorted(set(counts["counter_id"]) | set(also)))
    days = day_numbers(local_days(counts["counted_at"], timezone))
    first = int(days.min())
    shape = (int(days.max()) - first + 1, 24, len(counters))
    hours = counts["counted_at"].dt.tz_convert(timezone).dt.hour.to_numpy()
    codes = pd.Index(counters).get_indexer(pd.Index(counts["counter_id"]))
    flat = np.ravel_multi_index((days - first, hours, codes), shape)
    totals = np.bincount(flat, weights=counts["bike_count"].to_numpy(float), minlength=int(np.prod(shape)))
    seen = np.bincount(flat, minlength=int(np.prod(shape)))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (totals / seen).astype(np.float32).reshape(shape)
    return CountCube(counters, as_date(np.datetime64(first, "D")), values)


def make_features(
    cube: CountCube, days: Sequence[date], horizon: int, country: str, weather: WeatherCube | None = None
) -> np.ndarray:
    """Return the features of every hour and counter of target days at one horizon.

    Args:
        cube: the counts; those after `day - horizon` are not used.
        days: target days, with or without counts.
        horizon: days ahead, 1 to 3.
        country: ISO code of the public holidays.
        weather: of these days and of the weeks before them; without it the weather features are NaN.

    Returns:
        float32 [days, 24, counters, len(FEATURES) + 1]: the features in order, then the base (bikes an hour; NaN where
        no counter has a count of that hour in the four weeks).
    """
    targets = day_numbers(list(days)) - day_numbers([cube.first_day])[0]
    history = _History(cube, int(targets.max()) + 1)
    known = targets - horizon
    base = history.base(targets, known)
    reference = np.log1p(base)
    level_1, level_7, level_28 = (history.level(known, window)[:, None, :] for window in (1, 7, 28))
    weekday = np.array([day.weekday() for day in days], dtype=np.float32)[:, None, None]
    hour = np.arange(24, dtype=np.float32)[None, :, None]
    columns: dict[str, np.ndarray | np.float32] = {
        "horizon_days": np.float32(horizon),
        "hour": hour,
        "weekday": weekday,
        "hour_of_week": weekday * 24 + hour,
        "holiday": _holidays(days, 0, country),
        "holiday_tomorrow": _holidays(days, 1, country),
        "holiday_yesterday": _holidays(days, -1, country),
        "holiday_week_ago": _holidays(days, -7, country),
        "holiday_4_weeks_ago": _holidays(days, -28, country),
        "ratio_last_day": np.log1p(history.at(known)) - reference,
        "ratio_day_before": np.log1p(history.at(known - 1)) - reference,
        "ratio_week_ago": np.log1p(history.at(targets - 7)) - reference,
        "ratio_2_weeks_ago": np.log1p(history.at(targets - 14)) - reference,
        "ratio_7_day_hour_mean": np.log1p(history.hour_mean(known, 7)) - reference,
        "ratio_8_week_mean": np.log1p(history.weeks(targets, range(1, 9))) - reference,
        "level_7_over_28": np.log1p(level_7) - np.log1p(level_28),
        "level_1_over_7": np.log1p(level_1) - np.log1p(level_7),
        "log_level_28": np.log1p(level_28),
        "log_base": reference,
        "silent_3_days": history.silent(known)[:, None, :],
        **_weather(weather, days, horizon),
    }
    shape = (len(days), 24, len(cube.counters))
    out = np.empty((*shape, len(FEATURES) + 1), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        out[..., position] = np.broadcast_to(columns[name], shape)
    out[..., -1] = base
    return out


def hourly_features_of(
    cube: CountCube,
    days: Sequence[date],
    horizon: int,
    place: Place,
    weather: WeatherCube | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return `make_features` by UTC hour.

    Returns:
        The hours with columns counted_at (UTC), hour (local, 0 to 23) and day (local), and float32 [hours, counters,
        len(FEATURES) + 1].
    """
    block = make_features(cube, days, horizon, place.country, weather)
    by_day = [hours_of(day, place.timezone) for day in days]
    hours = pd.concat(by_day, ignore_index=True)
    day_index = np.repeat(np.arange(len(days)), [len(each) for each in by_day])
    hours["day"] = np.asarray(days, dtype="datetime64[s]")[day_index]
    return hours, block[day_index, hours["hour"].to_numpy()]


def feature_rows(
    cube: CountCube,
    days: Sequence[date],
    horizon: int,
    place: Place,
    weather: WeatherCube | None = None,
) -> pd.DataFrame:
    """Return `make_features` as rows, one for each UTC hour and counter that has a base.

    Returns:
        Columns counter_id, counted_at (UTC), day (local), the features (including horizon_days) and base.
    """
    hours, values = hourly_features_of(cube, days, horizon, place, weather)
    known = ~np.isnan(values[..., -1])
    hour_number, counter_number = np.nonzero(known)
    rows = pd.DataFrame(values[known], columns=[*FEATURES, SEASONAL])
    rows.insert(0, "counter_id", np.asarray(cube.counters, dtype=object)[counter_number])
    rows.insert(1, "counted_at", pd.DatetimeIndex(hours["counted_at"])[hour_number])
    rows.insert(2, "day", hours["day"].to_numpy()[hour_number])
    return rows


class _History:
    """Lagged views of a cube, by day index; days outside the cube are NaN."""

    def __init__(self, cube: CountCube, length: int) -> None:
        self.values = cube.until(cube.first_day + timedelta(days=length - 1)).values
        daily_total, daily_hours = _total_and_count(self.values, axis=1)
        self.daily_total = _cumulative(daily_total)
        self.daily_hours = _cumulative(daily_hours)
        hourly_total, hourly_seen = _total_and_count(self.values[..., None], axis=3)
        self.hourly_total = _cumulative(hourly_total)
        self.hourly_seen = _cumulative(hourly_seen)

    def at(self, days: np.ndarray) -> np.ndarray:
        """Counts [days, 24, counters] of the given days."""
        inside = (days >= 0) & (days < len(self.values))
        out = self.values[np.clip(days, 0, len(self.values) - 1)]
        return np.where(inside[:, None, None], out, np.float32(np.nan))

    def weeks(self, targets: np.ndarray, weeks: Sequence[int]) -> np.ndarray:
        """Mean of the same hour in the given weeks before the targets; weeks without a count are skipped."""
        total, seen = _total_and_count(np.stack([self.at(targets - 7 * week) for week in weeks]), axis=0)
        return _ratio(total, seen)

    def level(self, known: np.ndarray, window: int) -> np.ndarray:
        """Mean count an hour [days, counters] over the `window` days that end with `known`."""
        return _ratio(_window(self.daily_total, known, window), _window(self.daily_hours, known, window))

    def hour_mean(self, known: np.ndarray, window: int) -> np.ndarray:
        """Mean of the same hour over the `window` days that end with `known`."""
        return _ratio(_window(self.hourly_total, known, window), _window(self.hourly_seen, known, window))

    def silent(self, known: np.ndarray) -> np.ndarray:
        """1 where all counts of the three days that end with `known` are zero."""
        zeros = (_window(self.daily_total, known, 3) == 0) & (_window(self.daily_hours, known, 3) > 0)
        return zeros.astype(np.float32)

    def base(self, targets: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The seasonal base. A counter without counts in these weeks gets the city's mean, scaled to its own level."""
        trend = np.clip(self.level(known, 7) / _positive(self.level(known, 28)), *TREND_BOUNDS)
        own = self.weeks(targets, BASE_WEEKS) * np.where(np.isnan(trend), 1.0, trend)[:, None, :]
        city = _ratio(*_total_and_count(own, axis=2))
        settled = np.where(np.isnan(own).all(axis=1), np.nan, self.level(known, 7))
        share = self.level(known, 7) / _positive(_ratio(*_total_and_count(settled, axis=1)))[:, None]
        borrowed = city[:, :, None] * np.where(np.isnan(share), 1.0, share)[:, None, :]
        return np.where(np.isnan(own), borrowed, own).astype(np.float32)


def _total_and_count(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    seen = ~np.isnan(values)
    return np.where(seen, values, 0).sum(axis=axis, dtype=np.float64), seen.sum(axis=axis)


def _cumulative(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0, dtype=np.float64)])


def _window(cumulative: np.ndarray, last: np.ndarray, window: int) -> np.ndarray:
    end = np.clip(last + 1, 0, len(cumulative) - 1)
    start = np.clip(last + 1 - window, 0, len(cumulative) - 1)
    return cumulative[end] - cumulative[start]


def _ratio(total: np.ndarray, seen: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen > 0, total / np.maximum(seen, 1), np.nan)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _holidays(days: Sequence[date], offset: int, country: str) -> np.ndarray:
    flags = [is_holiday(day + timedelta(days=offset), country) for day in days]
    return np.array(flags, dtype=np.float32)[:, None, None]


def _weather(weather: WeatherCube | None, days: Sequence[date], horizon: int) -> dict[str, np.ndarray]:
    if weather is None:
        return dict.fromkeys(WEATHER_FEATURES, np.array(np.nan, dtype=np.float32))
    differences = weather.differences(days, horizon)
    return {name: differences[..., position, None] for position, name in enumerate(WEATHER_FEATURES)}


def history_start(day: date) -> date:
    """Return the first day whose counts a forecast for `day` can use."""
    return day - timedelta(days=HISTORY_DAYS)


def forecast_days(issued_on: date) -> list[date]:
    """Return the target days of a forecast whose last day of counts is `issued_on`, nearest first."""
    return days_between(issued_on + timedelta(days=1), issued_on + timedelta(days=max(HORIZONS)))
