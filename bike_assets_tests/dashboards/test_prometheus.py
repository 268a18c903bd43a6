"""A real Prometheus with the committed configuration: what it scrapes and evaluates, and its alerts."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bike_assets.exporter.names import Sample, metric_families
from bike_assets.exporter.server import metrics_of
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim, poll
from bike_assets_tests.dashboards.rules import rules
from bike_assets_tests.dashboards.servers import fast_prometheus_config, prometheus, set_target
from bike_assets_tests.servers import Server, free_ports

pytestmark = pytest.mark.slow


class Figures:
    """The figures of an exporter."""

    def __init__(self, *samples: Sample) -> None:
        self._samples = samples

    def collect(self) -> list:
        return metric_families(self._samples)


def registry_of(*samples: Sample) -> CollectorRegistry:
    """A registry that has these samples."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(*samples))
    return registry


@pytest.fixture
def prometheus_folder(tmp_path: Path) -> Path:
    return fast_prometheus_config(tmp_path / "prometheus")


def test_prometheus_scrapes_its_targets_and_evaluates_every_rule(prometheus_folder, serve):
    exporter = registry_of(
        Sample("bike_champion_version", 3),
        Sample("bike_run_last_duration_seconds", 12, ("daily",)),
        Sample("bike_exporter_part_readable", 0, ("drift",)),
    )
    with prometheus(prometheus_folder, serve(exporter), serve(registry_of())) as server:
        poll(lambda: server.query("bike_run_duration_seconds"), 30, "a rule has recorded")
        [duration] = server.query("bike_run_last_duration_seconds")
        assert duration["metric"]["job"] == "daily"
        [version] = server.query("bike_champion_version")
        assert version["metric"]["job"] == "bike_exporter"
        [other] = server.query('up{job="bike_api"}')
        assert other["value"][1] == "1"

        evaluated = [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]
        assert len(evaluated) == len(rules())
        poll(lambda: all_healthy(server), 30, "every rule was evaluated")
        poll(lambda: alerts_of(server) == {"ExporterPartUnreadable"}, 30, "the alert of this exporter alone")

        set_target(prometheus_folder, "bike_api", free_ports(1)[0])
        poll(lambda: server.query('ALERTS{alertname="ServiceDown",service="bike_api"}'), 30, "the API is missed")
        [manager] = server.get("/api/v1/alertmanagers")["activeAlertmanagers"]
        assert manager["url"].startswith("http://127.0.0.1:9093/")


def test_home_with_nothing_in_it_is_silent(prometheus_folder, serve, tmp_path):
    registry = metrics_of(Settings(home=claim(tmp_path / "home").folder))
    with prometheus(prometheus_folder, serve(registry), serve(registry_of())) as server:
        poll(lambda: server.query('count(up{job=~"bike_.+"} == 1) == 2'), 30, "both are scraped")
        poll(lambda: all_healthy(server), 30, "every rule was evaluated")
        poll(lambda: server.query("bike:no_champion_yet"), 30, "that there is no champion")
        poll(lambda: not alerts_of(server), 30, "the end of the alerts about targets that were not scraped yet")
        for _ in range(3):
            poll(evaluated_since(server, datetime.now(UTC)), 30, "every rule was evaluated again")
            assert not alerts_of(server)


def all_healthy(server: Server) -> bool:
    evaluated = [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert not [rule for rule in evaluated if rule["health"] == "err"]
    return all(rule["health"] == "ok" for rule in evaluated)


def evaluated_since(server: Server, moment: datetime) -> Callable[[], bool]:
    """Return whether every rule was evaluated after a moment."""

    def has_been() -> bool:
        groups = server.get("/api/v1/rules")["groups"]
        return all(datetime.fromisoformat(rule["lastEvaluation"]) > moment for each in groups for rule in each["rules"])

    return has_been


def alerts_of(server: Server) -> set[str]:
    return {alert["labels"]["alertname"] for alert in server.get("/api/v1/alerts")["alerts"]}
