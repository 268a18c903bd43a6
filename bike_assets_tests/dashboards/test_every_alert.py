"""Each alert from the figures that raise it to Discord and back, by a real Prometheus and a real Alertmanager.

What the bounds are is in rules_test.yml; what Alertmanager holds back, in test_alertmanager.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Metric

from bike_assets.exporter.names import Sample, metric_families
from bike_assets_tests.conftest import poll
from bike_assets_tests.dashboards.rules import ALERTS
from bike_assets_tests.dashboards.servers import alertmanager, fast_prometheus_config, prometheus, set_target
from bike_assets_tests.fake_discord import Channel
from bike_assets_tests.servers import Server, free_ports

pytestmark = pytest.mark.slow

HOUR, DAY = 3600.0, 86400.0
Key = tuple[str, tuple[str, ...]]


class Ago(float):
    """A time, in seconds before the scrape."""


LIVE = ("live", "1")
CALM: dict[Key, float] = {
    ("bike_home_info", ("portal",)): 1,
    ("bike_champion_version", ()): 3,
    ("bike_model_info", ("champion", "blend", "3")): 1,
    ("bike_model_info", ("challenger", "blend", "4")): 1,
    ("bike_deployment_last_timestamp_seconds", ()): Ago(2 * DAY),
    ("bike_evaluation_last_timestamp_seconds", ("REJECT",)): Ago(2 * DAY),
    ("bike_model_r2", ("champion", *LIVE)): 0.93,
    ("bike_model_rmse", ("champion", *LIVE)): 25,
    ("bike_drift_share", ()): 0.1,
    ("bike_behind_naive_streak", ()): 0,
    ("bike_data_end_timestamp_seconds", ("counts",)): Ago(12 * HOUR),
    ("bike_data_end_timestamp_seconds", ("forecasts",)): Ago(12 * HOUR),
    ("bike_training_last_timestamp_seconds", ("failed",)): Ago(3 * DAY),
    ("bike_run_last_duration_seconds", ("daily",)): 60,
    ("bike_run_last_success_timestamp_seconds", ("daily",)): Ago(2 * HOUR),
    ("bike_runs_in_progress", ("daily", "started")): 0,
    ("bike_instigator_running", ("retrain_on_decision", "sensor")): 1,
    ("bike_instigator_tick_timestamp_seconds", ("retrain_on_decision", "sensor")): Ago(5),
    ("bike_instigator_tick_failed", ("retrain_on_decision", "sensor")): 0,
    ("bike_daemon_heartbeat_timestamp_seconds", ("SENSOR",)): Ago(5),
    ("bike_exporter_part_readable", ("models",)): 1,
    ("bike_exporter_part_readable", ("drift",)): 1,
}
CAUSES: tuple[dict[str, dict[Key, float]], ...] = (
    {
        "ModelR2Critical": {("bike_model_r2", ("champion", *LIVE)): 0.5},
        "DriftWithDecliningR2": {("bike_drift_share", ()): 0.8},  # and the R2 above
        "NoDataForADayAndAHalf": {("bike_data_end_timestamp_seconds", ("counts",)): Ago(50 * HOUR)},
        "TrainingFailed": {("bike_training_last_timestamp_seconds", ("failed",)): Ago(60)},
        "RunTooSlow": {("bike_run_last_duration_seconds", ("daily",)): 1000},
        "RunStuck": {("bike_runs_in_progress", ("daily", "started")): 1},
        "ChampionWorseThanNaive": {("bike_behind_naive_streak", ()): 3},
        "SensorSilent": {("bike_instigator_tick_timestamp_seconds", ("retrain_on_decision", "sensor")): Ago(HOUR)},
        "ExporterPartUnreadable": {("bike_exporter_part_readable", ("drift",)): 0},
        "ChampionDeployed": {("bike_deployment_last_timestamp_seconds", ()): Ago(60)},
        "ChallengerRejected": {("bike_evaluation_last_timestamp_seconds", ("REJECT",)): Ago(60)},
    },
    {
        "ModelR2Low": {("bike_model_r2", ("champion", *LIVE)): 0.65},
        "RmseHigh": {("bike_model_rmse", ("champion", *LIVE)): 75},
        "DriftHigh": {("bike_drift_share", ()): 0.6},
        "ForecastsMissing": {("bike_data_end_timestamp_seconds", ("forecasts",)): Ago(36 * HOUR)},
        "DaemonSilent": {("bike_daemon_heartbeat_timestamp_seconds", ("SENSOR",)): Ago(HOUR)},
    },
)
"""What raises each alert, in batches of which none holds another back."""
EVENTS = {name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "info"}


class Exporter:
    """The exporter's figures, which a test changes."""

    def __init__(self) -> None:
        self.figures: Mapping[Key, float] = CALM

    def collect(self) -> Iterator[Metric]:
        now = time.time()
        figures = self.figures.items()
        yield from metric_families(
            Sample(name, now - value if isinstance(value, Ago) else value, labels) for (name, labels), value in figures
        )


