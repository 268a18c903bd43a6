"""The simulated city: the same for every request, different by seed, and like a city of cyclists."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.local_time import hours_of, local_days
from bike_assets.core.simulation import DAYS_BETWEEN_OPENINGS, FIRST_OPENING, SimulatedCity

LATE_COUNTERS = 64 // 16

PARIS, FRANCE = "Europe/Paris", "FR"
MONDAY = date(2025, 5, 12)


def city(seed: int = 7, counters: int = 10) -> SimulatedCity:
    return SimulatedCity(seed, counters, PARIS, FRANCE)


@pytest.fixture(scope="module")
def whole_city() -> SimulatedCity:
    return city(counters=64)


@pytest.fixture(scope="module")
def weeks(whole_city) -> pd.DataFrame:
    """Four weeks of the whole city, with local day and hour."""
    rows = whole_city.counts(MONDAY, MONDAY + timedelta(days=27))
    local = rows["counted_at"].dt.tz_convert(PARIS)
    return rows.assign(hour=local.dt.hour, weekend=local.dt.dayofweek >= 5, day=local.dt.date)


def on(rows: pd.DataFrame, day: date) -> pd.DataFrame:
    return rows[local_days(rows["counted_at"], PARIS) == pd.Timestamp(day)].reset_index(drop=True)


def test_a_day_is_the_same_in_every_requested_range():
    day = MONDAY + timedelta(days=3)
    alone = city().counts(day, day)
    for before, after in ((3, 0), (0, 5), (10, 10)):
        requested = city().counts(day - timedelta(days=before), day + timedelta(days=after))
        pd.testing.assert_frame_equal(on(requested, day), alone)


def test_one_city_gives_the_same_answer_twice(whole_city):
    pd.testing.assert_frame_equal(whole_city.counts(MONDAY, MONDAY), whole_city.counts(MONDAY, MONDAY))


def test_another_seed_is_another_city_with_other_days():
    one, other = city(7), city(8)
    assert not np.array_equal(one.level, other.level)
    pairs = [each.counts(MONDAY, MONDAY)["bike_count"].to_numpy() for each in (one, other)]
    assert not np.array_equal(*pairs)


def test_two_days_of_the_same_weekday_differ_for_the_city_and_for_each_counter(weeks):
    totals = weeks.groupby(["counter_id", "day"])["bike_count"].sum().unstack("day")
    change = np.log(totals[MONDAY + timedelta(days=7)] / totals[MONDAY])
    assert abs(change.mean()) > 0.01
    assert change.std() > 0.07


def test_the_city_has_64_counters_with_two_directions_a_site(whole_city):
    counters = whole_city.counters
    assert counters["counter_id"].nunique() == 64
    assert counters["counter_name"].nunique() == 64
    assert set(counters.groupby("site_id").size()) == {2}
    assert counters.groupby("site_id")[["latitude", "longitude", "site_name"]].nunique().eq(1).all(axis=None)
    assert counters["latitude"].between(48.7, 49.0).all()
    assert counters["longitude"].between(2.1, 2.6).all()


def test_every_open_counter_has_every_hour_once(weeks):
    assert not weeks.duplicated(["counter_id", "counted_at"]).any()
    assert set(weeks.groupby(["counter_id", "day"]).size()) == {24}
    assert (weeks["bike_count"] >= 0).all()
    assert weeks["counter_id"].nunique() == 64 - LATE_COUNTERS


def test_an_outage_is_whole_days_without_rows_and_not_zeros(weeks):
    days_seen = weeks.groupby("counter_id")["day"].nunique()
    assert days_seen.max() == 28
    assert 0 < (days_seen < 28).sum() < len(days_seen) / 2


def test_nights_are_quiet_and_rush_hours_are_not(weeks):
    by_hour = weeks.groupby("hour")["bike_count"].mean()
    assert by_hour.loc[1:4].max() < 0.15 * by_hour.loc[8:19].min()
    workday = weeks[~weeks["weekend"]].groupby("hour")["bike_count"].mean()
    assert workday.loc[8] > 1.3 * workday.loc[11]
    assert workday.loc[18] > 1.3 * workday.loc[15]


def test_the_weekend_has_no_morning_rush_and_a_busier_afternoon_than_morning(weeks):
    share = weeks.groupby(["weekend", "hour"])["bike_count"].mean().unstack("weekend")
    share = share / share.sum()
    assert share.loc[8, True] < 0.6 * share.loc[8, False]
    assert share.loc[15, True] > 1.2 * share.loc[15, False]


def test_the_directions_of_a_site_rush_at_opposite_ends_of_the_day(weeks):
    hours = weeks[~weeks["weekend"]].groupby(["counter_id", "hour"])["bike_count"].mean().unstack("hour")
    morning_share = (hours[8] / (hours[8] + hours[18])).rename("share").reset_index()
    sites = morning_share.assign(site=morning_share["counter_id"].str.split("-").str[0])
    gaps = sites.sort_values("counter_id").groupby("site")["share"].agg(["first", "last"])
    assert (gaps["first"] > gaps["last"]).mean() > 0.95


def test_counters_differ_in_level(weeks):
    levels = weeks.groupby("counter_id")["bike_count"].mean()
    assert levels.quantile(0.9) > 3 * levels.quantile(0.1)


def test_a_public_holiday_is_quieter_than_the_same_weekday_around_it(whole_city):
    ascension = date(2025, 5, 29)
    totals = [
        whole_city.counts(day, day)["bike_count"].mean()
        for day in (ascension, ascension - timedelta(days=7), ascension + timedelta(days=7))
    ]
    assert totals[0] < 0.9 * min(totals[1:])


def test_winter_is_quieter_than_summer(whole_city):
    june, january = (
        whole_city.counts(first, first + timedelta(days=6))["bike_count"].mean()
        for first in (date(2025, 6, 16), date(2025, 1, 13))
    )
    assert january < 0.8 * june


@pytest.mark.parametrize(("day", "hours"), [(date(2020, 10, 25), 25), (date(2021, 3, 28), 23)])
def test_the_days_of_the_clock_changes_have_their_hours(day, hours):
    rows = city().counts(day, day)
    assert set(rows.groupby("counter_id").size()) == {hours}
    assert set(rows["counted_at"]) == set(hours_of(day, PARIS)["counted_at"])


def test_the_last_counters_open_one_after_the_other():
    late = city(counters=64).counters["counter_id"].iloc[-LATE_COUNTERS:]
    seen = []
    for number in range(LATE_COUNTERS):
        opening = FIRST_OPENING + timedelta(days=DAYS_BETWEEN_OPENINGS * number)
        before = city(counters=64).counts(opening - timedelta(days=9), opening - timedelta(days=1))
        after = city(counters=64).counts(opening, opening + timedelta(days=8))
        assert late.iloc[number] not in set(before["counter_id"])
        seen.append(late.iloc[number] in set(after["counter_id"]))
    assert seen == [True] * LATE_COUNTERS


@pytest.mark.parametrize(("counters", "late"), [(4, 0), (10, 0), (15, 0), (16, 1), (31, 1), (32, 2), (64, 4)])
def test_the_last_sixteenth_opens_late_and_a_small_city_has_no_late_counters(counters, late):
    small = city(counters=counters)
    assert list(small.opens_late) == [False] * (counters - late) + [True] * late
    before = small.counts(FIRST_OPENING - timedelta(days=40), FIRST_OPENING - timedelta(days=1))
    assert set(before["counter_id"]) == set(small.counters["counter_id"].iloc[: counters - late])


def test_another_countrys_holidays_are_kept():
    bastille = date(2025, 7, 14)
    french, german = (
        SimulatedCity(7, 10, PARIS, each).counts(bastille, bastille)["bike_count"] for each in ("FR", "DE")
    )
    assert french.sum() < 0.9 * german.sum()
