"""Drift: the reference has the week's season and weekdays, and Evidently tells a shift from none."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.drift import (
    CATEGORIES,
    GAP_DAYS,
    LEAST_CURRENT_ROWS,
    LEAST_REFERENCE_DAYS,
    NUMBERS,
    SAMPLE_ROWS,
    SETTLING_DAYS,
    Drift,
    measure_drift,
    pick_reference,
    week_to,
)
from bike_assets.core.splits import Span

DAY = date(2021, 6, 13)


def home_of(days: int):
    """The reference of DAY in a home whose first day lies that many days before it."""
    return pick_reference(DAY, DAY - timedelta(days=days))


def test_the_week_to_a_day_ends_with_it_and_has_seven_days():
    assert week_to(DAY) == Span(date(2021, 6, 7), DAY)
    assert week_to(DAY).days == 7


def test_a_home_of_two_years_compares_with_the_same_weeks_last_year():
    reference = home_of(800)
    assert reference.name == "same weeks last year"
    assert reference.span == Span(date(2020, 5, 18), date(2020, 7, 5))


def test_a_young_home_compares_with_the_eight_weeks_before_the_gap():
    reference = home_of(200)
    assert reference.name == "the weeks before"
    assert reference.span == Span(date(2021, 4, 5), date(2021, 5, 30))
    assert reference.span.days == 56


@pytest.mark.parametrize(
    ("home_days", "name", "days"),
    [
        (1000, "same weeks last year", 49),
        (419, "same weeks last year", 49),
        (418, "same weeks last year", 42),
        (398, "same weeks last year", 28),
        (397, "same weeks last year", 21),
        (391, "same weeks last year", 21),
        (390, "the weeks before", 56),
    ],
)
def test_last_year_needs_three_whole_weeks_after_the_home_has_settled(home_days, name, days):
    found = home_of(home_days)
    assert (found.name, found.span.days) == (name, days)


@pytest.mark.parametrize(("home_days", "found"), [(61, False), (62, True)])
def test_a_home_without_three_whole_weeks_before_has_no_reference(home_days, found):
    assert (home_of(home_days) is not None) == found


@given(day=st.dates(date(2015, 1, 1), date(2030, 1, 1)), home_days=st.integers(0, 900))
@settings(max_examples=200)
def test_a_reference_is_settled_apart_from_its_week_and_has_every_weekday_alike(day, home_days):
    first_day = day - timedelta(days=home_days)
    reference = pick_reference(day, first_day)
    if reference is None:
        assert home_days < SETTLING_DAYS + 7 + GAP_DAYS + LEAST_REFERENCE_DAYS
        return
    span = reference.span
    assert span.first >= first_day + timedelta(days=SETTLING_DAYS)
    assert span.last < week_to(day).first - timedelta(days=GAP_DAYS)
    assert span.days % 7 == 0
    assert LEAST_REFERENCE_DAYS <= span.days <= 56
    assert span.last.weekday() == day.weekday()


def rows_of(seed: int, rows: int, shift: float = 0.0, spread: float = 2.0, counters: str = "abcdefgh") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    columns = {name: random.normal(10 + shift, spread, rows) for name in NUMBERS}
    return pd.DataFrame(columns | {"counter_id": random.choice(list(counters), rows)})


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return rows_of(1, 6000)


def test_the_same_distribution_is_no_drift(reference):
    found = measure_drift(rows_of(2, 2000), reference, seed=0)
    assert (found.share, found.drifted) == (0, [])
    assert {column.column for column in found.columns} == {*NUMBERS, *CATEGORIES}
    assert (found.rows_current, found.rows_reference) == (2000, 6000)


def test_a_shift_of_every_number_drifts_every_number_and_not_the_counters(reference, tmp_path):
    html = tmp_path / "reports" / "drift.html"
    found = measure_drift(rows_of(2, 2000, shift=3), reference, seed=0, html=html)
    assert set(found.drifted) == set(NUMBERS)
    assert found.share == pytest.approx(len(NUMBERS) / (len(NUMBERS) + len(CATEGORIES)))
    page = html.read_text()
    assert "<html" in page
    assert all(name in page for name in NUMBERS)


def test_the_share_counts_the_columns_that_shifted(reference):
    current = rows_of(2, 2000)
    current["bike_count"] += 3
    current["residual"] *= 2
    found = measure_drift(current, reference, seed=0)
    assert set(found.drifted) == {"bike_count", "residual"}
    assert found.share == pytest.approx(2 / 9)


def test_other_counters_are_drift(reference):
    assert measure_drift(rows_of(2, 2000, counters="abcdwxyz"), reference, seed=0).drifted == ["counter_id"]


def test_a_column_is_said_to_drift_as_its_score_and_threshold_say(reference):
    found = measure_drift(rows_of(2, 2000, shift=0.15), reference, seed=0)
    for column in found.columns:
        assert "p_value" not in column.method
        assert column.drifted == (column.score >= column.threshold)


def test_where_evidently_gives_p_values_a_small_one_is_drift():
    small = rows_of(3, 900)
    same = {
        column.column: column
        for column in measure_drift(small.sample(1700, replace=True, random_state=1), small, 0).columns
    }
    shifted = {column.column: column for column in measure_drift(rows_of(2, 2000, shift=3), small, seed=0).columns}
    assert "p_value" in same["bike_count"].method
    assert same["bike_count"].score > shifted["bike_count"].score
    assert not same["bike_count"].drifted
    assert shifted["bike_count"].drifted


def test_below_1600_rows_there_is_no_share(reference):
    shifted = rows_of(2, LEAST_CURRENT_ROWS, shift=9)
    assert LEAST_CURRENT_ROWS == 1600
    assert measure_drift(shifted.iloc[1:], reference, seed=0) == Drift(None, (), 1599, 6000)
    assert measure_drift(shifted, reference, seed=0).share is not None


def test_rows_with_an_unknown_value_do_not_count(reference):
    current = rows_of(2, LEAST_CURRENT_ROWS)
    current.loc[0, "ratio_week_ago"] = np.nan
    assert measure_drift(current, reference, seed=0).share is None


def test_without_a_reference_there_is_no_share(reference):
    found = measure_drift(rows_of(2, 2000), reference.iloc[:0], seed=0)
    assert (found.share, found.rows_reference) == (None, 0)


def test_large_frames_are_sampled_and_the_seed_repeats_the_sample():
    large = rows_of(4, SAMPLE_ROWS + 5000)
    first, second = (measure_drift(large, large.iloc[::-1], seed=5) for _ in range(2))
    assert first == second
    assert first.rows_current == first.rows_reference == SAMPLE_ROWS
    assert first.share == 0
