"""What Prometheus and Alertmanager make of their configuration: their own tools say, and they themselves.

Each alert has its three cases in rules_test.yml; here it is asked whether it has them, and whether rules and tests
speak of metrics that exist.
"""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from bike_assets.exporter.names import METRICS, NAMES, Sample, families_of
from bike_assets.exporter.server import metrics_of
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim, poll
from bike_assets_tests.fake_discord import Channel
from dashboards.alertmanager import render
from serving.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS, ALERTMANAGER = ROOT / "dashboards" / "prometheus", ROOT / "dashboards" / "alertmanager"
RULE_TESTS = ("rules_test.yml", "rules_days_test.yml")
RUNBOOK = "docs/monitoring.md"
SECRET = "https://discord.example/api/webhooks/1/a-secret"
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}


@pytest.fixture(scope="session")
def tools() -> dict[str, str]:
    """Where the tools are; CI installs them and takes their absence for a failure."""
    found = {tool: shutil.which(tool) for tool in PACKAGES}
    found["prometheus-alertmanager"] = found["prometheus-alertmanager"] or shutil.which("alertmanager")
    missing = sorted({PACKAGES[tool] for tool, path in found.items() if path is None})
    if missing and os.environ.get("REQUIRE_SYSTEM_PACKAGES"):
        pytest.fail(f"{' and '.join(missing)} not installed, and REQUIRE_SYSTEM_PACKAGES is set")
    if missing:
        pytest.skip(f"needs the system packages {' and '.join(missing)}")
    return {tool: str(path) for tool, path in found.items()}


