"""Observed and forecast weather by local day and hour, and its difference from the weather of the base's weeks.

A feature of target day D at horizon h uses the forecast for D that was made on the day D - h. Where no such forecast is
stored it uses the weather observed on D, which was not known on D - h: a training that uses it has to report that.
Reading and storing weather does not belong here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from bike_assets.core.local_time import as_date, day_numbers, local_days

WEATHER_COLUMNS = ("temperature", "rain", "wind", "cloud")
WEATHER_FEATURES = ("warmer", "wetter", "windier", "cloudier")
BASE_WEEKS = (1, 2, 3, 4)
OBSERVED = 0


@dataclass(frozen=True)
class WeatherCube:
    """Weather by lead, local day and local hour.

    Attributes:
        first_day: the local day of index 0.
        values: float32 [days, 24, len(WEATHER_COLUMNS)] by lead (0: observed; 1 to 3: forecast that many days
            before), rain as log(1 + mm), NaN where unknown.
    """

    first_day: date
    values: dict[int, np.ndarray]

    def differences(self, days: Sequence[date], horizon: int) -> np.ndarray:
        """Return the weather of days at one horizon, minus the mean of the same hour one to four weeks before.

        Returns:
            float32 [days, 24, len(WEATHER_FEATURES)]; NaN where either is unknown.
        """
        targets = day_numbers(list(days)) - day_numbers([self.first_day])[0]
        forecast, observed = self._at(horizon, targets), self._at(OBSERVED, targets)
        before = np.stack([self._at(OBSERVED, targets - 7 * week) for week in BASE_WEEKS])
        seen = ~np.isnan(before)
        usual = np.where(seen, before, 0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
        return (np.where(np.isnan(forecast), observed, forecast) - usual).astype(np.float32)

    def shares(self, days: Sequence[date], horizon: int) -> tuple[float, float]:
        """Return the share of the hours of days with known weather, and the share with a forecast."""
        targets = day_numbers(list(days)) - day_numbers([self.first_day])[0]
        forecast, observed = (~np.isnan(self._at(lead, targets)).all(axis=-1) for lead in (horizon, OBSERVED))
        return float((forecast | observed).mean()), float(forecast.mean())

    @property
    def digest(self) -> str:
        """Digest of the weather: the same for the same weather."""
        parts = [str(self.first_day).encode(), *(self.values[lead].tobytes() for lead in sorted(self.values))]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def _at(self, lead: int, days: np.ndarray) -> np.ndarray:
        values = self.values.get(lead)
        if values is None:
            return np.full((len(days), 24, len(WEATHER_COLUMNS)), np.nan, dtype=np.float32)
        inside = (days >= 0) & (days < len(values))
        return np.where(inside[:, None, None], values[np.clip(days, 0, len(values) - 1)], np.float32(np.nan))


def build_weather(rows: pd.DataFrame, timezone: str) -> WeatherCube | None:
    """Arrange weather by lead, day and hour; the doubled hour of autumn holds the mean of both.

    Args:
        rows: at (UTC, start of the hour), lead_days, and WEATHER_COLUMNS (°C, mm, m/s, %), which may be missing.
        timezone: the zone of the local days.

    Returns:
        The cube, or None for no rows.
    """
    if rows.empty:
        return None
    days = day_numbers(local_days(rows["at"], timezone))
    first = int(days.min())
    shape = (int(days.max()) - first + 1, 24)
    hours = rows["at"].dt.tz_convert(timezone).dt.hour.to_numpy()
    flat = np.ravel_multi_index((days - first, hours), shape)
    found = rows[list(WEATHER_COLUMNS)].to_numpy(dtype=np.float64)
    found[:, WEATHER_COLUMNS.index("rain")] = np.log1p(found[:, WEATHER_COLUMNS.index("rain")])
    leads = rows["lead_days"].to_numpy()
    values = {int(lead): _means(flat[leads == lead], found[leads == lead], shape) for lead in np.unique(leads)}
    return WeatherCube(as_date(np.datetime64(first, "D")), values)


def _means(flat: np.ndarray, found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    columns = []
    for column in found.T:
        seen = ~np.isnan(column)
        totals = np.bincount(flat[seen], weights=column[seen], minlength=shape[0] * shape[1])
        number = np.bincount(flat[seen], minlength=shape[0] * shape[1])
        columns.append((totals / np.where(number, number, np.nan)).reshape(shape))
    return np.stack(columns, axis=-1).astype(np.float32)
