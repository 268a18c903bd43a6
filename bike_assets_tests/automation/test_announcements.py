"""What people are told: a promotion once, a rejection as a rejection, and a failure with its step and its page."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.automation.announcements import (
    ALARMS,
    _watched_checks,
    alert_on_check_failure,
    alert_on_run_failure,
    announce_promotion,
)
from bike_assets.checks.monitoring_checks import NOT_KNOWN
from bike_assets.core.messages import Message, Severity
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City


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
    registry = city.resource("registry")
    return {
        "warehouse": city.resource("warehouse"),
        "registry": registry,
        "settings": city.settings,
        "notifier": heard,
    }


def hear_of_champion(city: City, heard: Heard, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=city.instance, cursor=cursor, resources=resources(city, heard))
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


def test_each_promotion_is_told_once_and_a_champion_that_did_not_change_is_no_news(city: City, heard: Heard):
    cursor = hear_of_champion(city, heard).cursor
    assert city.run("retrain", asset_selection=[dg.AssetKey("champion")]).success
    silent = hear_of_champion(city, heard, cursor)
    assert "did not change" in silent.skip_message
    others = [entry.version for entry in city.resource("registry").read().models if not entry.is_champion][:2]
    for version in others:
        told = {"version": version, "by": "Ada", "reason": "a trial"}
        assert city.run("promote", run_config={"ops": {"champion": {"config": told}}}).success
    cursor = hear_of_champion(city, heard, silent.cursor).cursor
    assert [message.fields["version"] for message in heard.messages[1:]] == [str(version) for version in others]
    assert not hear_of_champion(city, heard, cursor).run_requests
    assert len(heard.messages) == 3


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


def judged(instance: dg.DagsterInstance, check: str, passed: bool, severity: str = "WARN", **metadata: object) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("champion_performance"),
        check_name=check,
        passed=passed,
        metadata={
            name: dg.MetadataValue.text(value) if isinstance(value, str) else dg.MetadataValue.float(value)
            for name, value in metadata.items()
        },
        severity=dg.AssetCheckSeverity[severity],
    )
    instance.report_runless_asset_event(evaluation)


class Listener:
    """Ticks the sensor and remembers its cursor, as the daemon does."""

    def __init__(self, settings: Settings, heard: Heard) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.resources = {"notifier": heard, "settings": settings}
        self.cursor: str | None = None

    def tick(self) -> None:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=self.resources)
        self.cursor = alert_on_check_failure.evaluate_tick(context).cursor


@pytest.fixture
def listener(heard: Heard) -> Listener:
    return Listener(Settings(), heard)


def test_an_alarm_is_told_once_until_it_is_over_and_then_that_it_is(listener: Listener, heard: Heard):
    for passed in (True, False, False, True, True, False, True, True, True, True):
        judged(listener.instance, "r2_is_above_critical", passed, "ERROR", r2=0.5)
        listener.tick()
    assert [message.title for message in heard.messages] == ["Performance is critical", "Over: Performance is critical"]
    assert [message.severity for message in heard.messages] == [Severity.CRITICAL, Severity.INFO]
    assert heard.messages[0].fields["r2"] == "0.5"


def test_an_alarm_that_gets_worse_is_told_again(listener: Listener, heard: Heard):
    for severity in ("WARN", "ERROR"):
        judged(listener.instance, "r2_is_above_critical", False, severity)
        listener.tick()
    assert [message.severity for message in heard.messages] == [Severity.WARNING, Severity.CRITICAL]


def test_checks_that_were_never_judged_or_that_are_nobodys_alarm_are_silent(listener: Listener, heard: Heard):
    judged(listener.instance, "champion_beats_seasonal_naive", False)
    listener.tick()
    assert not heard.messages


def test_what_cannot_be_judged_neither_begins_nor_ends_an_alarm(listener: Listener, heard: Heard):
    for passed, r2 in ((False, NOT_KNOWN), (False, 0.5), (False, NOT_KNOWN), (False, 0.4)):
        judged(listener.instance, "r2_is_above_critical", passed, "ERROR", r2=r2)
        listener.tick()
    assert [message.title for message in heard.messages] == ["Performance is critical"]


def test_every_alarm_is_a_check_that_exists(city: City):
    known = {spec.name for each in city.defs.asset_checks for spec in each.check_specs}
    assert set(ALARMS) <= known
    assert set(ALARMS) == {spec.name for spec in _watched_checks()}


def test_a_day_that_fails_every_hour_is_told_once(city: City, heard: Heard, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(LocalWarehouse, "merge", breaks)
    for day in (LAST_DAY, LAST_DAY, LAST_DAY - timedelta(days=1)):
        result = city.run("drift", day, raise_on_error=False, asset_selection=[dg.AssetKey("retrain_decision")])
        hear_of_failure(city, heard, result)
    assert [message.link.rpartition("/")[2] for message in heard.messages][-1] == result.run_id
    assert len(heard.messages) == 2