class Api:
    """The API's figures: ten requests between two scrapes, which fail after `break_down`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "endpoint", "status_code")
        self._requests = Counter("fastapi_requests", "Requests.", labels, registry=self.registry)
        self._errors = Counter("fastapi_errors", "Failures.", labels, registry=self.registry)
        self.version = Gauge("bike_api_champion_version", "Version.", registry=self.registry)
        self.readable = Gauge("bike_api_part_readable", "Readable.", ("part",), registry=self.registry)
        self.registry.register(self)
        self.recover()

    def recover(self) -> None:
        self.fails = False
        self.version.set(3)
        self.readable.labels("warehouse").set(1)

    def break_down(self) -> None:
        self.fails = True
        self.version.set(2)
        self.readable.labels("warehouse").set(0)

    def collect(self) -> Iterator[Metric]:
        kind = ("POST", "/predict", "503" if self.fails else "200")
        self._requests.labels(*kind).inc(10)
        self._errors.labels("POST", "/predict", "503").inc(10 if self.fails else 0)
        yield from ()

    def describe(self) -> Iterator[Metric]:
        yield from ()


def test_every_alert_reaches_the_channel_and_is_reported_as_over(channel, serve, tmp_path):
    exporter, api, registry = Exporter(), Api(), CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    folder, api_port = shorten_ranges(fast_prometheus_config(tmp_path / "prometheus")), serve(api.registry)
    tested: set[str] = set()

    def raised_and_over(names: Iterable[str], cause: Callable[[], None], remedy: Callable[[], None]) -> None:
        cause()
        wait_until(channel, set(names), "raised")
        remedy()
        wait_until(channel, set(names) - EVENTS, "over")
        tested.update(names)

    with alertmanager(tmp_path, channel.address) as manager:
        set_target(folder, "alertmanager", port_of(manager))
        with prometheus(folder, serve(registry), api_port) as server:
            poll(lambda: server.query("bike_api:error_ratio:rate5m == 0"), 30, "the calm")
            for causes in CAUSES:
                figures = {key: value for cause in causes.values() for key, value in cause.items()}
                raised_and_over(
                    causes,
                    lambda figures=figures: setattr(exporter, "figures", {**CALM, **figures}),
                    lambda: setattr(exporter, "figures", CALM),
                )
            raised_and_over(["ApiErrorsHigh", "ApiDegraded", "ApiVersionsDiffer"], api.break_down, api.recover)
            unused_port = free_ports(1)[0]
            raised_and_over(
                ["ServiceDown"],
                lambda: set_target(folder, "bike_api", unused_port),
                lambda: set_target(folder, "bike_api", api_port),
            )
    assert tested == set(ALERTS)


def shorten_ranges(folder: Path) -> Path:
    """Make the rules look back seconds instead of minutes and days."""
    hurry = {"[5m]": "[4s]", "[1d] offset 3d": "[4s] offset 8s"}
    for file in folder.glob("rules/*.yml"):
        text = file.read_text()
        for slow, fast in hurry.items():
            text = text.replace(slow, fast)
        file.write_text(text)
    return folder


def port_of(server: Server) -> int:
    return int(server.address.rpartition(":")[2])


def wait_until(channel: Channel, names: set[str], state: str) -> None:
    """Wait for messages about alerts; a message names its alert by the runbook that it links to."""

    def missing() -> set[str]:
        return names - {name for name, reported in messages(channel) if reported == state}

    try:
        poll(lambda: not missing(), 45, state)
    except AssertionError:
        raise AssertionError(f"never {state}: {sorted(missing())}; messages: {messages(channel)}") from None


def messages(channel: Channel) -> list[tuple[str, str]]:
    embeds = [embed for _, _, body in channel.requests for embed in body["embeds"]]
    by_page = {name.lower(): name for name in ALERTS}
    return [
        (by_page[embed["description"].rpartition("#")[2]], "over" if embed["title"].startswith("OVER:") else "raised")
        for embed in embeds
    ]
