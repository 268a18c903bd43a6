"""Weather as features see it: forecasts where they are kept, else what was observed, against the weeks of the base."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.features import FEATURES, build_cube, make_features
from bike_assets.core.weather_cube import WEATHER_COLUMNS, WEATHER_FEATURES, WeatherCube, build_weather
from bike_assets_tests.core.conftest import FRANCE, PARIS

FIRST, DAY = date(2025, 3, 1), date(2025, 4, 15)
COLUMNS = [FEATURES.index(name) for name in WEATHER_FEATURES]


def weather_of(first: str, last: str, lead: int = 0, **values: float) -> pd.DataFrame:
    hours = pd.date_range(first, last, freq="h", tz=PARIS, inclusive="left").tz_convert("UTC")
    weather = {"temperature": 10.0, "rain": 0.0, "wind": 3.0, "cloud": 50.0} | values
    return pd.DataFrame({"at": hours, "lead_days": lead, **weather})


def cube(*parts: pd.DataFrame) -> WeatherCube:
    found = build_weather(pd.concat(parts, ignore_index=True), PARIS)
    assert found is not None
    return found


USUAL = weather_of("2025-03-01", "2025-04-15")


def test_weather_as_in_the_weeks_before_is_no_difference_at_all():
    same = cube(USUAL, weather_of("2025-04-15", "2025-04-16"))
    assert (same.differences([DAY], 1) == 0).all()


def test_each_column_is_a_difference_of_its_own():
    other = cube(USUAL, weather_of("2025-04-15", "2025-04-16", temperature=14.5, rain=2.0, wind=5.0, cloud=20.0))
    expected = [4.5, np.log1p(2.0), 2.0, -30.0]
    np.testing.assert_allclose(other.differences([DAY], 1)[0, 7], expected, rtol=1e-6)


def test_a_kept_forecast_counts_for_its_own_horizon_and_what_was_observed_for_the_others():
    parts = [weather_of("2025-04-15", "2025-04-16", lead, temperature=10.0 + lead) for lead in (0, 2)]
    both = cube(USUAL, *parts)
    assert [both.differences([DAY], horizon)[0, 12, 0] for horizon in (1, 2, 3)] == [0, 2, 0]
    assert both.shares([DAY], 2) == (1.0, 1.0)
    assert both.shares([DAY], 1) == (1.0, 0.0)


def test_a_forecast_is_never_held_against_forecasts_of_the_weeks_before():
    old = weather_of("2025-04-08", "2025-04-09", 1, temperature=90.0)
    assert (cube(USUAL, old, weather_of("2025-04-15", "2025-04-16")).differences([DAY], 1) == 0).all()


def test_of_days_without_weather_nothing_is_known():
    assert np.isnan(cube(USUAL).differences([DAY, DAY + timedelta(days=90)], 1)).all()
    assert cube(USUAL).shares([DAY], 1) == (0.0, 0.0)
    alone = cube(weather_of("2025-04-15", "2025-04-16"))
    assert np.isnan(alone.differences([DAY], 1)).all()


def test_partial_weather_is_partly_known():
    hour_less = weather_of("2025-04-15", "2025-04-16").drop(index=[5])
    without_wind = hour_less.assign(wind=np.nan)
    found = cube(USUAL, without_wind).differences([DAY], 1)[0]
    assert np.isnan(found[5]).all()
    assert np.isnan(found[:, WEATHER_COLUMNS.index("wind")]).all()
    assert (np.delete(found, 5, axis=0)[:, [0, 1, 3]] == 0).all()


def test_no_rows_are_no_weather():
    assert build_weather(USUAL.iloc[:0], PARIS) is None


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 24)])
def test_the_days_when_the_clocks_change_have_their_local_hours(day, hours):
    around = weather_of(str(day), str(day + timedelta(days=1)))
    assert (~np.isnan(cube(around).values[0][0, :, 0])).sum() == hours


def test_the_same_weather_has_the_same_digest_in_any_order():
    shuffled = USUAL.sample(frac=1, random_state=1)
    assert cube(USUAL).digest == cube(shuffled).digest
    assert cube(USUAL).digest != cube(USUAL.assign(wind=USUAL["wind"].where(USUAL.index != 7, 9.0))).digest


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    hours = pd.date_range("2025-03-01", "2025-04-15", freq="h", tz="UTC")
    return pd.DataFrame({"counter_id": "a", "counted_at": hours, "bike_count": 10})


@given(horizon=st.integers(1, 3), ahead=st.integers(0, 20), value=st.floats(-20, 40))
@settings(max_examples=30)
def test_weather_after_the_target_day_changes_no_feature(counts, horizon, ahead, value):
    later = weather_of(str(DAY + timedelta(days=1 + ahead)), str(DAY + timedelta(days=3 + ahead)), temperature=value)
    target = weather_of("2025-04-15", "2025-04-16", temperature=12.0)
    counted = build_cube(counts, PARIS)
    found = [make_features(counted, [DAY], horizon, FRANCE, each) for each in (cube(USUAL, target),
             cube(USUAL, target, later))]  # fmt: skip
    np.testing.assert_array_equal(*found)
    assert found[0][0, 12, 0, COLUMNS[0]] == 2


@given(st.integers(1, 3))
def test_without_weather_every_other_feature_is_the_same(counts, horizon):
    counted = build_cube(counts, PARIS)
    with_weather, without = (
        make_features(counted, [DAY], horizon, FRANCE, weather)
        for weather in (cube(USUAL, weather_of("2025-04-15", "2025-04-16")), None)
    )
    assert np.isnan(without[..., COLUMNS]).all()
    np.testing.assert_array_equal(np.delete(with_weather, COLUMNS, axis=-1), np.delete(without, COLUMNS, axis=-1))
