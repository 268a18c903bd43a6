"""The sensor against real audit rows: once for a decision that asks, and a reason for every silence."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.automation.sensors import refresh_on_promotion, retrain_on_decision
from bike_assets.core.schemas import RETRAIN_DECISIONS
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import LAST_DAY

ASKING = {
    "day": LAST_DAY,
    "decision": "RETRAIN_REACTIVE",
    "reason": "R² 0.400 is below 0.65",
    "champion_version": 3,
    "acts": True,
}


@pytest.fixture
def tick(tmp_path):
    warehouse = LocalWarehouse(tmp_path)

    def after(*rows: dict):
        warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, rows))
        return retrain_on_decision.evaluate_tick(dg.build_sensor_context(resources={"warehouse": warehouse}))

    return after


def test_a_decision_that_asks_starts_one_retrain_and_says_why(tick):
    request = tick(ASKING).run_requests[0]
    assert request.run_key == f"retrain-{LAST_DAY}-RETRAIN_REACTIVE-3"
    assert request.tags["bike/reason"] == ASKING["reason"]
    assert tick(ASKING).run_requests[0].run_key == request.run_key


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decision": "WAIT", "reason": "the model copes"}, "copes"),
        ({"acts": False}, "before this home began"),
        ({"held_until": LAST_DAY + timedelta(days=2)}, "cooldown"),
    ],
)
def test_it_stays_silent_and_says_why(tick, change, said):
    result = tick({**ASKING, **change})
    assert not result.run_requests
    assert said in result.skip_message


def test_only_the_newest_day_acts(tick):
    newer = {**ASKING, "day": LAST_DAY + timedelta(days=1), "decision": "ALL_GOOD", "reason": "both within bounds"}
    assert not tick(ASKING, newer).run_requests


def test_a_home_without_decisions_is_silent(tick):
    assert "nothing was decided" in tick().skip_message


PROMOTED = {"version": 5, "replaced_version": 3, "promoted_on": str(LAST_DAY), "changed": True}


def refreshed_after(city, **metadata) -> dg.SensorResult:
    instance = dg.DagsterInstance.ephemeral()
    instance.report_runless_asset_event(dg.AssetMaterialization("champion", metadata=PROMOTED | metadata))
    context = dg.build_sensor_context(
        instance=instance,
        definitions=city.defs,
        resources={"warehouse": city.resource("warehouse"), "settings": city.settings},
    )
    return refresh_on_promotion.evaluate_tick(context)


def test_a_promotion_starts_one_refresh_of_the_newest_day(city):
    request = refreshed_after(city).run_requests[0]
    assert request.partition_key == LAST_DAY.isoformat()
    assert request.run_key == refreshed_after(city).run_requests[0].run_key
    assert "version 5 replaced version 3" in request.tags["bike/reason"]


@pytest.mark.parametrize("metadata", [{"changed": False}, {"replaced_version": 0}])
def test_a_champion_that_did_not_change_and_the_first_of_a_home_need_no_refresh(city, metadata):
    result = refreshed_after(city, **metadata)
    assert not result.run_requests
    assert "did not change" in result.skip_message
