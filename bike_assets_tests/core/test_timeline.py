"""What a replay amounts to: figures ready for JSON, and an honest word on what retraining was worth."""

import json
import math
from datetime import date, timedelta

import pytest

from bike_assets.core.timeline import TimelineDay, event_counts, worth_of_retraining

FIRST = date(2026, 3, 1)


def day(number: int, r2: float | None = 0.8, first: float | None = 0.8, **changes: object) -> TimelineDay:
    values = {
        "naive_r2": 0.7,
        "drift_share": 0.1,
        "decision": "ALL_GOOD",
        "held_until": None,
        "evaluation": None,
        "champion_version": 1,
    }
    return TimelineDay(FIRST + timedelta(days=number), r2, first, **values | changes)


def test_a_day_is_json_with_dates_as_text_and_null_for_what_is_not_known():
    values = day(0, math.nan, None, held_until=date(2026, 3, 4), runs=("retrain",)).as_json()
    assert json.loads(json.dumps(values, allow_nan=False)) == {
        "day": "2026-03-01",
        "r2": None,
        "first_champion_r2": None,
        "naive_r2": 0.7,
        "drift_share": 0.1,
        "decision": "ALL_GOOD",
        "held_until": "2026-03-04",
        "evaluation": None,
        "champion_version": 1,
        "runs": ["retrain"],
        "failed_runs": [],
        "promoted": False,
    }


@pytest.mark.parametrize(
    ("days", "text"),
    [
        ([day(0), day(1)], "Nothing was promoted"),
        ([day(0), day(1, promoted=True)], "not known yet"),
        ([day(0, 0.2, 0.9), day(1, promoted=True), day(2, 0.7, 0.6), day(3, 0.7, 0.7)], "gained +0.050 R²"),
        ([day(0, promoted=True), day(1, 0.7, 0.8)], "gained nothing: -0.100 R²"),
        ([day(0, promoted=True), day(1, 0.7, 0.7)], "gained nothing: +0.000 R²"),
        ([day(0, promoted=True), day(1, None, 0.8), day(2, 0.9, 0.8)], "of the 1 days"),
    ],
)
def test_the_worth_of_retraining_counts_from_the_first_promotion_and_is_not_embellished(days, text):
    assert text in worth_of_retraining(days)


def test_decisions_runs_verdicts_and_promotions_are_counted():
    days = [
        day(0),
        day(1, decision="WAIT", runs=("retrain", "refresh"), evaluation="DEPLOY", promoted=True),
        day(2, decision=None),
        day(3, decision="WAIT", runs=("retrain",), evaluation="SKIP"),
    ]
    assert event_counts(days) == {
        "Decisions": "2 WAIT, 1 ALL_GOOD, 1 not done",
        "Runs": "2 retrain, 1 refresh",
        "Verdicts": "1 SKIP, 1 DEPLOY",
        "Promotions": "1",
    }
    assert event_counts([])["Runs"] == "none"
