"""A real Alertmanager with the committed configuration: the messages that it sends and those that it holds back."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bike_assets_tests.conftest import poll
from bike_assets_tests.dashboards.rules import ALERTS
from bike_assets_tests.dashboards.servers import alertmanager
from bike_assets_tests.fake_discord import Channel
from bike_assets_tests.servers import Server

pytestmark = pytest.mark.slow


def test_alertmanager_sends_causes_to_a_channel_and_holds_back_their_effects(channel, tmp_path):
    with alertmanager(tmp_path, channel.address) as server:
        send(
            server,
            alert("ServiceDown", service="bike_api", summary="the API"),
            alert("ModelR2Critical", summary="bad"),
            alert("DaemonSilent", summary="no daemon"),
        )
        wait_for(channel, "CRITICAL: the API", "CRITICAL: bad", "WARNING: no daemon")
        send(
            server,
            alert("ApiErrorsHigh", summary="errors"),
            alert("ModelR2Low", summary="weak"),
            alert("SensorSilent", summary="silent"),
            alert("DriftHigh", summary="moved"),
            alert("ChampionDeployed", summary="version 4"),
        )
        wait_for(channel, "WARNING: moved", "INFO: version 4")
        send(
            server,
            alert("ChampionDeployed", over=True, summary="version 4"),
            alert("DriftHigh", over=True, summary="moved"),
        )
        wait_for(channel, "OVER: moved")
        send(server, alert("RunTooSlow", summary="slow"))
        # Messages keep the order of the alerts: all earlier messages have arrived by then.
        wait_for(channel, "WARNING: slow")
        sent = {"CRITICAL: the API", "CRITICAL: bad", "WARNING: no daemon", "WARNING: moved", "INFO: version 4"}
        assert sorted(channel.titles) == sorted({*sent, "OVER: moved", "WARNING: slow"})


def test_message_has_the_description_and_the_runbook(channel, tmp_path):
    slow = {"summary": "The job daily is slow", "description": "It took 20m."}
    with alertmanager(tmp_path, channel.address) as server:
        send(server, alert("RunTooSlow", job="daily", **slow))
        poll(lambda: channel.requests, 30, "a message")
        assert channel.embed["title"] == "WARNING: The job daily is slow"
        assert channel.embed["description"].split("\n") == ["It took 20m.", "What to do: docs/monitoring.md#runtooslow"]


def test_several_of_one_alert_are_one_message(channel, tmp_path):
    jobs = ("daily", "retrain")
    with alertmanager(tmp_path, channel.address) as server:
        send(
            server,
            *(alert("RunTooSlow", job=job, summary=f"{job} is slow", description=f"{job}: 20m.") for job in jobs),
        )
        poll(lambda: channel.requests, 30, "a message")
        assert channel.embed["title"] == "WARNING: RunTooSlow (2)"
        assert channel.embed["description"].split("\n") == [
            "**daily is slow**",
            "daily: 20m.",
            "**retrain is slow**",
            "retrain: 20m.",
            "What to do: docs/monitoring.md#runtooslow",
        ]


def test_address_of_a_channel_that_cannot_be_reached_is_not_logged(deaf_address, tmp_path):
    with alertmanager(tmp_path, f"{deaf_address}/a-secret") as server:
        send(server, alert("DriftHigh"))
        poll(lambda: "refused" in server.log.read_text(), 30, "the failure is logged")
        assert "a-secret" not in server.log.read_text()


def alert(name: str, over: bool = False, **more: str) -> dict:
    """An alert as Prometheus sends it; `more` are annotations and labels."""
    rule, now = ALERTS[name], datetime.now(UTC)
    annotations = {key: more.pop(key) for key in ("summary", "description") if key in more}
    return {
        "labels": {"alertname": name, **rule["labels"], **more},
        "annotations": {**rule["annotations"], **annotations},
        "startsAt": now.isoformat(),
        "endsAt": (now if over else now + timedelta(minutes=5)).isoformat(),
    }


def send(server: Server, *alerts: dict) -> None:
    httpx.post(f"{server.address}/api/v2/alerts", json=alerts, timeout=60).raise_for_status()


def wait_for(channel: Channel, *titles: str) -> None:
    try:
        poll(lambda: set(titles) <= set(channel.titles), 30, f"messages {titles}")
    except AssertionError as error:
        raise AssertionError(f"{error}: there are {channel.titles}") from None
