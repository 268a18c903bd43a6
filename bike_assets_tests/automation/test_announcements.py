"""Notifications: a promotion once, a rejection as a rejection, and a failure with its step and its page."""

import json
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


class RecordingNotifier:
    """Keeps the messages that it is sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> bool:
        self.messages.append(message)
        return True


@pytest.fixture
def notifier() -> RecordingNotifier:
    return RecordingNotifier()


def resources(city: City, notifier: RecordingNotifier) -> dict:
    registry = city.resource("registry")
    return {
        "warehouse": city.resource("warehouse"),
        "registry": registry,
        "settings": city.settings,
        "notifier": notifier,
    }


def tick_promotion(city: City, notifier: RecordingNotifier, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=city.instance, cursor=cursor, resources=resources(city, notifier))
    return announce_promotion.evaluate_tick(context)


def report_failure(city: City, notifier: RecordingNotifier, result: dg.ExecuteInProcessResult) -> None:
    failure = next(event for event in result.all_events if event.is_run_failure)
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_run_failure",
        dagster_event=failure,
        dagster_instance=city.instance,
        dagster_run=result.dagster_run,
        resources=resources(city, notifier),
    ).for_run_failure()
    alert_on_run_failure(context)


def test_a_new_champion_is_reported_with_its_scores_and_its_run(city: City, notifier: RecordingNotifier):
    champion = city.resource("registry").read().champion
    tick_promotion(city, notifier)
    (message,) = notifier.messages
    assert f"version {champion.version}" in message.title
    assert message.fields["R² test_current"] == f"{champion.scores['test_current']['r2']:.4f}"
    assert "/runs/" in message.link


def test_each_promotion_is_reported_once_and_an_unchanged_champion_never(city: City, notifier: RecordingNotifier):
    cursor = tick_promotion(city, notifier).cursor
    assert city.run("retrain", asset_selection=[dg.AssetKey("champion")]).success
    silent = tick_promotion(city, notifier, cursor)
    assert "did not change" in silent.skip_message
    others = [entry.version for entry in city.resource("registry").read().models if not entry.is_champion][:2]
    for version in others:
        config = {"version": version, "by": "Ada", "reason": "a trial"}
        assert city.run("promote", run_config={"ops": {"champion": {"config": config}}}).success
    cursor = tick_promotion(city, notifier, silent.cursor).cursor
    assert [message.fields["version"] for message in notifier.messages[1:]] == [str(version) for version in others]
    assert not tick_promotion(city, notifier, cursor).run_requests
    assert len(notifier.messages) == 3


def test_a_reject_is_reported_as_a_rejection_and_not_as_a_failure(city: City, open_city, notifier: RecordingNotifier):
    strict = open_city(city.home.folder, r2_floor=0.999)
    (strict.home.registry / "summary.json").unlink()
    result = strict.run("retrain", raise_on_error=False)
    assert not result.success
    report_failure(strict, notifier, result)
    (message,) = notifier.messages
    assert "rejected" in message.title.lower()
    assert "below the floor of 1.00" in message.text


def test_a_failed_run_is_reported_with_its_step_and_its_cause(city: City, notifier: RecordingNotifier, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(LocalWarehouse, "merge", breaks)
    result = city.run("retrain", raise_on_error=False, asset_selection=[dg.AssetKey("double_evaluation")])
    assert not result.success
    report_failure(city, notifier, result)
    (message,) = notifier.messages
    assert message.fields["error"] == "RuntimeError: the disk is full"
    assert "double_evaluation" in message.text
    assert message.link.endswith(f"/runs/{result.run_id}")


def record_evaluation(
    instance: dg.DagsterInstance, check: str, passed: bool, severity: str = "WARN", **metadata: object
) -> None:
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


class SensorTicks:
    """Ticks the sensor and remembers its cursor, as the daemon does."""

    def __init__(self, settings: Settings, notifier: RecordingNotifier) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.resources = {"notifier": notifier, "settings": settings}
        self.cursor: str | None = None

    def tick(self) -> None:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=self.resources)
        self.cursor = alert_on_check_failure.evaluate_tick(context).cursor


@pytest.fixture
def sensor(notifier: RecordingNotifier) -> SensorTicks:
    return SensorTicks(Settings(), notifier)


def test_an_alarm_is_reported_once_and_its_end_once(sensor: SensorTicks, notifier: RecordingNotifier):
    for passed in (True, False, False, True, True, False, True, True, True, True):
        record_evaluation(sensor.instance, "r2_is_above_critical", passed, "ERROR", r2=0.5)
        sensor.tick()
    assert [message.title for message in notifier.messages] == [
        "Performance is critical",
        "Resolved: Performance is critical",
    ]
    assert [message.severity for message in notifier.messages] == [Severity.CRITICAL, Severity.INFO]
    assert notifier.messages[0].fields["r2"] == "0.5"


def test_an_alarm_in_a_stored_cursor_is_not_reported_again(sensor: SensorTicks, notifier: RecordingNotifier):
    sensor.cursor = '{"r2_is_above_critical": {"told": "ERROR", "held": 2, "seen": -1}}'
    record_evaluation(sensor.instance, "r2_is_above_critical", False, "ERROR")
    sensor.tick()
    assert not notifier.messages
    for _ in range(3):
        record_evaluation(sensor.instance, "r2_is_above_critical", True)
        sensor.tick()
    assert [message.title for message in notifier.messages] == ["Resolved: Performance is critical"]
    assert json.loads(sensor.cursor)["r2_is_above_critical"].keys() == {"told", "held", "seen"}


def test_an_alarm_that_gets_worse_is_reported_again(sensor: SensorTicks, notifier: RecordingNotifier):
    for severity in ("WARN", "ERROR"):
        record_evaluation(sensor.instance, "r2_is_above_critical", False, severity)
        sensor.tick()
    assert [message.severity for message in notifier.messages] == [Severity.WARNING, Severity.CRITICAL]


def test_checks_without_an_evaluation_or_without_an_alarm_are_not_reported(
    sensor: SensorTicks, notifier: RecordingNotifier
):
    record_evaluation(sensor.instance, "champion_beats_seasonal_naive", False)
    sensor.tick()
    assert not notifier.messages


def test_an_evaluation_with_too_little_data_neither_starts_nor_ends_an_alarm(
    sensor: SensorTicks, notifier: RecordingNotifier
):
    for passed, r2 in ((False, NOT_KNOWN), (False, 0.5), (False, NOT_KNOWN), (False, 0.4)):
        record_evaluation(sensor.instance, "r2_is_above_critical", passed, "ERROR", r2=r2)
        sensor.tick()
    assert [message.title for message in notifier.messages] == ["Performance is critical"]


def test_every_alarm_is_a_check_that_exists(city: City):
    known = {spec.name for each in city.defs.asset_checks for spec in each.check_specs}
    assert set(ALARMS) <= known
    assert set(ALARMS) == {spec.name for spec in _watched_checks()}


def test_a_day_that_fails_every_hour_is_reported_once(city: City, notifier: RecordingNotifier, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(LocalWarehouse, "merge", breaks)
    for day in (LAST_DAY, LAST_DAY, LAST_DAY - timedelta(days=1)):
        result = city.run("drift", day, raise_on_error=False, asset_selection=[dg.AssetKey("retrain_decision")])
        report_failure(city, notifier, result)
    assert [message.link.rpartition("/")[2] for message in notifier.messages][-1] == result.run_id
    assert len(notifier.messages) == 2
