"""The frozen sets and what comes after them: frozen by every run but one, and never half of a new pair."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from bike_assets.core.schemas import SPLITS
from bike_assets.core.splits import TEST_BASELINE, TRAIN_BASELINE
from bike_assets.resources.queries.splits import recorded_baseline, recorded_split
from bike_assets.resources.table_rows import frame
from bike_assets_tests.conftest import FIRST_DAY, LAST_DAY, City


def test_a_training_leaves_the_frozen_sets_as_they_are(city: City):
    warehouse = city.resource("warehouse")
    before = recorded_baseline(warehouse)
    assert city.run("daily", LAST_DAY + timedelta(days=1)).success
    assert city.run("retrain", asset_selection=[dg.AssetKey(TRAIN_BASELINE), dg.AssetKey("test_current")]).success
    assert recorded_baseline(warehouse) == before


def test_a_rebaseline_cuts_both_from_all_days_and_compares_no_challenger_until_there_are_new_days(city: City):
    warehouse = city.resource("warehouse")
    assert city.run("daily", LAST_DAY + timedelta(days=1)).success
    assert city.run("rebaseline").success
    baseline = recorded_baseline(warehouse)
    assert baseline.train.first == FIRST_DAY
    assert 0 <= (LAST_DAY + timedelta(days=1) - baseline.test.last).days <= 1
    assert baseline.train.days / baseline.test.days > 4
    for days in range(2, 4):
        assert city.run("daily", LAST_DAY + timedelta(days=days)).success
    assert city.run("retrain").success
    judged = city.query("SELECT * FROM monitoring_audit.evaluations ORDER BY recorded_at").iloc[-1]
    assert judged["decision"] == "NOT_ENOUGH_DATA"
    assert "28 needed" in judged["reason"]


def test_of_a_rebaseline_that_died_half_way_the_old_pair_stays_in_force(city: City):
    warehouse = city.resource("warehouse")
    before = recorded_split(warehouse, TRAIN_BASELINE)
    half = {
        "name": TRAIN_BASELINE,
        "first_day": FIRST_DAY,
        "last_day": LAST_DAY,
        "cut_on": LAST_DAY + timedelta(days=9),
        "rows": 1,
        "content_hash": "half",
    }
    warehouse.merge(SPLITS, frame(SPLITS, [half]))
    assert recorded_split(warehouse, TRAIN_BASELINE) == before
    warehouse.merge(SPLITS, frame(SPLITS, [{**half, "name": TEST_BASELINE}]))
    assert recorded_split(warehouse, TRAIN_BASELINE)["content_hash"] == "half"
    assert not pd.isna(before["first_day"])