def run(*command: object) -> str:
    """Run a tool; what it says is the message where it is not content."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, cwd=PROMETHEUS, timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@cache
def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def rules() -> list[dict]:
    return [rule for name in ("recording", "alerts") for rule in rules_of(name)]


def rules_of(name: str) -> list[dict]:
    return [rule for group in read(PROMETHEUS / "rules" / f"{name}.yml")["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of("alerts")}
RECORDED = {rule["record"] for rule in rules_of("recording")}
TESTS = [test for name in RULE_TESTS for test in read(PROMETHEUS / name)["tests"]]


# ------------------------------------------------------------------------------------------- their own tools


def test_prometheus_takes_its_configuration_and_rules(tools):
    said = run(tools["promtool"], "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert "rules found" in said
    assert "WARNING" not in said


@pytest.mark.parametrize("name", RULE_TESTS)
def test_rules_say_what_their_tests_expect(tools, name):
    assert "SUCCESS" in run(tools["promtool"], "test", "rules", name)


@pytest.mark.parametrize("url", [None, SECRET])
def test_alertmanager_takes_its_configuration(tools, url, tmp_path):
    render.write(tmp_path / "alertmanager.yml", url)
    assert "3 receivers" in run(tools["amtool"], "check-config", tmp_path / "alertmanager.yml")


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_each_severity_has_its_receiver(tools, severity):
    config = f"--config.file={ALERTMANAGER / 'alertmanager.yml'}"
    assert severity in run(tools["amtool"], "config", "routes", "test", config, f"severity={severity}").splitlines()


# --------------------------------------------------------------------------------------------- completeness


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_how_urgent_it_is_what_it_means_and_where_to_read_on(name):
    alert = ALERTS[name]
    group = next(each for each in read(PROMETHEUS / "rules" / "alerts.yml")["groups"] if alert in each["rules"])
    assert alert["labels"]["severity"] == group["name"]
    assert alert["labels"]["team"] == "mobility"
    assert {"service", "matter"} < alert["labels"].keys()
    assert "for" in alert
    assert alert["annotations"]["summary"]
    assert len(alert["annotations"]["description"]) > len(alert["annotations"]["summary"])
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOK}#{name.lower()}"


def test_severities_are_the_routes():
    assert {alert["labels"]["severity"] for alert in ALERTS.values()} == {"critical", "warning", "info"}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_its_three_cases(name):
    """It fires, it is over afterwards, and another test has it silent from beginning to end."""
    cases = [sorted(firing_of(test, name).items()) for test in TESTS if firing_of(test, name)]
    over = [case for case in cases if any(then and not now for (_, then), (_, now) in pairwise(case))]
    silent = [test for test in TESTS if test["name"].startswith(f"{name} is silent") and is_silent(test, name)]
    assert any(firing for case in cases for _, firing in case), "it never fires"
    assert over, "it is never over"
    assert silent, "it is never silent"


def firing_of(test: dict, name: str) -> dict[int, bool]:
    """Minutes of a test at which an alert is asked for, and whether it fires then."""
    asked = [case for case in test.get("alert_rule_test", ()) if case["alertname"] == name]
    return {minutes(case["eval_time"]): bool(case.get("exp_alerts")) for case in asked}


def is_silent(test: dict, name: str) -> bool:
    firing = firing_of(test, name)
    return bool(firing) and not any(firing.values())


def minutes(duration: str) -> int:
    [(number, unit)] = re.findall(r"^(\d+)(m|h)$", duration)
    return int(number) * {"m": 1, "h": 60}[unit]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recorded_series_has_its_value_tested(name):
    asked = [case["expr"] for test in TESTS for case in test.get("promql_expr_test", ()) if case.get("exp_samples")]
    assert any(name in names_in(expression) for expression in asked)


def test_recorded_series_looks_back_as_far_as_its_name_says():
    for rule in rules_of("recording"):
        named = re.findall(r"(?:rate|ratio_|_|:)(\d+[mhd])$", rule["record"])
        assert set(re.findall(r"\[(\w+)\]", rule["expr"])) <= set(named), rule


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_has_a_section_for_the_alert(name):
    page = ROOT / RUNBOOK
    if not page.exists():
        pytest.skip(f"{RUNBOOK} is not written yet")
    assert name.lower() in {heading.lower() for heading in re.findall(r"^#+ (.+?) *$", page.read_text(), re.M)}


# ------------------------------------------------------------------------------------------ the metrics used

OF_PROMETHEUS = {"up", "ALERTS"}
FROM_SCRAPING = {"job", "instance"}
KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}


@cache
def labels_of_metrics() -> dict[str, set[str]]:
    """Every metric that there is, with its labels: the exporter's from its code, the API's from code and docs."""
    known = {name: {*METRICS[name].labels, *FROM_SCRAPING} for name in NAMES}
    of_api = re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().exposition().decode(), re.M)
    told = dict(re.findall(r"`([a-z_]+)\{([a-z_,]+)\}`", (ROOT / "docs" / "serving.md").read_text()))
    for name, kind in of_api:
        labels = {*told.get(name, "").split(","), "pid", *FROM_SCRAPING} - {""}
        series = [f"{name}{end}" for end in ("_bucket", "_sum", "_count")] if kind == "histogram" else [name]
        known |= {each: labels | ({"le"} if each.endswith("_bucket") else set()) for each in series}
    return known


def selectors_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression with the labels that are asked of each."""
    text = re.sub(r"\"[^\"]*\"|'[^']*'", '""', expression)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\[[^]]*\]|\boffset\s+\w+", " ", text)
    for found in re.finditer(r"(?<![\w.])([a-zA-Z_:][\w:]*)(\{[^}]*\})?(\s*\()?", text):
        name, matchers, call = found.groups()
        if name not in KEYWORDS and not call:
            yield name, set(re.findall(r"(\w+)\s*[!=]", matchers or ""))


def names_in(expression: str) -> set[str]:
    return {name for name, _ in selectors_in(expression)}


def grouping_labels_in(expression: str) -> set[str]:
    lists = re.findall(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)", expression)
    return {label.strip() for each in lists for label in each.split(",")} - {""}


