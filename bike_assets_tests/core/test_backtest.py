"""A backtest forecasts past days as they would have been: counts of the day itself or after it change nothing."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.backtest import NAIVE, Backtest, _parts, run_backtest
from bike_assets.core.features import HORIZONS, SEASONAL
from bike_assets.core.splits import Span
from bike_assets_tests.core.conftest import PARIS, PLACE

SPAN = Span(date(2025, 5, 20), date(2025, 6, 2))
FAMILY = "gradient_boosting"


def run(counts: pd.DataFrame, span: Span = SPAN, refit: str = "never") -> Backtest:
    return run_backtest(counts, span, [FAMILY], refit, PLACE, 1, 1)


@pytest.fixture(scope="module")
def done(city_counts) -> Backtest:
    return run(city_counts)


def test_every_counted_hour_of_the_range_is_forecast_at_every_horizon(done, city_counts):
    local = city_counts["counted_at"].dt.tz_convert(PARIS).dt.date
    inside = city_counts[(local >= SPAN.first) & (local <= SPAN.last)]
    assert len(done.rows) == len(inside) * len(HORIZONS)
    assert not np.isnan(done.results[FAMILY].predicted).any()
    assert set(done.rows["day"].dt.date) == {SPAN.first + timedelta(days=n) for n in range(SPAN.days)}


def test_the_naive_is_the_base_and_a_score_is_of_its_own_rows(done):
    assert (done.results[NAIVE].predicted == done.rows[SEASONAL].to_numpy(dtype=float)).all()
    ahead = done.scores(FAMILY, done.rows["horizon_days"] == 1)
    assert ahead.n == len(done.rows) / len(HORIZONS)
    assert ahead.r2 > 0.5


def test_counts_of_the_day_and_after_it_change_no_forecast_of_it(done, city_counts):
    """A day in the middle is tampered with: forecasts of it and of days before stay, those issued with it change."""
    tampered, day = city_counts.copy(), pd.Timestamp(2025, 5, 25)
    chosen = tampered["counted_at"].dt.tz_convert(PARIS).dt.date == day.date()
    tampered.loc[chosen, "bike_count"] = tampered.loc[chosen, "bike_count"] * 3 + 50
    again = run(tampered)
    same = (done.rows["day"] <= day).to_numpy()
    assert (again.results[FAMILY].predicted[same] == done.results[FAMILY].predicted[same]).all()
    known_by_then = ((done.rows["day"] - day).dt.days >= done.rows["horizon_days"]).to_numpy() & ~same
    assert (again.results[FAMILY].predicted[known_by_then] != done.results[FAMILY].predicted[known_by_then]).any()
    unknown = ~known_by_then & ~same
    assert (again.results[FAMILY].predicted[unknown] == done.results[FAMILY].predicted[unknown]).all()


def test_counters_without_a_training_row_are_marked_as_new(city_counts):
    newcomer = city_counts["counter_id"].iloc[0]
    begins = pd.Timestamp("2025-05-21", tz=PARIS)
    done = run(city_counts[(city_counts["counter_id"] != newcomer) | (city_counts["counted_at"] >= begins)])
    assert set(done.rows.loc[done.rows["is_new"], "counter_id"]) == {newcomer}
    assert done.scores(FAMILY, done.slices()["new"]).n > 0


def test_holidays_are_scored_by_themselves(done):
    assert done.holidays == [date(2025, 5, 29)]
    assert set(done.rows.loc[done.slices()["holidays"], "day"].dt.date) == {date(2025, 5, 29)}


@pytest.mark.parametrize(
    ("refit", "begins"),
    [
        ("never", [date(2025, 5, 20)]),
        ("weekly", [date(2025, 5, 20), date(2025, 5, 26), date(2025, 6, 2)]),
        ("monthly", [date(2025, 5, 20), date(2025, 6, 1)]),
    ],
)
def test_refitting_cuts_the_range_without_a_gap(refit, begins):
    parts = _parts(SPAN, refit)
    assert [part.first for part in parts] == begins
    assert [part.last + timedelta(days=1) for part in parts] == [*begins[1:], SPAN.last + timedelta(days=1)]


def test_a_refitted_model_has_learned_from_the_range(done, city_counts):
    weekly = run(city_counts, refit="weekly")
    later = (done.rows["day"] >= pd.Timestamp(2025, 5, 26)).to_numpy()
    assert (weekly.results[FAMILY].predicted[later] != done.results[FAMILY].predicted[later]).any()
    assert (weekly.results[FAMILY].predicted[~later] == done.results[FAMILY].predicted[~later]).all()


def test_a_range_without_counts_or_without_a_past_is_refused(city_counts):
    with pytest.raises(ValueError, match="no counts to score"):
        run(city_counts, Span(date(2026, 1, 1), date(2026, 1, 5)))
    with pytest.raises(ValueError, match="no rows to fit on"):
        run(city_counts, Span(date(2025, 2, 22), date(2025, 3, 10)))
