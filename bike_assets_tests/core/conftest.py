"""A small simulated city, its features, and one trained model: made once, read by many tests."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.features import HORIZONS, CountCube, build_cube, feature_rows
from bike_assets.core.local_time import days_between
from bike_assets.core.place import Place
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span
from bike_assets.core.training import Training, train_and_score
from bike_assets.core.weather_cube import WEATHER_COLUMNS, WeatherCube, build_weather

PARIS, FRANCE = "Europe/Paris", "FR"
PLACE = Place(FRANCE, PARIS)

TRAIN_DAYS = Span(date(2025, 3, 24), date(2025, 5, 9))

settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")


@pytest.fixture(scope="session")
def city_counts() -> pd.DataFrame:
    """110 days of six counters, across the change to summer time."""
    return SimulatedCity(7, 10, PARIS, FRANCE).counts(date(2025, 2, 20), date(2025, 6, 9))


@pytest.fixture(scope="session")
def city_cube(city_counts) -> CountCube:
    return build_cube(city_counts, PARIS)


@pytest.fixture(scope="session")
def city_weather() -> WeatherCube:
    """Weather of the same days, drawn at random: it has nothing to do with the counts."""
    hours = pd.date_range("2025-02-19", "2025-06-11", freq="h", tz="UTC")
    random = np.random.default_rng(3)
    columns = {name: random.gamma(2.0, 3.0, len(hours)) for name in WEATHER_COLUMNS}
    return build_weather(pd.DataFrame({"at": hours, "lead_days": 0, **columns}), PARIS)


@pytest.fixture(scope="session")
def city_rows(city_cube, city_counts, city_weather) -> pd.DataFrame:
    """Features, base and counts of every horizon, from the first day that has four weeks behind it."""
    days = days_between(date(2025, 3, 24), date(2025, 6, 9))
    rows = pd.concat([feature_rows(city_cube, days, horizon, PLACE, city_weather) for horizon in HORIZONS])
    counts = city_counts[["counter_id", "counted_at", "bike_count"]]
    return rows.merge(counts, on=["counter_id", "counted_at"]).reset_index(drop=True)


@pytest.fixture(scope="session")
def train_rows(city_rows) -> pd.DataFrame:
    return city_rows[city_rows["day"] < "2025-05-10"]


@pytest.fixture(scope="session")
def test_sets(city_rows) -> dict[str, pd.DataFrame]:
    return {
        "test_baseline": city_rows[city_rows["day"].between("2025-05-10", "2025-05-24")],
        "test_current": city_rows[city_rows["day"] > "2025-05-24"],
    }


@pytest.fixture(scope="session")
def boosting() -> GradientBoosting:
    """A family as the trainings of the tests use it; `training` fits it."""
    return GradientBoosting(GradientBoostingConfig(iterations=60, learning_rate=0.15, min_rows_in_leaf=20), 0, 1)


@pytest.fixture(scope="session")
def training(boosting, train_rows, test_sets) -> Training:
    return train_and_score(boosting, train_rows, test_sets, {"train_baseline": TRAIN_DAYS})