def expressions_of(rule: dict) -> list[str]:
    """What a rule asks, in its expression and in its texts."""
    texts = " ".join(rule.get("annotations", {}).values())
    asked = re.findall(r'query "([^"]*)"', texts) + re.findall(r'query \(printf "([^"]*)"', texts)
    assert len(asked) == texts.count("query ")
    return [rule["expr"], *asked]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_rule_asks_for_metrics_and_labels_that_exist(rule):
    known = labels_of_metrics()
    for expression in expressions_of(rule):
        asked = list(selectors_in(expression))
        assert asked or rule["expr"].startswith("vector(")
        for name, labels in asked:
            assert name in known or name in RECORDED or name in OF_PROMETHEUS, f"there is no metric {name}"
            assert labels <= known.get(name, {"slo", "data", *FROM_SCRAPING}), f"{name} has no such labels"
        assert grouping_labels_in(expression) <= {"slo", *(label for labels in known.values() for label in labels)}


def test_series_of_the_tests_are_as_they_are_scraped():
    known = labels_of_metrics()
    for series in {each["series"] for test in TESTS for each in test["input_series"]}:
        [(name, labels)] = selectors_in(series)
        if name in OF_PROMETHEUS:
            assert labels == FROM_SCRAPING, series
        else:
            assert labels | {"pid", *FROM_SCRAPING} == known[name] | {"pid"}, series


def test_historical_names_are_metrics_or_recorded():
    named = re.findall(r"`(bike_[a-z0-9_]+)[`{]", HISTORICAL)
    assert set(named) - RECORDED - NAMES == set()
    assert len(named) == 18


HISTORICAL = """
`bike_model_r2_champion_current` `bike_model_r2_champion_baseline` `bike_model_r2_challenger_current`
`bike_model_r2_challenger_baseline` `bike_model_rmse_production` `bike_drift_detected` `bike_drift_share`
`bike_drifted_features_count` `bike_training_runs_total{status}` `bike_model_deployments_total{decision}`
`bike_model_improvement_delta` `bike_records_ingested_total` `bike_predictions_generated_total` `bike_prediction_rmse`
`bike_prediction_mae` `bike_prediction_r2` `bike_run_duration_seconds{job}` `bike_model_r2{role,dataset}`
"""


# ------------------------------------------------------------------------------------------------- the secret


def test_address_of_the_channel_is_readable_for_its_owner_only_and_whole(tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text("before")
    path.chmod(0o644)
    render.write(path, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]
    receivers = yaml.safe_load(path.read_text())["receivers"]
    assert [each["discord_configs"][0]["webhook_url"] for each in receivers] == [SECRET] * 3
    assert [each["discord_configs"][0]["send_resolved"] for each in receivers] == [True, True, False]


def test_with_a_channel_only_the_receivers_differ():
    silent, told = (yaml.safe_load(render.rendered(url)) for url in (None, SECRET))
    assert [each["name"] for each in silent.pop("receivers")] == [each["name"] for each in told.pop("receivers")]
    assert silent == told


def test_an_address_cannot_add_to_the_configuration():
    odd = 'http://x.example/"\n    - name: other'
    [one, *_] = yaml.safe_load(render.rendered(odd))["receivers"]
    assert one["discord_configs"][0]["webhook_url"] == odd


def test_nothing_in_the_folder_looks_like_a_channel():
    for file in (path for path in (ROOT / "dashboards").rglob("*") if path.is_file()):
        assert b"/api/webhooks/" not in file.read_bytes(), file


# -------------------------------------------------------------------------------------- the servers themselves


@dataclass(frozen=True)
class Server:
    """A server of this machine that answers."""

    address: str
    log: Path

    def get(self, path: str, **parameters: str) -> dict:
        return httpx.get(f"{self.address}{path}", params=parameters, timeout=10).raise_for_status().json()["data"]

    def query(self, expression: str) -> list[dict]:
        """What an instant query finds."""
        return self.get("/api/v1/query", query=expression)["result"]


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[Server]:
    """Run a server on a free port until the test is over."""
    port, log = free_port(), folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=file, stderr=file)
        try:
            server = Server(f"http://127.0.0.1:{port}", log)
            poll(lambda: process.poll() is not None or is_ready(server), 30, "the server is ready")
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(20)


