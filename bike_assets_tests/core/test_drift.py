"""Drift: the reference has the week's season and weekdays; season, growth and weather are no shift."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.drift import (
    COLUMNS,
    GAP_DAYS,
    MIN_CURRENT_ROWS,
    MIN_REFERENCE_DAYS,
    MIN_THRESHOLD,
    ORDINARY_WEEK_FACTOR,
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
        assert home_days < SETTLING_DAYS + 7 + GAP_DAYS + MIN_REFERENCE_DAYS
        return
    span = reference.span
    assert span.first >= first_day + timedelta(days=SETTLING_DAYS)
    assert span.last < week_to(day).first - timedelta(days=GAP_DAYS)
    assert span.days % 7 == 0
    assert MIN_REFERENCE_DAYS <= span.days <= 56
    assert span.last.weekday() == day.weekday()


WEEK_ROWS = 2000
OF_COUNTS = {"count_to_level", "count_to_base", "residual_to_level"}
OUTCOME = ["bike_count", "predicted_count", "base"]


def rows_of(
    seed: int, weeks: int = 1, rows: int = WEEK_ROWS, weather: float = 0.0, counters: str = "abcdefgh"
) -> pd.DataFrame:
    """Rows of some weeks; in each, weather has multiplied all counts by an unexpected factor."""
    random = np.random.default_rng(seed)
    number = weeks * rows
    base = random.gamma(4.0, 25.0, number)
    week = np.repeat(np.arange(weeks), rows)
    factor = np.exp(weather * np.resize([1.0, -1.0], weeks))[week] * random.lognormal(0, 0.3, number)
    return pd.DataFrame(
        {
            "counter_id": random.choice(list(counters), number),
            "day": pd.Timestamp("2020-06-01") + pd.to_timedelta(7 * week + np.arange(number) % 7, unit="D"),
            "base": base,
            "predicted_count": base * random.lognormal(0, 0.1, number),
            "bike_count": base * factor,
            "log_level_28": np.full(number, np.log1p(100.0)),
            "ratio_7_day_hour_mean": random.normal(0, 0.2, number),
            "level_7_over_28": random.normal(0, 0.1, number),
        }
    )


def times(rows: pd.DataFrame, factor: float, names: list[str]) -> pd.DataFrame:
    return rows.assign(**{name: factor * rows[name] for name in names})


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return rows_of(1, weeks=3)


def test_the_same_distribution_is_no_drift(reference):
    found = measure_drift(rows_of(2), reference, seed=0)
    assert (found.share, found.drifted) == (0, [])
    assert tuple(column.column for column in found.columns) == COLUMNS
    assert (found.rows_current, found.rows_reference) == (2000, 6000)


def test_more_bikes_than_expected_drift_in_what_counts_are_compared_with(reference):
    found = measure_drift(times(rows_of(2), 1.3, ["bike_count"]), reference, seed=0)
    assert set(found.drifted) == OF_COUNTS
    assert found.share == pytest.approx(3 / 6)


def test_another_season_or_growth_of_counts_forecasts_and_level_alike_is_no_drift(reference):
    grown = times(rows_of(2), 1.5, OUTCOME).assign(log_level_28=np.log1p(1.5 * 110.0 - 10.0))
    assert measure_drift(grown, reference, seed=0).drifted == []
    assert measure_drift(times(rows_of(2), 1.5, OUTCOME), reference, seed=0).share > 0.3


def test_forecasts_that_went_astray_drift_in_forecast_and_residual(reference):
    found = measure_drift(times(rows_of(2), 1.3, ["predicted_count"]), reference, seed=0)
    assert set(found.drifted) == {"predicted_to_level", "residual_to_level"}


@pytest.mark.parametrize("feature", ["ratio_7_day_hour_mean", "level_7_over_28"])
def test_a_feature_that_moves_drifts_alone(reference, feature):
    current = rows_of(2)
    current[feature] += 0.1
    found = measure_drift(current, reference, seed=0)
    assert found.drifted == [feature]
    assert found.share == pytest.approx(1 / 6)


def test_what_the_weather_of_other_weeks_did_as_well_is_no_drift():
    rainy = times(rows_of(2), 0.9, ["bike_count"])
    calm, changeable = (rows_of(1, weeks=7, weather=weather) for weather in (0.0, 0.1))
    assert set(measure_drift(rainy, calm, seed=0).drifted) >= {"count_to_base", "residual_to_level"}
    assert measure_drift(rainy, changeable, seed=0).drifted == []
    assert set(measure_drift(times(rows_of(2), 1.5, ["bike_count"]), changeable, seed=0).drifted) == OF_COUNTS


def test_a_threshold_is_evidentlys_or_that_many_times_the_mean_score_of_a_week_against_the_others():
    changeable = rows_of(1, weeks=4, weather=0.15)
    week = (changeable["day"] - changeable["day"].min()).dt.days // 7
    thresholds = {column.column: column.threshold for column in measure_drift(rows_of(2), changeable, 0).columns}
    each = [measure_drift(changeable[week == k], changeable[week != k], seed=0).columns for k in range(4)]
    for position, name in enumerate(COLUMNS):
        usual = ORDINARY_WEEK_FACTOR * np.mean([columns[position].score for columns in each])
        assert thresholds[name] == pytest.approx(max(MIN_THRESHOLD, usual))
    assert thresholds["predicted_to_level"] == MIN_THRESHOLD == 0.1
    assert thresholds["count_to_base"] > 0.2


def test_a_reference_of_a_single_week_has_evidentlys_thresholds():
    found = measure_drift(rows_of(2), rows_of(1), seed=0)
    assert {column.threshold for column in found.columns} == {MIN_THRESHOLD}


def test_counters_that_one_side_lacks_are_left_out_and_reported_elsewhere(reference):
    opened = times(rows_of(3, rows=1000, counters="xyz"), 5, ["bike_count"])
    found = measure_drift(pd.concat([rows_of(2), opened]), reference, seed=0)
    assert (found.share, found.rows_current, found.rows_reference) == (0, 2000, 6000)
    closed = times(rows_of(4, weeks=3, counters="uvw"), 5, ["bike_count"])
    found = measure_drift(rows_of(2), pd.concat([reference, closed]), seed=0)
    assert (found.share, found.rows_current, found.rows_reference) == (0, 2000, 6000)


def test_without_counters_in_common_there_is_no_share(reference):
    assert measure_drift(rows_of(2, counters="xyz"), reference, seed=0) == Drift(None, (), 0, 0)


def test_the_report_has_every_column_and_its_share_is_that_of_the_columns(reference, tmp_path):
    html = tmp_path / "reports" / "drift.html"
    found = measure_drift(times(rows_of(2), 1.3, ["bike_count"]), reference, seed=0, html=html)
    page = html.read_text()
    assert "<html" in page
    assert all(name in page for name in COLUMNS)
    assert found.share == len(found.drifted) / len(found.columns) == 0.5


def test_a_column_has_drifted_if_its_score_reaches_its_threshold(reference):
    found = measure_drift(times(rows_of(2), 1.1, ["bike_count"]), reference, seed=0)
    assert 0 < len(found.drifted) < len(COLUMNS)
    for column in found.columns:
        assert column.method == "wasserstein"
        assert column.drifted == (column.score >= column.threshold)


def test_the_statistic_does_not_depend_on_the_size_of_the_reference():
    small = rows_of(3, weeks=3, rows=600)
    found = measure_drift(rows_of(2), small, seed=0)
    assert {column.method for column in found.columns} == {"wasserstein"}


def test_below_1600_rows_there_is_no_share(reference):
    shifted = times(rows_of(2, rows=MIN_CURRENT_ROWS), 9, ["bike_count"])
    assert MIN_CURRENT_ROWS == 1600
    assert measure_drift(shifted.iloc[1:], reference, seed=0) == Drift(None, (), 1599, 6000)
    assert measure_drift(shifted, reference, seed=0).share is not None
    assert measure_drift(rows_of(2), reference.iloc[:1599], seed=0) == Drift(None, (), 2000, 1599)


@pytest.mark.parametrize("name", ["level_7_over_28", "log_level_28"])
def test_rows_with_an_unknown_value_do_not_count(reference, name):
    current = rows_of(2, rows=MIN_CURRENT_ROWS)
    current.loc[0, name] = np.nan
    assert measure_drift(current, reference, seed=0).share is None


def test_without_a_reference_there_is_no_share(reference):
    found = measure_drift(rows_of(2), reference.iloc[:0], seed=0)
    assert (found.share, found.rows_reference) == (None, 0)


def test_large_frames_are_sampled_and_the_seed_repeats_the_sample():
    large = rows_of(4, weeks=5, rows=5000)
    first, second = (measure_drift(large, large.iloc[::-1], seed=5) for _ in range(2))
    assert first == second
    assert first.rows_current == first.rows_reference == SAMPLE_ROWS
    assert first.share == 0
