"""The sensor against real audit rows: once for a decision that asks, and a reason for every silence."""

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


def test_a_promotion_starts_one_refresh_also_where_a_second_run_has_told_of_it_since(city):
    request = refreshed_after(city).run_requests[0]
    assert request.partition_key == LAST_DAY.isoformat()
    assert request.run_key == refreshed_after(city).run_requests[0].run_key
    assert "version 5 replaced version 3" in request.tags["bike/reason"]


def test_the_first_champion_of_a_home_needs_no_refresh(city):
    result = refreshed_after(city, replaced_version=0)
    assert not result.run_requests
    assert "did not change" in result.skip_message


LOST = {"bike/decided_on": str(LAST_DAY), "bike/against": "1", "dagster/will_retry": "false"}


def asked_again_after(city: City, **tags: str) -> tuple[dg.DagsterRun, dg.SensorResult]:
    champion = {"bike/against": str(city.resource("registry").read().champion.version)}
    run = city.instance.create_run_for_job(
        city.defs.resolve_job_def("retrain"), tags={**LOST, **champion, **tags}, status=dg.DagsterRunStatus.FAILURE
    )
    context = dg.build_sensor_context(
        instance=city.instance, definitions=city.defs, resources={"registry": city.resource("registry")}
    )
    return run, retrain_on_lost_run.evaluate_tick(context)


def test_a_decided_retrain_that_was_lost_is_asked_for_again_twice(city):
    for _ in range(2):
        run, result = asked_again_after(city)
        assert result.run_requests[0].run_key == f"again-after-{run.run_id}"
        assert result.run_requests[0].tags["bike/decided_on"] == str(LAST_DAY)
    assert "given up" in asked_again_after(city)[1].skip_message


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("dagster/will_retry", "true", "runs it again"),
        ("dagster/failure_reason", "STEP_FAILURE", "failed by itself"),
        ("bike/against", "99", "has changed"),
    ],
)
def test_a_retrain_that_failed_by_itself_or_is_run_again_or_is_out_of_date_is_left(city, tag, value, said):
    _, result = asked_again_after(city, **{tag: value})
    assert not result.run_requests
    assert said in result.skip_message


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