def is_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.address}/-/ready", timeout=2).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Figures:
    """What an exporter tells."""

    def __init__(self, *samples: Sample) -> None:
        self._samples = samples

    def collect(self) -> list:
        return families_of(self._samples)


@pytest.fixture
def serve_figures() -> Iterator[Callable[..., int]]:
    """Serve samples, or what a registry has, over HTTP until the test is over; the port."""
    servers = []

    def serve(*samples: Sample, registry: CollectorRegistry | None = None) -> int:
        if registry is None:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(Figures(*samples))
        server, _ = start_http_server(0, "127.0.0.1", registry)
        servers.append(server)
        return server.server_port

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def prometheus_folder(tmp_path: Path) -> Path:
    """A copy of the configuration, as one makes it who has other ports, that looks every second."""
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    config = folder / "prometheus.yml"
    hasty = re.sub(r"interval: \w+", "interval: 1s", config.read_text())
    config.write_text(hasty.replace("scrape_timeout: 10s", "scrape_timeout: 1s"))
    for rule_file in folder.glob("rules/*.yml"):
        rule_file.write_text(re.sub(r"\b(interval|for): \d\w+", r"\1: 1s", rule_file.read_text()))
    return folder


def target(folder: Path, job: str, port: int) -> None:
    """Say where a job is, by replacing its file."""
    new = folder / "targets" / "new"
    new.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    new.replace(folder / "targets" / f"{job}.json")


@pytest.mark.slow
def test_prometheus_scrapes_what_the_targets_say_and_evaluates_every_rule(tools, prometheus_folder, serve_figures):
    exporter = serve_figures(
        Sample("bike_champion_version", 3),
        Sample("bike_run_last_duration_seconds", 12, ("daily",)),
        Sample("bike_exporter_part_readable", 0, ("drift",)),
    )
    with prometheus(tools, prometheus_folder, exporter, serve_figures()) as server:
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

        target(prometheus_folder, "bike_api", free_port())
        poll(lambda: server.query('ALERTS{alertname="ServiceDown",service="bike_api"}'), 30, "the API is missed")
        [manager] = server.get("/api/v1/alertmanagers")["activeAlertmanagers"]
        assert manager["url"].startswith("http://127.0.0.1:9093/")


@pytest.mark.slow
def test_home_with_nothing_in_it_is_silent(tools, prometheus_folder, serve_figures, tmp_path):
    registry = metrics_of(Settings(home=claim(tmp_path / "home").folder))
    with prometheus(tools, prometheus_folder, serve_figures(registry=registry), serve_figures()) as server:
        poll(lambda: server.query('count(up{job=~"bike_.+"} == 1) == 2'), 30, "both are scraped")
        poll(lambda: all_healthy(server), 30, "every rule was evaluated")
        poll(lambda: server.query("bike:no_champion_yet"), 30, "that there is no champion")
        poll(lambda: not alerts_of(server), 30, "nothing is told any more of those that were not scraped yet")
        time.sleep(3)
        assert not alerts_of(server)


@contextmanager
def prometheus(tools: dict[str, str], folder: Path, exporter: int, api: int) -> Iterator[Server]:
    """Run Prometheus with a configuration and the ports of its two targets."""
    target(folder, "bike_exporter", exporter)
    target(folder, "bike_api", api)
    data, config = folder.parent / "data", folder / "prometheus.yml"
    with serving(
        folder.parent, tools["prometheus"], f"--config.file={config}", f"--storage.tsdb.path={data}"
    ) as server:
        yield server


