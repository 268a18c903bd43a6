"""Scores: by hand, against scikit-learn, and never a figure made of nothing."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from bike_assets.core.scoring import Scores, score

pairs = st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 3000)), min_size=2, max_size=50)


def test_the_scores_computed_by_hand():
    found = score([10, 20, 30], [12, 20, 26])
    assert (found.r2, found.rmse, found.mae) == pytest.approx((1 - 20 / 200, math.sqrt(20 / 3), 2))
    assert found.n == 3


@given(pairs=pairs)
@settings(max_examples=60)
def test_the_scores_are_those_of_scikit_learn(pairs):
    actual, predicted = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    assume(len(set(actual)) > 1)
    found = score(actual, predicted)
    assert found.r2 == pytest.approx(r2_score(actual, predicted), rel=1e-9, abs=1e-9)
    assert found.rmse == pytest.approx(root_mean_squared_error(actual, predicted))
    assert found.mae == pytest.approx(mean_absolute_error(actual, predicted))


def test_perfect_is_one_and_the_mean_is_zero():
    assert score([1, 2, 6], [1, 2, 6]) == Scores(1.0, 0.0, 0.0, 3)
    assert score([1, 2, 6], [3, 3, 3]).r2 == pytest.approx(0)


def test_counts_that_do_not_vary_have_errors_but_no_r2():
    found = score([5, 5], [5, 7])
    assert math.isnan(found.r2)
    assert found.mae == 1


def test_no_rows_have_no_scores():
    found = score([], [])
    assert np.isnan([found.r2, found.rmse, found.mae]).all()
    assert found.n == 0


@pytest.mark.parametrize(("actual", "predicted"), [([1, math.nan], [1, 2]), ([1, 2], [math.nan, 2])])
def test_an_unknown_value_is_refused_and_not_scored_around(actual, predicted):
    with pytest.raises(ValueError, match="NaN"):
        score(actual, predicted)


@pytest.mark.parametrize("predicted", [[1, 2], [1], [[1, 2, 3]]])
def test_forecasts_of_another_shape_are_refused(predicted):
    with pytest.raises(ValueError, match="counts against"):
        score([1, 2, 3], predicted)


def test_single_precision_and_small_integers_are_scored_in_double_precision():
    counts = np.array([250, 10, 200], dtype=np.uint8)
    assert score(counts, np.array([10, 250, 200], dtype=np.uint8)).mae == 160
    assert score(np.float32([1e8, 1e8 + 8]), np.float32([1e8 + 8, 1e8 + 8])).r2 == -1


def test_a_row_of_scores_has_every_figure_by_name():
    assert score([1, 3], [1, 3]).as_row() == {"r2": 1, "rmse": 0, "mae": 0, "n": 2}
