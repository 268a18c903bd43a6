"""Forecasts as issued: whole, blind to what came after, and only for counters that count."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.families.base import RATIO_BOUNDS
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import SEASONAL, CountCube, build_cube, feature_rows
from bike_assets.core.forecasting import ACTIVE_DAYS, active_counters, forecast
from bike_assets.core.local_time import hours_of, local_days
from bike_assets.core.place import Place
from bike_assets.core.simulation import SimulatedCity

PARIS, FRANCE = "Europe/Paris", "FR"
PLACE = Place(FRANCE, PARIS)
ISSUED = date(2025, 6, 2)


@pytest.fixture(scope="module")
def model(training) -> ServedModel:
    return ServedModel(training.trained.onnx, training.trained.sha256, training.trained.counters)


@pytest.fixture(scope="module")
def issued(city_cube, model) -> pd.DataFrame:
    return forecast(city_cube, ISSUED, model, PLACE)


def after(counts: pd.DataFrame, day: date) -> pd.Series:
    return local_days(counts["counted_at"], PARIS) > pd.Timestamp(day)


def test_every_counter_and_hour_of_the_next_three_days_is_forecast_once(issued, city_cube):
    hours = [hours_of(ISSUED + timedelta(days=ahead), PARIS)["counted_at"] for ahead in (1, 2, 3)]
    expected = pd.MultiIndex.from_product([city_cube.counters, pd.concat(hours)])
    found = pd.MultiIndex.from_frame(issued[["counter_id", "counted_at"]])
    assert found.is_unique
    assert set(found) == set(expected)
    assert (issued["issued_on"] == pd.Timestamp(ISSUED)).all()


def test_the_horizon_is_the_number_of_days_after_the_issue(issued):
    assert ((issued["day"] - issued["issued_on"]).dt.days == issued["horizon_days"]).all()
    pd.testing.assert_series_equal(issued["day"], local_days(issued["counted_at"], PARIS), check_names=False)
    assert set(issued["horizon_days"]) == {1, 2, 3}


def test_the_naive_forecast_is_the_base_of_the_one_feature_function(issued, city_cube):
    for horizon, part in issued.groupby("horizon_days"):
        rows = feature_rows(city_cube, [ISSUED + timedelta(days=horizon)], horizon, PLACE)
        assert part["naive_count"].to_numpy() == pytest.approx(rows[SEASONAL].to_numpy())


def test_a_forecast_stays_within_the_bounded_ratio_of_the_base(issued):
    ratio = issued["predicted_count"] / (issued["naive_count"] + 1)
    assert ratio.between(RATIO_BOUNDS[0] * 0.999, RATIO_BOUNDS[1] * 1.001).all()
    assert ratio.std() > 0.01


def test_counts_after_the_issue_and_counters_that_open_later_change_nothing(issued, city_counts, model):
    later = after(city_counts, ISSUED)
    changed = city_counts.assign(bike_count=city_counts["bike_count"].where(~later, 5000))
    newcomer = city_counts[later & (city_counts["counter_id"] == city_counts["counter_id"].iloc[0])]
    counts = pd.concat([changed, newcomer.assign(counter_id="opens-later")])
    pd.testing.assert_frame_equal(forecast(build_cube(counts, PARIS), ISSUED, model, PLACE), issued)
    pd.testing.assert_frame_equal(forecast(build_cube(city_counts[~later], PARIS), ISSUED, model, PLACE), issued)


def test_counts_of_the_day_of_issue_change_the_forecast(issued, city_counts, model):
    on_day = local_days(city_counts["counted_at"], PARIS) == pd.Timestamp(ISSUED)
    changed = city_counts.assign(bike_count=city_counts["bike_count"].where(~on_day, city_counts["bike_count"] * 3))
    found = forecast(build_cube(changed, PARIS), ISSUED, model, PLACE)
    for horizon in (1, 2, 3):
        original, changed = (rows[rows["horizon_days"] == horizon] for rows in (issued, found))
        assert (changed["naive_count"].to_numpy() >= original["naive_count"].to_numpy()).all()
        assert changed["predicted_count"].sum() > original["predicted_count"].sum()


def test_a_counter_that_training_never_saw_is_forecast_and_marked(city_counts, model):
    first = city_counts["counter_id"].iloc[0]
    twin = city_counts[city_counts["counter_id"] == first].assign(counter_id="unknown")
    rows = forecast(build_cube(pd.concat([city_counts, twin]), PARIS), ISSUED, model, PLACE)
    assert set(rows.loc[~rows["known_counter"], "counter_id"]) == {"unknown"}
    unknown = rows[rows["counter_id"] == "unknown"]
    assert len(unknown) == 72
    assert np.isfinite(unknown["predicted_count"]).all()


def test_a_counter_out_for_four_weeks_gets_no_forecast_until_it_counts_again(city_counts, model):
    first = city_counts["counter_id"].iloc[0]
    recent = after(city_counts, ISSUED - timedelta(days=ACTIVE_DAYS))
    out = city_counts[~(recent & (city_counts["counter_id"] == first))]
    assert first not in set(forecast(build_cube(out, PARIS), ISSUED, model, PLACE)["counter_id"])
    back = city_counts[(city_counts["counter_id"] == first) & recent & ~after(city_counts, ISSUED)].tail(1)
    again = forecast(build_cube(pd.concat([out, back]), PARIS), ISSUED, model, PLACE)
    assert (again["counter_id"] == first).sum() == 72


@pytest.mark.parametrize(("silent_days", "active"), [(27, True), (28, False)])
def test_activity_is_any_count_in_the_28_days_to_the_issue(silent_days, active):
    values = np.full((60, 24, 1), np.nan, dtype=np.float32)
    values[: 60 - silent_days] = 0
    cube = CountCube(("a",), date(2025, 1, 1), values)
    assert active_counters(cube, cube.last_day) == ({"a"} if active else set())


def test_a_home_of_a_few_days_forecasts_nothing_instead_of_failing(city_counts, model):
    cube = build_cube(city_counts[~after(city_counts, date(2025, 2, 22))], PARIS)
    assert forecast(cube, date(2025, 2, 22), model, PLACE).empty


@pytest.mark.parametrize(("day", "hours"), [(date(2021, 3, 28), 23), (date(2020, 10, 25), 25)])
def test_the_days_of_the_clock_changes_are_forecast_hour_by_hour(model, day, hours):
    counts = SimulatedCity(3, 6, PARIS, FRANCE).counts(day - timedelta(days=35), day - timedelta(days=1))
    rows = forecast(build_cube(counts, PARIS), day - timedelta(days=1), model, PLACE)
    on_day = rows[rows["day"] == pd.Timestamp(day)]
    assert set(on_day.groupby("counter_id").size()) == {hours}
