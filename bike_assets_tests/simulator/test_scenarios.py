"""Each scenario over a city's days: what it changes, what it leaves, and that it does so twice the same."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.local_time import days_between, local_days
from bike_assets.core.simulation import SimulatedCity
from bike_assets.errors import BikeError
from bike_assets.simulator.catalogue import SCENARIOS
from bike_assets.simulator.scenarios import (
    CAR_FREE_DAY,
    CHANGES,
    DAY_BETWEEN,
    PublishedDay,
    Scenario,
    apply_scenarios,
    parse_scenarios,
)
from bike_assets_tests.simulator.conftest import ZONE

MONDAY, DAYS = date(2026, 3, 2), 28
KEY = ["counter_id", "counted_at"]


@pytest.fixture(scope="module")
def city() -> SimulatedCity:
    return SimulatedCity(3, 40, ZONE, "FR")


@pytest.fixture(scope="module")
def usual(city) -> pd.DataFrame:
    return city.counts(MONDAY, MONDAY + timedelta(days=DAYS - 1))


@pytest.fixture(scope="module")
def play(city):
    """Plays scenarios over the four weeks, each day at an age."""
    drawn = {day: city.counts(day, day) for day in days_between(MONDAY, MONDAY + timedelta(days=DAYS - 1))}

    def play(text: str, age: int = 9) -> pd.DataFrame:
        scenarios = parse_scenarios(text)
        played = [apply_scenarios(scenarios, rows, PublishedDay(day, age, city)) for day, rows in drawn.items()]
        return pd.concat(played, ignore_index=True)

    return play


@pytest.mark.parametrize("age", [1, 2])
def test_late_rows_are_about_three_in_a_hundred_and_come_after_two_days(play, usual, age):
    early = play("late_rows", age)
    assert 0.025 < 1 - len(early) / len(usual) < 0.035
    pd.testing.assert_frame_equal(play("late_rows", 3), usual)
    kept = pd.MultiIndex.from_frame(usual[KEY]).isin(pd.MultiIndex.from_frame(early[KEY]))
    pd.testing.assert_frame_equal(early, usual[kept].reset_index(drop=True))


def test_corrections_change_about_one_count_in_a_hundred_on_the_third_day(play, usual):
    first, second, third = (play("corrections", age) for age in (1, 2, 3))
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(third, usual)
    changed = first["bike_count"] != usual["bike_count"]
    assert 0.007 < changed.mean() < 0.013
    pd.testing.assert_frame_equal(first.drop(columns="bike_count"), usual.drop(columns="bike_count"))


def test_null_ids_are_about_four_in_a_hundred_with_a_wrong_name(play, usual):
    rows = play("null_ids")
    nameless = rows["counter_id"].isna()
    assert 0.035 < nameless.mean() < 0.045
    assert rows.loc[nameless, ["site_id", "site_name", "latitude", "longitude"]].isna().all(axis=None)
    names = usual["site_name"][nameless]
    assert rows.loc[nameless, "counter_name"].tolist() == (names + " " + names + " [Bike IN]").tolist()
    assert rows["bike_count"].equals(usual["bike_count"])
    pd.testing.assert_frame_equal(rows[~nameless], usual[~nameless])


def test_renamed_counters_keep_id_and_counts(play, usual):
    rows = play("renamed_counters")
    renamed = rows["counter_name"] != usual["counter_name"]
    assert rows.loc[renamed, "counter_id"].nunique() == 3
    assert rows.groupby("counter_id")["counter_name"].nunique().eq(1).all()
    pd.testing.assert_frame_equal(rows.drop(columns="counter_name"), usual.drop(columns="counter_name"))


def test_new_counters_are_further_ones_with_places_and_days_of_their_own(play, usual):
    rows = play("new_counters")
    new = rows[~rows["counter_id"].isin(usual["counter_id"])]
    assert new["counter_id"].nunique() == 3
    assert not set(new["site_id"]) & set(usual["site_id"])
    assert not set(new["latitude"]) & set(usual["latitude"])
    assert not rows.duplicated(KEY).any()
    assert len(new) > 0.8 * 3 * 24 * DAYS
    assert new["bike_count"].mean() > 1
    pd.testing.assert_frame_equal(rows.drop(new.index).reset_index(drop=True), usual, check_dtype=False)


def test_only_the_vanished_counters_are_missing(play, usual):
    rows = play("vanished_counters")
    gone = set(usual["counter_id"]) - set(rows["counter_id"])
    assert len(gone) == 3
    pd.testing.assert_frame_equal(rows, usual[~usual["counter_id"].isin(gone)].reset_index(drop=True))


def test_outages_silence_whole_sites_for_days_and_single_hours_everywhere(play, usual):
    rows = play("outages")
    silent = ~pd.Series(pd.MultiIndex.from_frame(usual[KEY]).isin(pd.MultiIndex.from_frame(rows[KEY])))
    pd.testing.assert_frame_equal(rows, usual[~silent].reset_index(drop=True))
    days = local_days(usual["counted_at"], ZONE)
    by_site = silent.groupby([usual["site_id"], days]).mean().unstack()
    out = by_site == 1
    assert 0.005 < out.to_numpy().mean() < 0.12
    assert (out & out.shift(axis=1)).to_numpy().any()
    rest = silent & ~pd.Series([out.loc[site, day] for site, day in zip(usual["site_id"], days, strict=True)])
    hours = usual.loc[rest, "counted_at"].unique()
    assert 1 <= len(hours) <= DAYS / 2
    assert silent[usual["counted_at"].isin(hours)].all()


def test_outliers_are_rare_and_of_the_documented_size(play, usual):
    rows = play("outliers")
    changed = rows["bike_count"] != usual["bike_count"]
    assert 1 <= changed.sum() < len(rows) / 1000
    assert rows.loc[changed, "bike_count"].between(6390, 11577).all()


def test_a_level_shift_is_six_tenths_of_every_count(play, usual):
    assert (play("level_shift")["bike_count"] - 0.6 * usual["bike_count"]).abs().max() <= 0.5


def test_a_busier_city_has_three_tenths_more_at_every_counter_and_two_counters_more(play, usual):
    rows = play("busier_city")
    new = rows[~rows["counter_id"].isin(usual["counter_id"])]
    old = rows.drop(new.index).reset_index(drop=True)
    assert (old["bike_count"] - 1.3 * usual["bike_count"]).abs().max() <= 0.5
    pd.testing.assert_frame_equal(old.drop(columns="bike_count"), usual.drop(columns="bike_count"))
    assert new["counter_id"].nunique() == new["site_id"].nunique() == 2
    assert len(new) > 0.8 * 2 * 24 * DAYS
    assert new["bike_count"].mean() > 1


def test_the_new_counters_of_a_busier_city_are_not_those_of_the_other_scenario(play, usual):
    rows = play("busier_city,new_counters")
    assert rows["counter_id"].nunique() == usual["counter_id"].nunique() + 2 + 3
    assert not rows.duplicated(KEY).any()


def test_every_second_day_is_free_of_cars_so_a_weekday_is_in_every_second_week(play, usual):
    rows = play("car_free_days")
    pd.testing.assert_frame_equal(rows.drop(columns="bike_count"), usual.drop(columns="bike_count"))
    days = local_days(usual["counted_at"], ZONE)
    factors = (rows["bike_count"].groupby(days).sum() / usual["bike_count"].groupby(days).sum()).to_numpy()
    assert sorted(factors[:2]) == pytest.approx([DAY_BETWEEN, CAR_FREE_DAY], rel=0.01)
    assert factors[2:] == pytest.approx(factors[:-2], rel=0.01)
    assert ((factors[7:] > 1) == (factors[:-7] < 1)).all()


def test_a_reversed_week_rushes_on_saturday_and_sleeps_in_on_tuesday(play, usual):
    shares = []
    for rows in (usual, play("reversed_week")):
        local = rows["counted_at"].dt.tz_convert(ZONE)
        eight = rows["bike_count"].where(local.dt.hour == 8, 0).groupby(local.dt.dayofweek).sum()
        shares.append(eight / rows["bike_count"].groupby(local.dt.dayofweek).sum())
    usual_share, reversed_share = shares
    assert usual_share[:5].min() > 1.5 * usual_share[5:].max()
    assert reversed_share[5:].min() > 1.5 * reversed_share[:5].max()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_begins_on_its_day_and_is_the_same_twice(play, usual, name):
    since = MONDAY + timedelta(days=14)
    rows = play(f"{name}@{since}", age=1)
    before = local_days(rows["counted_at"], ZONE) < pd.Timestamp(since)
    usual_before = usual[local_days(usual["counted_at"], ZONE) < pd.Timestamp(since)]
    pd.testing.assert_frame_equal(rows[before], usual_before, check_dtype=False)
    whole = play(name, age=1)
    after = whole[local_days(whole["counted_at"], ZONE) >= pd.Timestamp(since)]
    pd.testing.assert_frame_equal(rows[~before].reset_index(drop=True), after.reset_index(drop=True))
    assert not after.reset_index(drop=True).equals(usual.iloc[len(usual_before) :].reset_index(drop=True))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("counters", [4, 5])
def test_a_scenario_plays_in_the_smallest_city(name, counters):
    small = SimulatedCity(1, counters, ZONE, "FR")
    rows = apply_scenarios([Scenario(name)], small.counts(MONDAY, MONDAY), PublishedDay(MONDAY, 1, small))
    assert {"counter_id", "counted_at", "bike_count"} <= set(rows)
    assert np.issubdtype(rows["bike_count"].dtype, np.integer)


def test_the_order_of_the_names_does_not_matter(play):
    names = list(SCENARIOS)
    pd.testing.assert_frame_equal(play(",".join(names), 1), play(",".join(reversed(names)), 1))


def test_every_scenario_of_the_catalogue_can_be_played():
    assert list(CHANGES) == list(SCENARIOS)


def test_scenarios_are_read_from_text():
    assert parse_scenarios("") == []
    assert parse_scenarios(" late_rows , level_shift@2026-09-01,") == [
        Scenario("late_rows"),
        Scenario("level_shift", date(2026, 9, 1)),
    ]


def test_an_unknown_scenario_is_refused_with_the_known_ones():
    with pytest.raises(BikeError) as refusal:
        parse_scenarios("late_rows,earthquake")
    assert "'earthquake'" in str(refusal.value)
    assert all(name in str(refusal.value) for name in SCENARIOS)


@pytest.mark.parametrize("text", ["late_rows@tomorrow", "late_rows@", "late_rows@2026-02-30"])
def test_an_invalid_day_is_refused(text):
    with pytest.raises(BikeError, match="such as 2026-09-01"):
        parse_scenarios(text)
