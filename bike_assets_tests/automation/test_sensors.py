"""The sensor against real audit rows: once for a decision that asks, and a reason for every silence."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.automation.sensors import finish_on_broken_promotion, refresh_on_promotion, retrain_on_decision
from bike_assets.build import build_defs
from bike_assets.core.schemas import RETRAIN_DECISIONS
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import LAST_DAY, City, recorded

ASKING = {
    "day": LAST_DAY,
    "decision": "RETRAIN_REACTIVE",
    "reason": "R² 0.400 is below 0.65",
    "r2": 0.4,
    "champion_version": 3,
    "acts": True,
}


@pytest.fixture
def tick(tmp_path):
    warehouse = LocalWarehouse(tmp_path)
    instance = dg.DagsterInstance.ephemeral()

    def after(*rows: dict):
        for minutes, row in enumerate(rows):
            warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [recorded(row, minutes)]))
        instance.report_runless_asset_event(dg.AssetMaterialization("retrain_decision"))
        context = dg.build_sensor_context(
            instance=instance, definitions=build_defs(), resources={"warehouse": warehouse}
        )
        return retrain_on_decision.evaluate_tick(context)

    return after


def test_a_decision_that_asks_starts_one_retrain_and_says_why(tick):
    request = tick(ASKING).run_requests[0]
    assert request.run_key == f"retrain-{LAST_DAY}-RETRAIN_REACTIVE-3"
    assert request.tags["bike/reason"] == ASKING["reason"]
    assert (request.tags["bike/trigger"], request.tags["bike/r2"]) == ("RETRAIN_REACTIVE", "0.4000")
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


def test_of_a_day_that_was_decided_twice_the_last_decision_counts(tick):
    assert not tick(ASKING, {**ASKING, "decision": "WAIT", "reason": "a late correction"}).run_requests


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


def looked_after(city: City) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=city.instance, definitions=city.defs, resources={"registry": city.resource("registry")}
    )
    return finish_on_broken_promotion.evaluate_tick(context)


def test_a_promotion_that_was_broken_off_is_finished_once_and_then_refreshed(city: City):
    """The process died between the commit in summary.json and everything after it."""
    assert "last told of" in looked_after(city).skip_message
    registry = city.resource("registry")
    before = registry.read().champion
    other = next(entry for entry in registry.read().models if not entry.is_champion)
    registry.promote(other.version, LAST_DAY.isoformat())
    (request,) = looked_after(city).run_requests
    assert looked_after(city).run_requests[0].run_key == request.run_key
    assert city.run("promote").success
    assert not looked_after(city).run_requests
    aliases = city.resource("mlflow")._client().get_registered_model("bike-traffic").aliases
    assert int(aliases["champion"]) == other.version
    deployed = city.query("SELECT * FROM monitoring_audit.deployments ORDER BY recorded_at").iloc[-1]
    assert (deployed["version"], deployed["replaced_version"]) == (other.version, before.version)
    context = dg.build_sensor_context(
        instance=city.instance,
        definitions=city.defs,
        resources={"warehouse": city.resource("warehouse"), "settings": city.settings},
    )
    assert refresh_on_promotion.evaluate_tick(context).run_requests
