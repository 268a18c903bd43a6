"""What people are told: a promotion once, a rejection as a rejection, and a failure with its step and its page."""

import dagster as dg
import pytest

from bike_assets.automation.announcements import alert_on_run_failure, announce_promotion
from bike_assets.core.messages import Message
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import City


class Heard:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> bool:
        self.messages.append(message)
        return True


@pytest.fixture
def heard() -> Heard:
    return Heard()


def resources(city: City, heard: Heard) -> dict:
    return {"warehouse": city.resource("warehouse"), "settings": city.settings, "notifier": heard}


def hear_of_champion(city: City, heard: Heard) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=city.instance, definitions=city.defs, resources=resources(city, heard))
    return announce_promotion.evaluate_tick(context)


def hear_of_failure(city: City, heard: Heard, result: dg.ExecuteInProcessResult) -> None:
    failure = next(event for event in result.all_events if event.is_run_failure)
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_run_failure",
        dagster_event=failure,
        dagster_instance=city.instance,
        dagster_run=result.dagster_run,
        resources=resources(city, heard),
    ).for_run_failure()
    alert_on_run_failure(context)


def test_a_new_champion_is_told_with_its_scores_and_its_run(city: City, heard: Heard):
    champion = city.resource("registry").read().champion
    hear_of_champion(city, heard)
    (message,) = heard.messages
    assert f"version {champion.version}" in message.title
    assert message.fields["R² test_current"] == f"{champion.scores['test_current']['r2']:.4f}"
    assert "/runs/" in message.link


def test_a_champion_that_did_not_change_is_no_news(city: City, heard: Heard):
    assert city.run("retrain", asset_selection=[dg.AssetKey("champion")]).success
    assert "did not change" in hear_of_champion(city, heard).skip_message
    assert not heard.messages


def test_a_reject_is_told_as_a_rejection_and_not_as_a_failure(city: City, open_city, heard: Heard):
    strict = open_city(city.home.folder, r2_floor=0.999)
    (strict.home.registry / "summary.json").unlink()
    result = strict.run("retrain", raise_on_error=False)
    assert not result.success
    hear_of_failure(strict, heard, result)
    (message,) = heard.messages
    assert "rejected" in message.title.lower()
    assert "below the floor of 1.00" in message.text


def test_a_failed_run_is_told_with_its_step_and_its_cause(city: City, heard: Heard, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(LocalWarehouse, "merge", breaks)
    result = city.run("retrain", raise_on_error=False, asset_selection=[dg.AssetKey("double_evaluation")])
    assert not result.success
    hear_of_failure(city, heard, result)
    (message,) = heard.messages
    assert message.fields["error"] == "RuntimeError: the disk is full"
    assert "double_evaluation" in message.text
    assert message.link.endswith(f"/runs/{result.run_id}")
