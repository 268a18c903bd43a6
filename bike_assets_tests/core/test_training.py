"""One training: what was judged is what serves, and the test sets stay unseen."""

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, SEASONAL
from bike_assets.core.scoring import score
from bike_assets.core.training import parity, train_and_score


@pytest.fixture(scope="module")
def served(training) -> ServedModel:
    return ServedModel(training.trained.onnx, training.trained.sha256, training.trained.counters)


def quick(seed: int = 0) -> GradientBoosting:
    return GradientBoosting(GradientBoostingConfig(iterations=8, learning_rate=0.3, min_rows_in_leaf=20), seed, 1)


def test_every_set_is_scored_at_every_horizon_with_the_served_file(training, served, train_rows, test_sets):
    sets = {"train_baseline": train_rows, **test_sets}
    assert set(training.scores) == {(name, horizon) for name in sets for horizon in HORIZONS}
    assert set(training.naive_scores) == {(name, horizon) for name in test_sets for horizon in HORIZONS}
    for (name, horizon), scores in training.scores.items():
        rows = sets[name][sets[name]["horizon_days"] == horizon]
        assert scores == score(rows["bike_count"], served.predict(rows))
        assert scores.n == len(rows) > 500


def test_the_served_file_is_compared_with_the_native_model(training):
    assert 0 <= training.parity < 1e-5


def test_a_served_file_of_another_training_fails_the_comparison(served, train_rows, test_sets):
    other = quick()
    other.counters = served.counters
    other.fit(train_rows)
    assert parity(other, served, test_sets["test_current"]) > 0.01


def test_the_parity_is_that_of_the_worst_row(training, boosting, train_rows):
    class OneRowOff:
        def __init__(self, by: float) -> None:
            self.by = by

        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            out = boosting.predict(rows)
            out[7] += self.by * max(out[7], 1.0)
            return out

    assert parity(boosting, OneRowOff(0.25), train_rows.head(100)) == pytest.approx(0.25)


def test_learning_improves_on_the_base(training, test_sets):
    for name, rows in test_sets.items():
        ahead = rows[rows["horizon_days"] == 1]
        assert training.scores[name, 1].rmse < score(ahead["bike_count"], ahead[SEASONAL]).rmse


def test_the_newest_week_is_the_last_seven_days_a_day_ahead(training, served, test_sets):
    week, newest = training.newest_week, test_sets["test_current"]
    assert week["day"].nunique() == 7
    assert week["day"].max() == newest["day"].max()
    assert set(week["horizon_days"]) == {1}
    assert not week.duplicated(["counter_id", "counted_at"]).any()
    np.testing.assert_array_equal(week["predicted_count"], served.predict(week))
    np.testing.assert_array_equal(week["naive_count"], week[SEASONAL])


def test_what_the_test_sets_hold_does_not_change_the_model(train_rows, test_sets):
    doubled = {name: rows.assign(bike_count=rows["bike_count"] * 2) for name, rows in test_sets.items()}
    original, changed = (train_and_score(quick(), train_rows, sets, {}) for sets in (test_sets, doubled))
    np.testing.assert_array_equal(original.newest_week["predicted_count"], changed.newest_week["predicted_count"])
    assert original.scores["test_current", 1] != changed.scores["test_current", 1]


def test_the_model_knows_the_counters_that_it_was_trained_on_and_no_others(train_rows, test_sets):
    left_out = train_rows["counter_id"].max()
    others = train_rows[train_rows["counter_id"] != left_out].sample(frac=1, random_state=1)
    found = train_and_score(quick(), others, test_sets, {})
    assert left_out not in found.trained.counters
    assert found.trained.counters == sorted(set(train_rows["counter_id"]) - {left_out})
    assert found.scores["test_current", 1].n == (test_sets["test_current"]["horizon_days"] == 1).sum()
    assert found.parity < 1e-5
