"""A counter's own history: which counts are outliers, which counters are active; later days change nothing."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.plausibility import (
    OutlierRule,
    are_outliers,
    busiest_hours,
    concat_busiest,
    counter_states,
    counters_in_week_before,
)

FIRST = date(2025, 3, 1)
RULE = OutlierRule(factor=6.0, floor=300.0)
NO_HISTORY = pd.DataFrame({"day": pd.Series(dtype="datetime64[s]"), "counter_id": [], "busiest": []})


def days(number: int, first: date = FIRST) -> list[pd.Timestamp]:
    return [pd.Timestamp(first + timedelta(days=each)) for each in range(number)]


def hours(counter: str, busiest: list[float], first: date = FIRST) -> pd.DataFrame:
    """Rows of one counter: each day a quiet hour and its busiest one; None for a day without rows."""
    pairs = [(day, count) for day, count in zip(days(len(busiest), first), busiest, strict=True) if count is not None]
    rows = [
        {"day": day, "counter_id": counter, "bike_count": count} for day, busy in pairs for count in (busy / 4, busy)
    ]
    return pd.DataFrame(rows, columns=["day", "counter_id", "bike_count"]).astype({"day": "datetime64[s]"})


def judged(rows: pd.DataFrame, history: pd.DataFrame = NO_HISTORY, rule: OutlierRule = RULE) -> np.ndarray:
    """Whether each count is an outlier."""
    return are_outliers(rows, busiest_hours(rows), history, rule)


def flagged(rows: pd.DataFrame, history: pd.DataFrame = NO_HISTORY, rule: OutlierRule = RULE) -> list[float]:
    """The counts that are outliers."""
    return rows.loc[judged(rows, history, rule), "bike_count"].tolist()


def test_the_busiest_hour_of_a_day_is_its_largest_count():
    rows = pd.concat([hours("a", [100, 80]), hours("b", [8])])
    found = busiest_hours(rows).set_index(["counter_id", "day"])["busiest"]
    assert found.loc["a"].tolist() == [100, 80]
    assert found.loc["b"].tolist() == [8]


def test_a_count_far_beyond_the_counters_own_history_is_an_outlier():
    rows = pd.concat([hours("a", [100] * 20 + [9_000, 100]), hours("b", [2_000] * 20 + [9_000, 2_000])])
    assert flagged(rows) == [2_250, 9_000], "both hours of the day are beyond what this counter ever had"
    assert set(rows.loc[judged(rows), "counter_id"]) == {"a"}


@pytest.mark.parametrize(("count", "outliers"), [(600, []), (601, [601])])
def test_the_factor_is_a_bound_that_has_to_be_exceeded(count, outliers):
    assert flagged(hours("a", [100] * 20 + [count])) == outliers


@pytest.mark.parametrize(("count", "outliers"), [(300, []), (301, [301])])
def test_below_the_floor_no_count_is_an_outlier(count, outliers):
    assert flagged(hours("a", [10] * 20 + [count])) == outliers


def test_the_rule_is_that_of_the_settings():
    rows = hours("a", [100] * 20 + [250])
    assert flagged(rows, rule=OutlierRule(factor=2.0, floor=0.0)) == [250]
    assert flagged(rows, rule=OutlierRule(factor=3.0, floor=0.0)) == []
    assert flagged(rows, rule=OutlierRule(factor=2.0, floor=250.0)) == []


@pytest.mark.parametrize(("known", "outliers"), [(13, []), (14, [9_000])])
def test_a_counter_with_too_little_history_is_not_judged(known, outliers):
    rows = hours("a", [100] * known + [9_000])
    assert [count for count in flagged(rows) if count == 9_000] == outliers


def test_a_counter_that_was_never_seen_before_is_not_judged():
    rows = pd.concat([hours("a", [100] * 20), hours("new", [9_000], FIRST + timedelta(days=20))])
    assert flagged(rows) == []


def test_days_of_zeros_are_no_history():
    """A counter that was out of order for weeks would else take its first bikes for outliers."""
    rows = hours("a", [0] * 30 + [400])
    assert flagged(rows) == []
    rows = hours("a", [200] * 14 + [0] * 30 + [1_100, 9_000])
    assert flagged(rows) == [2_250, 9_000]


def test_days_without_rows_are_no_history():
    rows = hours("a", [100] * 13 + [None] * 10 + [9_000])
    assert flagged(rows) == []


def test_what_is_longer_ago_than_eight_weeks_is_forgotten():
    more_than_half = 56 // 2 + 1
    history, newest = busiest_hours(hours("a", [10] * 200 + [1_000] * more_than_half)), FIRST + timedelta(229)
    assert flagged(hours("a", [5_900], newest), history) == []
    assert flagged(hours("a", [6_100], newest), history) == [6_100]
    long_ago = hours("a", [100] * 14 + [None] * 56 + [9_000])
    assert flagged(long_ago) == []


@pytest.mark.parametrize("level", [0.6, 2])
def test_a_level_shift_is_no_outlier(level):
    weekly = np.tile([700, 760, 750, 730, 650, 400, 380], 8)
    rows = hours("a", [*weekly, *(level * weekly)])
    assert flagged(rows) == []


def test_a_single_outlier_does_not_hide_the_next_one():
    rows = hours("a", [100] * 20 + [9_000, 100, 8_000])
    assert [count for count in flagged(rows) if count >= 8_000] == [9_000, 8_000]


def test_history_from_before_the_days_is_history():
    history = busiest_hours(hours("a", [100] * 20))
    first = FIRST + timedelta(days=20)
    assert flagged(hours("a", [601], first), history) == [601]
    assert flagged(hours("a", [599], first), history) == []
    assert flagged(hours("b", [601], first), history) == []


def test_ids_in_categories_and_as_text_are_the_same_counters():
    rows, history = hours("a", [601], FIRST + timedelta(days=20)), busiest_hours(hours("a", [100] * 20))
    assert flagged(rows.astype({"counter_id": "category"}), history) == [601]
    assert flagged(rows, history.astype({"counter_id": "category"})) == [601]


def test_rows_in_any_order_with_any_index_are_judged_alike():
    rows = hours("a", [100] * 20 + [9_000])
    shuffled = rows.sample(frac=1, random_state=3)
    assert sorted(flagged(shuffled)) == flagged(rows) == [2_250, 9_000]


def test_without_rows_there_is_nothing_to_judge():
    assert not len(judged(hours("a", [])))
    assert not judged(hours("a", [20, 30])).any()


@given(
    st.lists(st.integers(0, 40), min_size=18, max_size=30),
    st.lists(st.one_of(st.none(), st.integers(0, 60_000)), min_size=1, max_size=6),
)
@settings(max_examples=30)
def test_later_days_change_nothing(before, later):
    """A day is judged the same while it is the newest and after any days that follow it."""
    known = hours("a", [10 * count for count in before])
    more = hours("a", [*(10 * count for count in before), *later])
    rule = OutlierRule(factor=2.0, floor=50.0)
    alone = judged(known, NO_HISTORY, rule)
    assert judged(more, NO_HISTORY, rule)[: len(known)].tolist() == alone.tolist()


@given(st.lists(st.integers(0, 500), min_size=20, max_size=40), st.integers(1, 19))
@settings(max_examples=30)
def test_days_are_judged_the_same_in_one_reading_and_in_two(busiest, cut):
    rows, split = hours("a", busiest), pd.Timestamp(FIRST + timedelta(days=cut))
    rule = OutlierRule(factor=6.0, floor=400.0)
    whole = judged(rows, NO_HISTORY, rule)
    first, second = rows[rows["day"] < split], rows[rows["day"] >= split]
    parts = [judged(first, NO_HISTORY, rule), judged(second, busiest_hours(first), rule)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_busiest_hours_are_joined_without_the_types_of_empty_ones():
    some = busiest_hours(hours("a", [100]))
    for joined in (concat_busiest(NO_HISTORY, some), concat_busiest(some, NO_HISTORY)):
        pd.testing.assert_frame_equal(joined, some)
    assert len(concat_busiest(some, some)) == 2
    assert concat_busiest(NO_HISTORY, NO_HISTORY).empty


def test_counters_in_the_week_before_are_those_of_seven_days_without_the_day_itself():
    seen = pd.concat(
        [
            busiest_hours(hours("every day", [5] * 20)),
            busiest_hours(hours("once", [5], FIRST + timedelta(days=3))),
            busiest_hours(hours("zeros", [0] * 2)),
        ]
    )
    wanted = pd.Series(days(12))
    assert counters_in_week_before(wanted, seen).tolist() == [0, 2, 2, 2, 3, 3, 3, 3, 3, 2, 2, 1]
    assert counters_in_week_before(wanted, NO_HISTORY).tolist() == [0] * 12


def test_counters_in_the_week_before_keep_the_index_of_the_days():
    wanted = pd.Series(days(3), index=[7, 8, 9])
    assert counters_in_week_before(wanted, busiest_hours(hours("a", [5] * 3))).to_dict() == {7: 0, 8: 1, 9: 1}


NEWEST = date(2025, 6, 30)


def counter(first: int, last: int = 0, counting: int | None = 0) -> dict:
    """A counter first and last seen, and last counting anything, so many days before the newest."""
    ago = {"first_day": first, "last_day": last, "last_counting_day": counting}
    return {
        name: None if value is None else pd.Timestamp(NEWEST - timedelta(days=value)) for name, value in ago.items()
    }


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (counter(200), "active"),
        (counter(200, 2, 2), "active"),
        (counter(200, 3, 3), "silent"),
        (counter(200, 0, 2), "active"),
        (counter(200, 0, 3), "silent"),
        (counter(200, 0, None), "silent"),
        (counter(200, 27, 27), "silent"),
        (counter(200, 28, 28), "gone"),
        (counter(200, 28, None), "gone"),
        (counter(28), "active"),
        (counter(27), "new"),
        (counter(0), "new"),
        (counter(27, 3, 3), "silent"),
        (counter(20, 0, None), "silent"),
    ],
)
def test_the_state_of_a_counter_at_each_bound_from_both_sides(seen, state):
    assert counter_states(pd.DataFrame([seen]), NEWEST - timedelta(days=300), NEWEST) == [state]


@pytest.mark.parametrize(("days_after_the_first", "state"), [(0, "active"), (7, "active"), (8, "new")])
def test_the_counters_of_a_young_home_are_not_all_new(days_after_the_first, state):
    home_began = NEWEST - timedelta(days=20)
    began = counter(20 - days_after_the_first)
    assert counter_states(pd.DataFrame([began]), home_began, NEWEST) == [state]


def test_every_counter_has_its_own_state():
    counters = pd.DataFrame([counter(200), counter(5), counter(200, 0, 9), counter(200, 60, 60)], index=[4, 4, 2, 0])
    assert counter_states(counters, NEWEST - timedelta(days=300), NEWEST) == ["active", "new", "silent", "gone"]
