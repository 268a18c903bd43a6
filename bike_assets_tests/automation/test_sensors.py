"""The sensor against real audit rows: one retrain for a decision to retrain, and a reason for every skip."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from bike_assets.automation.sensors import (
    finish_on_broken_promotion,
    refresh_on_promotion,
    retrain_on_decision,
    retrain_on_lost_run,
)
from bike_assets.build import build_defs
from bike_assets.core.schemas import DEPLOYMENTS, RETRAIN_DECISIONS
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import LAST_DAY, City, recorded

pytestmark = pytest.mark.dated

RETRAIN_ROW = {
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


def test_a_decision_to_retrain_starts_one_retrain_with_its_reason(tick):
    request = tick(RETRAIN_ROW).run_requests[0]
    assert request.run_key == f"retrain-{LAST_DAY}-RETRAIN_REACTIVE-3"
    assert request.tags["bike/reason"] == RETRAIN_ROW["reason"]
    assert (request.tags["bike/trigger"], request.tags["bike/r2"]) == ("RETRAIN_REACTIVE", "0.4000")
    assert tick(RETRAIN_ROW).run_requests[0].run_key == request.run_key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"decision": "WAIT", "reason": "the model copes"}, "copes"),
        ({"acts": False}, "before this home began"),
        ({"held_until": LAST_DAY + timedelta(days=2)}, "cooldown"),
    ],
)
def test_a_decision_without_a_retrain_is_skipped_with_its_reason(tick, change, reason):
    result = tick({**RETRAIN_ROW, **change})
    assert not result.run_requests
    assert reason in result.skip_message


def test_only_the_newest_day_acts(tick):
    newer = {**RETRAIN_ROW, "day": LAST_DAY + timedelta(days=1), "decision": "ALL_GOOD", "reason": "both within bounds"}
    assert not tick(RETRAIN_ROW, newer).run_requests


def test_of_a_day_that_was_decided_twice_the_last_decision_counts(tick):
    assert not tick(RETRAIN_ROW, {**RETRAIN_ROW, "decision": "WAIT", "reason": "a late correction"}).run_requests


def test_a_home_without_decisions_is_skipped(tick):
    assert "nothing was decided" in tick().skip_message


DEPLOYED = {"version": 5, "family": "blend", "replaced_version": 3, "decided_by": "evaluation", "reason": "a gain"}


def refreshed_after(city, **change) -> dg.SensorResult:
    row = recorded({**DEPLOYED, **change})
    city.resource("warehouse").merge(DEPLOYMENTS, frame(DEPLOYMENTS, [row | {"recorded_at": datetime.now(UTC)}]))
    instance = dg.DagsterInstance.ephemeral()
    instance.report_runless_asset_event(dg.AssetMaterialization("champion", metadata={"changed": False}))
    context = dg.build_sensor_context(
        instance=instance,
        definitions=city.defs,
        resources={"warehouse": city.resource("warehouse"), "settings": city.settings},
    )
    return refresh_on_promotion.evaluate_tick(context)


def test_a_promotion_starts_one_refresh_also_after_a_second_materialization(city):
    request = refreshed_after(city).run_requests[0]
    assert request.partition_key == LAST_DAY.isoformat()
    assert request.run_key == refreshed_after(city).run_requests[0].run_key
    assert "version 5 replaced version 3" in request.tags["bike/reason"]


def test_the_first_champion_of_a_home_needs_no_refresh(city):
    result = refreshed_after(city, replaced_version=0)
    assert not result.run_requests
    assert "did not change" in result.skip_message


LOST = {"bike/decided_on": str(LAST_DAY), "bike/against": "1", "dagster/will_retry": "false"}


def requested_again_after(city: City, **tags: str) -> tuple[dg.DagsterRun, dg.SensorResult]:
    champion = {"bike/against": str(city.resource("registry").read().champion.version)}
    run = city.instance.create_run_for_job(
        city.defs.resolve_job_def("retrain"), tags={**LOST, **champion, **tags}, status=dg.DagsterRunStatus.FAILURE
    )
    context = dg.build_sensor_context(
        instance=city.instance, definitions=city.defs, resources={"registry": city.resource("registry")}
    )
    return run, retrain_on_lost_run.evaluate_tick(context)


def test_a_lost_retrain_is_requested_again_twice(city):
    for _ in range(2):
        run, result = requested_again_after(city)
        assert result.run_requests[0].run_key == f"again-after-{run.run_id}"
        assert result.run_requests[0].tags["bike/decided_on"] == str(LAST_DAY)
    assert "no more requests" in requested_again_after(city)[1].skip_message


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("dagster/will_retry", "true", "Dagster retries it"),
        ("dagster/failure_reason", "STEP_FAILURE", "a step of the newest retrain failed"),
        ("bike/against", "99", "has changed"),
    ],
)
def test_a_retrain_with_a_failed_step_a_retry_or_another_champion_is_not_requested_again(city, tag, value, reason):
    _, result = requested_again_after(city, **{tag: value})
    assert not result.run_requests
    assert reason in result.skip_message


def finished(city: City) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=city.instance, definitions=city.defs, resources={"registry": city.resource("registry")}
    )
    return finish_on_broken_promotion.evaluate_tick(context)


def test_an_interrupted_promotion_is_finished_once_and_then_refreshed(city: City):
    """The process died between the commit in summary.json and everything after it."""
    assert "already materialized" in finished(city).skip_message
    registry = city.resource("registry")
    before = registry.read().champion
    other = next(entry for entry in registry.read().models if not entry.is_champion)
    registry.promote(other.version, LAST_DAY.isoformat())
    (request,) = finished(city).run_requests
    assert finished(city).run_requests[0].run_key == request.run_key
    assert city.run("promote").success
    assert not finished(city).run_requests
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