def all_healthy(server: Server) -> bool:
    evaluated = [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert not [rule for rule in evaluated if rule["health"] == "err"]
    return all(rule["health"] == "ok" for rule in evaluated)


def alerts_of(server: Server) -> set[str]:
    return {alert["labels"]["alertname"] for alert in server.get("/api/v1/alerts")["alerts"]}


@pytest.mark.slow
def test_alertmanager_tells_a_channel_and_holds_back_what_follows_from_worse(tools, channel, tmp_path):
    with alertmanager(tools, tmp_path, channel.address) as server:
        send(
            server,
            alert("ServiceDown", service="bike_api", summary="the API"),
            alert("ModelR2Critical", summary="bad"),
            alert("DaemonSilent", summary="no daemon"),
        )
        wait_for(channel, "Critical: the API", "Critical: bad", "Warning: no daemon")
        send(
            server,
            alert("ApiErrorsHigh", summary="errors"),
            alert("ModelR2Low", summary="weak"),
            alert("SensorSilent", summary="silent"),
            alert("DriftHigh", summary="moved"),
            alert("ChampionDeployed", summary="version 4"),
        )
        wait_for(channel, "Warning: moved", "Info: version 4")
        send(
            server,
            alert("ChampionDeployed", over=True, summary="version 4"),
            alert("DriftHigh", over=True, summary="moved"),
        )
        wait_for(channel, "Over: moved")
        time.sleep(3)
        told = {"Critical: the API", "Critical: bad", "Warning: no daemon", "Warning: moved", "Info: version 4"}
        assert sorted(channel.titles) == sorted({*told, "Over: moved"})


@pytest.mark.slow
def test_message_says_what_is_wrong_and_where_to_read_on(tools, channel, tmp_path):
    slow = {"summary": "The job daily is slow", "description": "It took 20m."}
    with alertmanager(tools, tmp_path, channel.address) as server:
        send(server, alert("RunTooSlow", job="daily", **slow))
        poll(lambda: channel.requests, 30, "a message")
        assert channel.embed["title"] == "Warning: The job daily is slow"
        assert channel.embed["description"].split("\n") == ["It took 20m.", "What to do: docs/monitoring.md#runtooslow"]


@pytest.mark.slow
def test_several_of_one_alert_are_one_message(tools, channel, tmp_path):
    jobs = ("daily", "retrain")
    with alertmanager(tools, tmp_path, channel.address) as server:
        send(
            server,
            *(alert("RunTooSlow", job=job, summary=f"{job} is slow", description=f"{job}: 20m.") for job in jobs),
        )
        poll(lambda: channel.requests, 30, "a message")
        assert channel.embed["title"] == "Warning: RunTooSlow (2)"
        assert channel.embed["description"].split("\n") == [
            "**daily is slow**",
            "daily: 20m.",
            "**retrain is slow**",
            "retrain: 20m.",
            "What to do: docs/monitoring.md#runtooslow",
        ]


@pytest.mark.slow
def test_address_of_a_channel_that_cannot_be_reached_is_not_logged(tools, deaf_address, tmp_path):
    with alertmanager(tools, tmp_path, f"{deaf_address}/a-secret") as server:
        send(server, alert("DriftHigh"))
        poll(lambda: "refused" in server.log.read_text(), 30, "the failure is logged")
        assert "a-secret" not in server.log.read_text()


@contextmanager
def alertmanager(tools: dict[str, str], folder: Path, webhook_url: str) -> Iterator[Server]:
    """Run Alertmanager as it is configured, but without its waits."""
    config = folder / "alertmanager.yml"
    render.write(config, webhook_url)
    config.write_text(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", config.read_text()))
    command = (
        tools["prometheus-alertmanager"],
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",
    )
    with serving(folder, *command) as server:
        yield server


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
    httpx.post(f"{server.address}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def wait_for(channel: Channel, *titles: str) -> None:
    poll(lambda: set(titles) <= set(channel.titles), 30, f"messages {titles}, and there are {channel.titles}")
