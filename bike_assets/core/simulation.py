"""A synthetic city of bike counters: the source of a home without real counts. Nothing here is measured.

Each day has its own random generator, seeded by the city's seed and the day. A day therefore has the same counts in
every requested range.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from bike_assets.core.calendar import is_holiday
from bike_assets.core.local_time import days_between, hours_of
from bike_assets.core.simulated_weather import weather_effect

CENTRE = (48.8566, 2.3522)
FIRST_OPENING = date(2025, 12, 1)
"""From this day on the last sixteenth of the counters opens, one counter at a time, so that new counters occur."""
DAYS_BETWEEN_OPENINGS = 75
COMMUTE = np.array([2, 1, 1, 1, 2, 6, 18, 52, 100, 62, 36, 34, 40, 42, 40, 44, 56, 84, 96, 66, 40, 26, 16, 8]) / 40.0
LEISURE = np.array([6, 4, 3, 2, 1, 2, 4, 8, 16, 28, 42, 54, 58, 60, 66, 72, 74, 70, 60, 46, 32, 24, 16, 10]) / 34.0
STREETS = ("rue des Lilas", "boulevard du Canal", "quai du Pont", "avenue du Parc", "cours de la Gare", "rue du Moulin")


class SimulatedCity:
    """A city with a fixed set of counters, two directions a site.

    Args:
        seed: determines every count.
        counters: number of counters; every two share a site.
        timezone: zone of the local days.
        country: ISO code; its public holidays have fewer bikes.
    """

    def __init__(self, seed: int, counters: int, timezone: str, country: str) -> None:
        self.seed, self.timezone, self.country = seed, timezone, country
        random = np.random.default_rng([seed, 0])
        sites: np.ndarray = np.arange(counters) // 2
        levels = random.lognormal(4.2, 0.75, size=sites.max() + 1)
        self.level = levels[sites] * random.uniform(0.75, 1.25, size=counters)
        self.commute_share = random.uniform(0.35, 0.95, size=sites.max() + 1)[sites]
        self.morning = np.where(np.arange(counters) % 2 == 0, 1.0, -1.0) * random.uniform(0.1, 0.6, size=counters)
        self.shift_hours = random.normal(0, 0.35, size=counters)
        offsets = random.normal(0, 0.022, size=(sites.max() + 1, 2))[sites]
        names = [f"{10 + 4 * site} {STREETS[site % len(STREETS)]}" for site in sites]
        self.counters = pd.DataFrame(
            {
                "counter_id": [f"{900_000 + site}-{910_000 + number}" for number, site in enumerate(sites)],
                "counter_name": [f"{name} {'N-S' if n % 2 == 0 else 'S-N'}" for n, name in enumerate(names)],
                "site_id": [str(900_000 + site) for site in sites],
                "site_name": names,
                "latitude": np.round(CENTRE[0] + offsets[:, 0], 6),
                "longitude": np.round(CENTRE[1] + 1.4 * offsets[:, 1], 6),
            }
        )
        late = np.maximum(np.arange(counters) - (counters - counters // 16), -1)
        self.opening = [FIRST_OPENING + timedelta(days=DAYS_BETWEEN_OPENINGS * int(each)) for each in late]
        self.opens_late = late >= 0
        self._outages: dict[int, np.ndarray] = {}

    def counts(self, first: date, last: date) -> pd.DataFrame:
        """Return the counts of the local days from first to last.

        Returns:
            Columns counter_id, counter_name, site_id, site_name, latitude, longitude, counted_at (UTC) and bike_count
            (bikes an hour), by hour and counter.
        """
        return pd.concat([self._day(day) for day in days_between(first, last)], ignore_index=True)

    def _day(self, day: date) -> pd.DataFrame:
        random = np.random.default_rng([self.seed, 1, day.toordinal()])
        hours = hours_of(day, self.timezone)
        expected = self.profile(day)[hours["hour"].to_numpy()] * self.level * self._city_factor(day)
        wobble = random.normal(0, 0.08, size=len(self.level))
        noise = random.gamma(40.0, 1 / 40.0, size=expected.shape)
        counts = random.poisson(expected * np.exp(wobble) * noise)
        open_now = np.flatnonzero(self._is_open(day) & ~self._is_out(day.toordinal() // 4))
        rows = self.counters.iloc[np.tile(open_now, len(hours))].reset_index(drop=True)
        rows["counted_at"] = hours["counted_at"].repeat(len(open_now)).array
        rows["bike_count"] = counts[:, open_now].ravel()
        return rows

    def profile(self, day: date) -> np.ndarray:
        """Return the expected count of each local hour of a day as a share of the counter's level, [24, counters]."""
        free = day.weekday() >= 5 or is_holiday(day, self.country)
        commute = (0.25 if free else 1.0) * self.commute_share
        leisure = (1.5 if free else 0.6) * (1 - self.commute_share)
        hour = np.arange(24)[:, None] - self.shift_hours
        tilt = 1 + self.morning * np.where(hour < 12, 1.0, -1.0) * (0.2 if free else 1.0)
        shapes = [np.interp(hour, np.arange(24), shape) for shape in (COMMUTE, LEISURE)]
        weekday = (1.0, 1.06, 1.05, 1.02, 0.94, 0.9, 0.82)[day.weekday()]
        return (shapes[0] * commute * tilt + shapes[1] * leisure) * weekday

    def _city_factor(self, day: date) -> float:
        """The factor on all counts of a day: season, August exodus, public holidays and weather."""
        turn = 2 * np.pi * (day.timetuple().tm_yday - 170) / 365.25
        season = 1 + 0.16 * np.cos(turn)
        exodus = 0.8 if (day.month, day.day) >= (8, 1) and (day.month, day.day) <= (8, 24) else 1.0
        feast = 0.6 if (day.month, day.day) in {(12, 24), (12, 25), (12, 31), (1, 1)} else 1.0
        if is_holiday(day, self.country):
            feast = min(feast, 0.75)
        return float(season * exodus * feast * np.exp(weather_effect(self.seed, day)))

    def _is_open(self, day: date) -> np.ndarray:
        return ~self.opens_late | np.array([opening <= day for opening in self.opening])

    def _is_out(self, spell: int) -> np.ndarray:
        """Whether each counter is out of order for a spell of four days: about one spell a year for each counter."""
        if spell not in self._outages:
            draws = [np.random.default_rng([self.seed, 3, index, spell]).random() for index in range(len(self.level))]
            self._outages[spell] = np.array(draws) < 0.01
        return self._outages[spell]
