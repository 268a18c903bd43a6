"""A challenger's gain: the difference of two scores, and an interval that knows that hours of a day err together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.gain import gain_of
from bike_assets.core.scoring import score


def forecasts(seed: int, days: int = 40, better_by: float = 0.0) -> pd.DataFrame:
    """Counts of some days, a champion that errs by days, and a challenger that errs less by a share."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), 24)
    actual = 100 + 80 * np.sin(np.tile(np.arange(24), days) / 4) + random.normal(0, 5, len(day))
    error = np.repeat(random.normal(0, 20, days), 24) + random.normal(0, 5, len(day))
    other = np.repeat(random.normal(0, 20, days), 24) + random.normal(0, 5, len(day))
    return pd.DataFrame(
        {"day": day, "actual": actual, "champion": actual + error, "challenger": actual + (1 - better_by) * other}
    )


def of(rows: pd.DataFrame, seed: int = 1):
    return gain_of(rows["day"], rows["actual"], rows["challenger"], rows["champion"], seed)


@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(-0.5, 0.9))
@settings(max_examples=40)
def test_the_gain_is_the_difference_of_the_two_scores(seed, days, better_by):
    rows = forecasts(seed, days, better_by)
    r2 = {name: score(rows["actual"], rows[name]).r2 for name in ("challenger", "champion")}
    found = of(rows)
    assert found.r2 == pytest.approx(r2["challenger"] - r2["champion"], abs=1e-9)
    assert found.residual_share == pytest.approx((r2["challenger"] - r2["champion"]) / (1 - r2["champion"]), abs=1e-9)
    assert found.low <= found.high


def test_the_same_forecasts_gain_nothing_for_certain():
    rows = forecasts(3)
    found = of(rows.assign(challenger=rows["champion"]))
    assert (found.r2, found.low, found.high) == (0, 0, 0)


def test_a_clear_gain_excludes_zero_and_chance_does_not():
    assert of(forecasts(5, better_by=0.8)).low > 0
    within = [of(forecasts(seed)) for seed in range(40)]
    covered = [each.low <= 0 <= each.high for each in within]
    assert np.mean(covered) > 0.8


def test_hours_that_err_together_are_not_taken_for_independent_ones():
    """Shuffled over the days, the same errors would look three times as certain."""
    rows = forecasts(7, better_by=0.3)
    shuffled = rows.assign(day=np.random.default_rng(1).permutation(rows["day"]))
    by_day, by_chance = of(rows), of(shuffled)
    assert by_day.high - by_day.low > 2 * (by_chance.high - by_chance.low)


def test_the_seed_decides_the_interval_and_nothing_else():
    rows = forecasts(9)
    assert of(rows, 1) == of(rows, 1)
    assert of(rows, 1).r2 == of(rows, 2).r2
    assert of(rows, 1).low != of(rows, 2).low


def test_a_single_day_has_no_interval_and_equal_counts_have_no_gain():
    one = of(forecasts(1, days=1))
    assert not np.isnan(one.r2)
    assert np.isnan([one.low, one.high]).all()
    flat = of(forecasts(1).assign(actual=5.0))
    assert np.isnan([flat.r2, flat.low, flat.high]).all()
