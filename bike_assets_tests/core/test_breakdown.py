"""Scores by group: each group by itself, beside the naive, and a report that has all of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bike_assets.core.breakdown import GROUPINGS, scores_by
from bike_assets.core.model_report import report_of, score_table
from bike_assets.core.plots import worst_counters
from bike_assets.core.scoring import score

counts = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500), st.floats(0, 500), st.floats(0, 500)), min_size=1)


@given(counts)
def test_every_group_is_scored_by_itself(rows):
    frame = pd.DataFrame(rows, columns=["hour", "bike_count", "predicted_count", "naive_count"])
    found = scores_by(frame, "hour")
    assert list(found["hour"]) == sorted(set(frame["hour"]))
    assert found["n"].sum() == len(frame)
    for row in found.itertuples():
        part = frame[frame["hour"] == row.hour]
        ours = score(part["bike_count"], part["predicted_count"])
        assert (row.rmse, row.mae) == (ours.rmse, ours.mae)
        assert np.isnan(row.r2) if np.isnan(ours.r2) else row.r2 == ours.r2
        assert row.naive_rmse == score(part["bike_count"], part["naive_count"]).rmse


def test_the_report_of_a_training_has_every_grouping(training):
    report = report_of(training)
    assert set(report.tables) == {f"scores_by_{grouping}.json" for grouping in GROUPINGS}
    assert list(report.tables["scores_by_hour.json"]["hour"]) == list(range(24))
    assert sorted(report.curves["rmse_by_weekday"]) == list(range(7))
    assert report.metrics["r2_test_current_h1"] == training.scores["test_current", 1].r2
    assert report.metrics["naive_r2_test_current_h1"] == training.naive_scores["test_current", 1].r2
    assert not any(np.isnan(list(report.metrics.values())))
    total = sum(table["n"] for table in (report.tables["scores_by_counter.json"],))
    assert total.sum() == training.scores["test_current", 1].n


def test_every_score_stands_in_the_table_beside_the_naive(training):
    lines = score_table(training).splitlines()[2:]
    assert len(lines) == len(training.scores)
    naive = training.naive_scores["test_current", 3].r2
    assert any(line.startswith("| test_current | 3 |") and f"{naive:.4f}" in line for line in lines)


def test_the_worst_counters_are_drawn_worst_first():
    scores = pd.DataFrame(
        {
            "counter_id": [f"c{number}" for number in range(14)],
            "r2": [*np.linspace(0.9, 0.1, 13), np.nan],
            "naive_r2": 0.5,
        }
    )
    axes = worst_counters(scores, "worst").axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "c12"
    assert "c13" not in names
    assert len(names) == 10
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[-1] == pytest.approx(0.1)
