"""Features: computed by hand on tiny counts, blind to the future, and whole on the days when the clocks change."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.features import (
    FEATURES,
    HISTORY_DAYS,
    HORIZONS,
    SEASONAL,
    CountCube,
    build_cube,
    feature_rows,
    forecast_days,
    history_start,
    is_holiday,
    make_features,
)
from bike_assets.core.local_time import days_between, hours_of, local_days
from bike_assets.core.place import Place
from bike_assets.core.weather_cube import WEATHER_FEATURES

PARIS, FRANCE = "Europe/Paris", "FR"
PLACE = Place(FRANCE, PARIS)
START = date(2021, 1, 4)
SPRING, AUTUMN = date(2021, 3, 28), date(2020, 10, 25)


def counts_of(counter: str, first: date, days: int, count: Callable[[int, int], float]) -> pd.DataFrame:
    """Counts of one counter; `count` gives them by number of the day and local hour."""
    parts = [
        hours_of(first + timedelta(days=number), PARIS).assign(number=number, counter_id=counter)
        for number in range(days)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(bike_count=[count(n, h) for n, h in zip(rows["number"], rows["hour"], strict=True)])


def cube_of(*parts: pd.DataFrame, also: tuple[str, ...] = ()) -> CountCube:
    return build_cube(pd.concat(parts), PARIS, also)


def features_of(cube: CountCube, day: date, horizon: int, counter: int = 0, hour: int = 12) -> dict[str, float]:
    values = make_features(cube, [day], horizon, FRANCE)[0, hour, counter]
    return dict(zip([*FEATURES, SEASONAL], values.tolist(), strict=True))


def random_cube(seed: int, days: int = 70, counters: int = 3) -> CountCube:
    random = np.random.default_rng(seed)
    values = random.integers(0, 200, size=(days, 24, counters)).astype(np.float32)
    values[random.random(values.shape) < 0.05] = np.nan
    return CountCube(tuple(f"c{number}" for number in range(counters)), START, values)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_constant_counts_are_their_own_base_and_leave_every_ratio_at_zero(horizon):
    cube = cube_of(counts_of("a", START, 70, lambda number, hour: 40))
    found = features_of(cube, START + timedelta(days=66), horizon)
    assert found[SEASONAL] == pytest.approx(40)
    assert found["log_base"] == pytest.approx(np.log(41))
    assert found["log_level_28"] == pytest.approx(np.log(41))
    ratios = [name for name in FEATURES if name.startswith(("ratio_", "level_"))]
    assert [found[name] for name in ratios] == pytest.approx([0] * len(ratios), abs=1e-6)


@pytest.mark.parametrize(
    ("horizon", "known", "week", "month"), [(1, 59, 56.0, 45.5), (2, 58, 55.0, 44.5), (3, 57, 54.0, 43.5)]
)
def test_growing_counts_give_the_features_computed_by_hand(horizon, known, week, month):
    cube = cube_of(counts_of("a", START, 70, lambda number, hour: number))
    found = features_of(cube, START + timedelta(days=60), horizon)
    base = (53 + 46 + 39 + 32) / 4 * week / month
    counts = {
        "ratio_last_day": known,
        "ratio_day_before": known - 1,
        "ratio_week_ago": 53,
        "ratio_2_weeks_ago": 46,
        "ratio_7_day_hour_mean": week,
        "ratio_8_week_mean": 28.5,
    }
    assert found[SEASONAL] == pytest.approx(base)
    for name, count in counts.items():
        assert found[name] == pytest.approx(np.log1p(count) - np.log1p(base), abs=1e-5), name
    assert found["level_7_over_28"] == pytest.approx(np.log1p(week) - np.log1p(month), abs=1e-5)
    assert found["level_1_over_7"] == pytest.approx(np.log1p(known) - np.log1p(week), abs=1e-5)
    assert found["log_level_28"] == pytest.approx(np.log1p(month))
    assert found["log_base"] == pytest.approx(np.log1p(base))
    assert found["horizon_days"] == horizon


def test_the_base_keeps_the_shape_of_the_day():
    cube = cube_of(counts_of("a", START, 40, lambda number, hour: 10 * hour))
    bases = make_features(cube, [START + timedelta(days=40)], 1, FRANCE)[0, :, 0, -1]
    assert bases == pytest.approx(10 * np.arange(24))


def test_the_base_takes_the_weekday_of_the_target():
    cube = cube_of(counts_of("a", START, 56, lambda number, hour: 10 if number % 7 >= 5 else 80))
    week = make_features(cube, days_between(START + timedelta(days=49), START + timedelta(days=55)), 1, FRANCE)
    assert week[:, 12, 0, -1] == pytest.approx([80] * 5 + [10] * 2, rel=0.01)


def test_a_collapse_of_the_level_moves_the_base_no_further_than_a_quarter():
    cube = cube_of(counts_of("a", START, 56, lambda number, hour: 1 if number >= 49 else 100))
    found = features_of(cube, START + timedelta(days=56), 1)
    assert found[SEASONAL] == pytest.approx((1 + 100 + 100 + 100) / 4 * 0.25)


def test_a_week_without_counts_leaves_the_base_to_the_other_weeks():
    counts = counts_of("a", START, 56, lambda number, hour: 30)
    gone = START + timedelta(days=49)
    cube = cube_of(counts[local_days(counts["counted_at"], PARIS) != pd.Timestamp(gone)])
    found = features_of(cube, START + timedelta(days=56), 1)
    assert found[SEASONAL] == pytest.approx(30)
    assert np.isnan(found["ratio_week_ago"])


@pytest.mark.parametrize(("zero_days", "silent"), [(2, 0), (3, 1), (5, 1)])
def test_three_days_of_zeros_are_silence_and_two_are_not(zero_days, silent):
    cube = cube_of(counts_of("a", START, 40, lambda number, hour: 0 if number >= 40 - zero_days else 25))
    assert features_of(cube, START + timedelta(days=40), 1)["silent_3_days"] == silent


def test_a_counter_that_publishes_nothing_is_not_marked_as_silent():
    cube = cube_of(counts_of("a", START, 40, lambda number, hour: 25)).until(START + timedelta(days=45))
    assert features_of(cube, START + timedelta(days=46), 1)["silent_3_days"] == 0


def test_a_counter_of_zeros_has_a_base_of_zero_and_finite_features():
    cube = cube_of(counts_of("a", START, 70, lambda number, hour: 0))
    found = features_of(cube, START + timedelta(days=65), 2)
    assert found[SEASONAL] == 0
    assert all(np.isfinite(value) for name, value in found.items() if name not in WEATHER_FEATURES)


def test_weekday_and_hour_are_those_of_the_local_target():
    cube = cube_of(counts_of("a", START, 40, lambda number, hour: 25))
    found = features_of(cube, date(2021, 2, 12), 1, hour=17)
    assert (found["weekday"], found["hour"], found["hour_of_week"]) == (4, 17, 4 * 24 + 17)


@pytest.mark.parametrize(
    ("day", "flagged"),
    [
        (date(2021, 7, 14), "holiday"),
        (date(2021, 7, 13), "holiday_tomorrow"),
        (date(2021, 7, 15), "holiday_yesterday"),
        (date(2021, 7, 21), "holiday_week_ago"),
        (date(2021, 8, 11), "holiday_4_weeks_ago"),
    ],
)
def test_a_public_holiday_marks_exactly_the_days_that_it_touches(day, flagged):
    cube = cube_of(counts_of("a", date(2021, 5, 24), 80, lambda number, hour: 25))
    found = features_of(cube, day, 1)
    assert [name for name in FEATURES if name.startswith("holiday") and found[name]] == [flagged]


def test_no_feature_names_the_season():
    counts = counts_of("a", date(2021, 1, 4), 300, lambda number, hour: 25)
    winter, autumn = date(2021, 3, 9), date(2021, 10, 5)
    blocks = [make_features(build_cube(counts, PARIS), [day], 1, FRANCE) for day in (winter, autumn)]
    np.testing.assert_allclose(blocks[0], blocks[1], atol=1e-5)


def test_the_country_decides_what_a_holiday_is():
    assert is_holiday(date(2021, 7, 14), "FR")
    assert not is_holiday(date(2021, 7, 14), "DE")
    assert not is_holiday(date(2021, 7, 15), "FR")
    with pytest.raises(NotImplementedError):
        is_holiday(date(2021, 7, 14), "Atlantis")


def test_the_doubled_hour_of_autumn_is_the_mean_of_its_two_counts():
    counts = counts_of("a", AUTUMN, 1, lambda number, hour: 10)
    counts.loc[counts["hour"] == 2, "bike_count"] = [4, 9]
    assert list(cube_of(counts).values[0, [1, 2, 3], 0]) == [10, 6.5, 10]


def test_the_missing_hour_of_spring_is_unknown_and_not_zero():
    cube = cube_of(counts_of("a", SPRING, 1, lambda number, hour: 10))
    assert np.isnan(cube.values[0, 2, 0])
    assert np.isfinite(np.delete(cube.values[0, :, 0], 2)).all()


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2021, 3, 29), 24)])
def test_the_days_of_the_clock_changes_have_a_row_for_each_of_their_hours(day, hours, horizon):
    first = day - timedelta(days=40)
    cube = cube_of(*(counts_of(name, first, 41, lambda number, hour: 10 + hour) for name in ("a", "b")))
    rows = feature_rows(cube, [day], horizon, PLACE)
    assert len(rows) == 2 * hours
    for _, of_counter in rows.groupby("counter_id"):
        assert list(of_counter["counted_at"]) == list(hours_of(day, PARIS)["counted_at"])
        assert list(of_counter["hour"]) == list(hours_of(day, PARIS)["hour"])
    assert rows[SEASONAL].to_numpy() == pytest.approx(10 + rows["hour"].to_numpy(), rel=0.01)


def test_the_hour_that_spring_skipped_has_a_base_in_the_weeks_after():
    cube = cube_of(counts_of("a", SPRING - timedelta(days=40), 60, lambda number, hour: 50))
    for weeks in (1, 2, 3, 4):
        assert features_of(cube, SPRING + timedelta(weeks=weeks), 1, hour=2)[SEASONAL] == pytest.approx(50)


def test_rows_have_the_local_day_and_are_unique_by_their_key():
    cube = cube_of(*(counts_of(name, START, 40, lambda number, hour: 5) for name in ("b", "a")))
    days = days_between(START + timedelta(days=30), START + timedelta(days=42))
    rows = feature_rows(cube, days, 2, PLACE)
    assert not rows.duplicated(["counter_id", "counted_at"]).any()
    pd.testing.assert_series_equal(rows["day"], local_days(rows["counted_at"], PARIS), check_names=False)
    assert len(rows) == 2 * 24 * len(days)


def test_features_reach_days_that_are_not_counted_yet():
    last = START + timedelta(days=59)
    cube = cube_of(counts_of("a", START, 60, lambda number, hour: 20 + hour))
    for horizon, day in enumerate(forecast_days(last), start=1):
        found = features_of(cube, day, horizon)
        assert found[SEASONAL] == pytest.approx(32)
        assert all(np.isfinite(value) for name, value in found.items() if name not in WEATHER_FEATURES)


def test_a_counter_without_counts_gets_the_profile_of_the_city():
    cube = cube_of(
        counts_of("a", START, 40, lambda number, hour: 10 * hour),
        counts_of("b", START, 40, lambda number, hour: 30 * hour),
        also=("new",),
    )
    assert cube.counters == ("a", "b", "new")
    bases = make_features(cube, [START + timedelta(days=40)], 1, FRANCE)[0, :, :, -1]
    assert bases[:, 2] == pytest.approx(20 * np.arange(24))


def test_a_busier_new_counter_gets_a_higher_base_of_the_same_shape():
    def with_new(level: int) -> np.ndarray:
        city = counts_of("a", START, 40, lambda number, hour: 10 * hour)
        new = counts_of("new", START + timedelta(days=37), 3, lambda number, hour: level)
        return make_features(cube_of(city, new), [START + timedelta(days=40)], 1, FRANCE)[0, :, 1, -1]

    quiet, busy = with_new(20), with_new(200)
    assert (busy[1:] > 1.5 * quiet[1:]).all()
    assert busy / busy.sum() == pytest.approx(quiet / quiet.sum())


def test_a_new_counter_has_a_base_of_its_own_after_a_week():
    cube = cube_of(
        counts_of("a", START, 40, lambda number, hour: 10),
        counts_of("new", START + timedelta(days=32), 8, lambda number, hour: 500),
    )
    assert features_of(cube, START + timedelta(days=40), 1, counter=1)[SEASONAL] == pytest.approx(500)


def test_a_day_about_which_nothing_is_known_has_no_rows():
    cube = cube_of(counts_of("a", START, 20, lambda number, hour: 10))
    assert feature_rows(cube, [START + timedelta(days=6)], 1, PLACE).empty
    assert len(feature_rows(cube, [START + timedelta(days=7)], 1, PLACE)) == 24


def test_the_order_of_the_counts_does_not_matter(city_counts, city_cube):
    shuffled = build_cube(city_counts.sample(frac=1, random_state=1), PARIS)
    assert shuffled.counters == city_cube.counters
    assert shuffled.first_day == city_cube.first_day
    np.testing.assert_array_equal(shuffled.values, city_cube.values)


def test_a_cube_covers_the_local_days_of_its_counts(city_counts, city_cube):
    assert (city_cube.first_day, city_cube.last_day) == (date(2025, 2, 20), date(2025, 6, 9))
    assert len(city_cube.values) == local_days(city_counts["counted_at"], PARIS).nunique() == 110
    assert np.nansum(city_cube.values) == city_counts["bike_count"].sum()


def test_no_counts_at_all_are_refused():
    with pytest.raises(ValueError, match="no counts"):
        build_cube(counts_of("a", START, 1, lambda number, hour: 1).iloc[:0], PARIS)


def test_a_cube_until_a_day_hides_later_days_and_leaves_missing_ones_empty():
    cube = random_cube(1, days=10)
    shorter, longer = (cube.until(START + timedelta(days=number)) for number in (3, 12))
    assert (shorter.last_day, longer.last_day) == (START + timedelta(days=3), START + timedelta(days=12))
    np.testing.assert_array_equal(shorter.values, cube.values[:4])
    np.testing.assert_array_equal(longer.values[:10], cube.values)
    assert np.isnan(longer.values[10:]).all()


@given(
    seed=st.integers(0, 10_000),
    last=st.integers(35, 66),
    horizon=st.sampled_from(HORIZONS),
    how=st.sampled_from(["others", "nothing", "zeros", "thousandfold", "cut off"]),
)
@settings(max_examples=60)
def test_what_is_counted_after_day_k_changes_nothing_that_is_known_on_day_k(seed, last, horizon, how):
    cube = random_cube(seed)
    later = cube.values.copy()
    future = later[last + 1 :]
    later[last + 1 :] = {
        "others": random_cube(seed + 1).values[last + 1 :],
        "nothing": np.full_like(future, np.nan),
        "zeros": np.zeros_like(future),
        "thousandfold": future * 1000,
        "cut off": future,
    }[how]
    changed = CountCube(cube.counters, START, later[: last + 1] if how == "cut off" else later)
    target = [START + timedelta(days=last + horizon)]
    np.testing.assert_array_equal(
        make_features(cube, target, horizon, FRANCE), make_features(changed, target, horizon, FRANCE)
    )


@given(seed=st.integers(0, 10_000), last=st.integers(35, 66), hour=st.integers(0, 23), counter=st.integers(0, 2))
@settings(max_examples=30)
@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_count_on_day_k_itself_is_known_on_day_k(horizon, seed, last, hour, counter):
    cube = random_cube(seed)
    values = cube.values.copy()
    values[last, hour, counter] = 777
    changed = CountCube(cube.counters, START, values)
    target = [START + timedelta(days=last + horizon)]
    before, after = (make_features(each, target, horizon, FRANCE)[0, hour, counter] for each in (cube, changed))
    differs = {name for name, old, new in zip([*FEATURES, SEASONAL], before, after, strict=True) if old != new}
    assert {"ratio_last_day", "level_1_over_7", "log_level_28"} <= differs


@pytest.mark.parametrize("horizon", HORIZONS)
def test_many_days_at_once_are_the_same_as_day_by_day(horizon):
    cube = random_cube(5)
    days = [START + timedelta(days=number) for number in (64, 40, 72, 30)]
    together = make_features(cube, days, horizon, FRANCE)
    for position, day in enumerate(days):
        np.testing.assert_array_equal(together[position], make_features(cube, [day], horizon, FRANCE)[0])


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_stated_days_of_history_are_all_that_a_feature_needs(city_counts, city_cube, horizon):
    target = date(2025, 6, 5)
    start = history_start(target)
    assert (target - start).days == HISTORY_DAYS
    enough = city_counts[local_days(city_counts["counted_at"], PARIS) >= pd.Timestamp(start)]
    pd.testing.assert_frame_equal(
        feature_rows(build_cube(enough, PARIS), [target], horizon, PLACE),
        feature_rows(city_cube, [target], horizon, PLACE),
    )


def test_a_forecast_is_for_the_three_days_after_its_issue():
    assert forecast_days(date(2021, 2, 27)) == [date(2021, 2, 28), date(2021, 3, 1), date(2021, 3, 2)]


def test_the_base_alone_beats_the_same_hour_last_week(city_rows):
    ahead = city_rows[city_rows["horizon_days"] == 1].dropna()
    week_ago = np.expm1(ahead["ratio_week_ago"] + ahead["log_base"])
    errors = [((forecast - ahead["bike_count"]) ** 2).mean() for forecast in (ahead[SEASONAL], week_ago)]
    assert errors[0] < 0.9 * errors[1]


def test_a_new_counter_has_the_citys_profile_at_its_own_level_not_at_a_level_that_it_moved_itself():
    days = pd.date_range("2025-01-01", "2025-03-01", freq="h", inclusive="left", tz="UTC")
    new = days[days >= "2025-02-26"]
    parts = [("a", days, 10), ("b", days, 30), ("c", new, 40)]
    counts = pd.concat([pd.DataFrame({"counter_id": i, "counted_at": at, "bike_count": n}) for i, at, n in parts])
    bases = make_features(build_cube(counts, "UTC"), [date(2025, 3, 1)], 1, "FR")[0, 0, :, -1]
    np.testing.assert_allclose(bases, [10, 30, 40])


def test_a_cube_until_a_day_before_it_begins_is_empty():
    hours = pd.date_range("2025-01-01", periods=240, freq="h", tz="UTC")
    counts = pd.DataFrame({"counter_id": "a", "counted_at": hours, "bike_count": 1})
    assert len(build_cube(counts, "UTC").until(date(2024, 12, 25)).values) == 0
