"""The weather of a synthetic city, its effect on the counts, and forecasts of it. Nothing here is measured.

The weather is derived from its effect on counts: a day with few bikes is wet, windy, grey and cold for the season.
Drawing the counts belongs to `simulation`.
"""

from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd

from bike_assets.core.local_time import day_numbers, days_between, local_days, utc_bounds

DAY = timedelta(days=1)
EFFECT_MEAN, EFFECT_SPREAD = -0.0175, 0.046
"""Mean and standard deviation of `weather_effect` over many days and seeds."""
WARM_SPELL = np.array([0.6, 0.5, 0.4, 0.3, 0.2])
"""The share of a day's own warmth that remains on that day and on each of the next four."""
HOURS = np.arange(24)
MIN_RAIN_WETNESS = 0.3
OWN_DRAWS = ("warmth", "rain", "wind", "cloud", "centre", "width")


class SimulatedWeather:
    """The weather of a city.

    Args:
        seed: determines all weather; the city's counts have the same one.
        timezone: zone of the local days.
    """

    def __init__(self, seed: int, timezone: str) -> None:
        self.seed, self.timezone = seed, timezone

    def hours(self, first: date, last: date) -> pd.DataFrame:
        """Return the weather of the UTC days from first to last.

        Returns:
            Columns at (UTC, start of the hour), temperature (°C), rain (mm in the hour), wind (m/s) and cloud (%), by
            hour.
        """
        at = pd.date_range(pd.Timestamp(first), pd.Timestamp(last) + DAY, freq="h", inclusive="left", tz="UTC")
        days = days_between(first - 2 * DAY, last + 2 * DAY)
        noons = [_noon(day, self.timezone) for day in days]
        draws = self._draws(days)
        badness = np.array([(EFFECT_MEAN - weather_effect(self.seed, day)) / EFFECT_SPREAD for day in days])
        hour = at.tz_convert(self.timezone).hour.to_numpy()
        course = np.cos(2 * np.pi * (hour - 15) / 24)

        def smooth(of_days: np.ndarray) -> np.ndarray:
            return np.interp(at.as_unit("s").asi8, noons, of_days)

        falling = _rain(badness + 0.3 * draws["rain"], draws)
        place = day_numbers(local_days(pd.Series(at), self.timezone)) - day_numbers(days[:1])[0]
        rain = np.round(falling[place, hour], 1)
        temperature = smooth(_season(days) - 1.4 * badness + draws["warmth"]) + smooth(4 - 0.8 * badness) * course
        wind = smooth(3.4 * np.exp(0.22 * badness + 0.12 * draws["wind"])) * (1 + 0.2 * course)
        cloud = np.clip(smooth(50 + 22 * badness + 10 * draws["cloud"]), np.where(rain > 0, 70, 0), 100)
        return _table(at, temperature, rain, wind, cloud)

    def forecast(self, first: date, last: date, today: date) -> pd.DataFrame:
        """Return the weather of the UTC days from first to last, as forecast on a UTC day.

        Days up to today have no error. The error of a later day grows with each day of lead, so the forecast of an
        hour improves from day to day.

        Returns:
            As `hours`.
        """
        truth = self.hours(first, last)
        days = days_between(first, last)
        leads = [max(0, (day - today).days) for day in days]
        errors = [self._errors(day, lead) for day, lead in zip(days, leads, strict=True)]
        warmth, wetness, drizzle, wind, cloud = np.concatenate(errors).T
        lead = np.repeat(leads, len(HOURS))
        rain = truth["rain"] * np.exp(0.3 * wetness - 0.3**2 / 2 * lead)
        rain += np.clip(0.3 * (drizzle - 1.5 * np.sqrt(lead)), 0, None)
        return _table(
            pd.DatetimeIndex(truth["at"]),
            truth["temperature"] + 0.7 * warmth,
            rain,
            truth["wind"] * np.exp(0.12 * wind),
            np.clip(truth["cloud"] + 8 * cloud, 0, 100),
        )

    def _draws(self, days: list[date]) -> dict[str, np.ndarray]:
        """The random part of the weather that has no effect on counts: standard normal, warmth in °C."""
        before = days_between(days[0] - (len(WARM_SPELL) - 1) * DAY, days[-1])
        drawn = np.array([_generator(self.seed, 7, day).normal(size=len(OWN_DRAWS)) for day in before])
        own = dict(zip(OWN_DRAWS, drawn[len(WARM_SPELL) - 1 :].T, strict=True))
        return {**own, "warmth": 1.5 * np.convolve(drawn[:, 0], WARM_SPELL, mode="valid")}

    def _errors(self, day: date, lead: int) -> np.ndarray:
        """The error of each UTC hour [24, 5]: one random step for each day of lead, mostly shared by all hours."""
        steps = _generator(self.seed, 8, day).normal(size=(lead, 25, 5)).sum(axis=0)
        return 0.9 * steps[:1] + 0.4 * steps[1:]


def weather_effect(seed: int, day: date) -> float:
    """Return the effect of the weather of a local day and of the two days before, as the log of a factor on counts."""
    return float(np.dot([0.7, 0.4, 0.15], [_shock(seed, day - ago * DAY) for ago in range(3)]))


@lru_cache(maxsize=10_000)
def _shock(seed: int, day: date) -> float:
    """The effect of a day's weather on a log scale; bad weather has twice the effect of good weather."""
    draw = _generator(seed, 2, day).normal(0, 0.07)
    return float(draw if draw < 0 else 0.5 * draw)


def _generator(seed: int, purpose: int, day: date) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, day.toordinal()])


def _noon(day: date, timezone: str) -> float:
    """The middle of a local day in seconds since 1970."""
    start, end = utc_bounds(day, timezone)
    return (start.timestamp() + end.timestamp()) / 2


def _season(days: list[date]) -> np.ndarray:
    """The usual temperature of days in °C."""
    of_year = np.array([day.timetuple().tm_yday for day in days])
    return 12 - 8 * np.cos(2 * np.pi * (of_year - 20) / 365.25)


def _rain(wetness: np.ndarray, draws: dict[str, np.ndarray]) -> np.ndarray:
    """The rain in mm by local hour [days, 24]: a wet day has one spell, mostly during waking hours."""
    amount = 4 * np.clip(wetness - MIN_RAIN_WETNESS, 0, None) ** 1.3
    centre, width = np.clip(13 + 4 * draws["centre"], 4, 20), 3 * np.exp(0.4 * draws["width"])
    spell = np.exp(-(((HOURS - centre[:, None]) / width[:, None]) ** 2))
    return amount[:, None] * spell / spell.sum(axis=1, keepdims=True)


def _table(
    at: pd.DatetimeIndex, temperature: np.ndarray, rain: np.ndarray, wind: np.ndarray, cloud: np.ndarray
) -> pd.DataFrame:
    """One row an hour, rounded as weather services round."""
    values = {
        "temperature": np.round(temperature, 1),
        "rain": np.round(rain, 1),
        "wind": np.round(wind, 1),
        "cloud": np.round(cloud),
    }
    return pd.DataFrame({"at": at.as_unit("us"), **{name: np.asarray(each) for name, each in values.items()}})
