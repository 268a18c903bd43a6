"""`make run` as a user sees it: what it prints, what answers, what it touches, and that Ctrl-C ends everything."""

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import httpx
import psutil
import pytest
import yaml

from bike_assets.commands.run.dashboards import DASHBOARDS
from bike_assets.core.families import FAMILIES
from bike_assets_tests.conftest import poll
from bike_assets_tests.programs import system_program
from bike_assets_tests.whole.conftest import REPOSITORY, Running, environment
from bike_assets_tests.whole.kills import of_home
from bike_assets_tests.whole.traced import addresses, strace, written
from bike_assets_tests.whole.watched import watched
from dashboards.committed import may_be_empty, queries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ORDER = (
    "Dagster UI answers",
    "Watch ",
    "Source ",
    "ingesting counts",
    "training",
    "forecasting",
    "Champion",
    "Dagster UI http",
)
KEY = "0123456789abcdef"
BY_ALICE = "alice asked for it through the API"
AUDITED = {
    "training_runs": "family, status, trigger, cause",
    "evaluations": "trigger, cause",
    "deployments": "version, replaced_version, decided_by, reason",
}
ENOUGH_FOR_DRIFT = "12"
NOT_YET = {
    "bike_model_improvement_delta",
    "bike:no_champion_yet",
    "bike_prediction_r2",
    "bike_prediction_rmse",
    "bike_prediction_mae",
}
"""Recorded from what a home on its first day does not have: a gain, a week of forecasts that were issued."""
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Worked:
    """A platform that did all it does on request and was ended.

    Attributes:
        running: the run.
        user: the folder that was the user's own.
        temporary: the folder for temporary files.
        trace: what strace saw of all its processes, if it is installed.
    """

    running: Running
    user: Path
    temporary: Path
    trace: Path


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    """A run of a new home: it shows itself, does every job that the API starts, serves, and ends with Ctrl-C."""
    folder = tmp_path_factory.mktemp("worked")
    user, temporary, trace = folder / "user", folder / "temporary", folder / "trace"
    user.mkdir()
    temporary.mkdir()
    program = shutil.which("strace")
    before = strace(program, trace) if program else ()
    variables = {"HOME": str(user), "TMPDIR": str(temporary), "BIKE_API_KEYS": f"alice:{KEY}"}
    running = Running(folder / "home", before, **variables)
    try:
        running.until("Ctrl-C ends everything")
        assert httpx.get(f"{running.dagster}/server_info", timeout=60).is_success
        assert httpx.get(f"{running.mlflow}/health", timeout=60).is_success
        assert httpx.get(f"{running.mlflow}/ajax-api/3.0/mlflow/ui-telemetry", timeout=60).json()[
            "disable_ui_telemetry"
        ]
        champion = httpx.get(f"{running.api}/champion", timeout=60).json()
        assert champion["family"] in FAMILIES
        poll(lambda: _daemon_is_healthy(running), 90, "the daemon's heartbeats")
        _serve(running, champion["first_hour"])
        _work_on_request(running, champion["version"])
    finally:
        code = running.interrupt()
    assert code == 130
    assert not of_home(running)
    return Worked(running, user, temporary, trace)


def test_it_shows_itself_and_its_steps_in_their_order(worked):
    said = worked.running.said
    positions = [said.index(text) for text in ORDER]
    assert positions == sorted(positions)
    assert "synthetic" in said


def test_a_whole_run_leaves_nothing_in_the_users_own_folder(worked):
    assert not list(worked.user.iterdir())


def test_a_whole_run_connects_to_this_machine_alone(worked):
    system_program("strace")
    seen = addresses(worked.trace)
    assert "127.0.0.1" in seen
    assert {address for address in seen if not ip_address(address).is_loopback} == set()


def test_a_whole_run_writes_into_its_home_and_temporary_folders_alone(worked):
    system_program("strace")
    paths = written(worked.trace, REPOSITORY)
    home = str(worked.running.home)
    allowed = (home, str(worked.temporary), "/dev/", "/proc/", "pipe:", "socket:", "/memfd:", "anon_inode:")
    assert f"{home}/home.json" in paths
    # The C library's UUIDs of root have a clock there; a user's have none.
    allowed += ("/var/lib/libuuid/",)
    # Python keeps compiled modules beside their sources: part of the installation, not of a run.
    elsewhere = {path for path in paths if not path.startswith(allowed) and "/__pycache__" not in path}
    assert elsewhere == set()


def _serve(running: Running, hour: str) -> None:
    """Ask for a forecast of some counter."""
    with httpx.Client(base_url=running.api, timeout=60) as api:
        record = {"counter_id": api.get("/counters").json()[0]["counter_id"], "at": hour}
        assert api.post("/predict", json={"records": [record]}).is_success


def _work_on_request(running: Running, champion: int) -> None:
    """Start every kind of job over the API; they run under the daemon and leave what the graph's own leave."""
    with httpx.Client(base_url=running.api, headers={"X-API-Key": KEY}, timeout=150) as api:
        other = next(entry["version"] for entry in api.get("/models").json() if not entry["is_champion"])
        asked = [
            api.post("/train", json={"families": ["gradient_boosting"]}),
            api.post("/train", json={"families": ["gradient_boosting"], "test_mode": True}),
            api.post("/drift"),
            api.post("/evaluate"),
        ]
        assert [each.status_code for each in asked] == [202] * 4
        for each in asked:
            run = f"/runs/{each.json()['run_id']}"
            poll(lambda run=run: api.get(run).json()["ended_at"], 300, f"the end of {run}")
            assert api.get(run).json()["status"] == "SUCCESS"
        promoted = api.post("/promote_champion", params={"wait": 120}, json={"version": other, "reason": "a try"})
        assert (promoted.status_code, promoted.json()["status"]) == (200, "SUCCESS")
        poll(lambda: api.get("/champion").json()["version"] == other, 5, "the promoted version")
    with duckdb.connect() as audit:
        told = {
            table: audit.sql(
                f"SELECT {columns} FROM '{running.home}/warehouse/monitoring_audit/{table}/**/*.parquet'"
            ).fetchall()
            for table, columns in AUDITED.items()
        }
    assert ("gradient_boosting", "trial", "FORCED", BY_ALICE) in told["training_runs"]
    assert ("gradient_boosting", "known", "FORCED", BY_ALICE) in told["training_runs"]
    assert {("FORCED", BY_ALICE), ("EVALUATE", BY_ALICE)} <= set(told["evaluations"])
    assert (other, champion, "alice", "a try") in told["deployments"]


def _daemon_is_healthy(running: Running) -> bool:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    answer = httpx.post(f"{running.dagster}/graphql", json={"query": query}, timeout=60).json()
    statuses = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(each["healthy"] for each in statuses if each["required"])


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, list[psutil.Process]]]:
    """A run on the home of one that was killed, and what that one had left running; Ctrl-C ends it without a trace."""
    home = tmp_path_factory.mktemp("taken") / "home"
    killed = Running(home, BIKE_SIMULATOR_COUNTERS=ENOUGH_FOR_DRIFT)
    killed.until("Dagster UI answers")
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait(60)
    left = of_home(killed)
    again = Running(home, BIKE_SIMULATOR_COUNTERS=ENOUGH_FOR_DRIFT)
    try:
        again.until("Ctrl-C ends everything")
        yield again, left
    finally:
        assert again.interrupt() == 130
    assert not of_home(again)


def test_a_run_that_was_killed_is_taken_over_with_what_it_left_running(taken_over):
    running, left = taken_over
    assert left
    assert not [process for process in left if process.is_running()]
    assert httpx.get(f"{running.api}/champion", timeout=60).is_success


def test_a_busy_port_is_one_sentence_that_names_the_setting(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, "-m", "bike_assets.cli", "run"],
            env=environment(tmp_path / "home", BIKE_MLFLOW_PORT=port, BIKE_DAGSTER_PORT=port),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert refused.returncode == 2
    assert f":{port}" in refused.stderr
    assert "BIKE_DAGSTER_PORT" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home" / "home.json").exists()


def test_the_lineage_page_shows_every_group_in_the_order_of_the_flow_and_nothing_red(taken_over, chromium):
    from playwright.sync_api import sync_playwright

    running, _ = taken_over
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page(viewport={"width": 1900, "height": 1000})
        page.goto(f"{running.dagster}/asset-groups")
        groups = ("raw_counts", "features", "splits", "models", "evaluation", "champion", "predictions", "monitoring")
        graph = page.locator("foreignObject")
        graph.filter(has_text="monitoring").first.wait_for(timeout=60_000)
        left = [graph.filter(has_text=group).first.bounding_box()["x"] for group in groups]
        assert left == sorted(left)
        assert page.get_by_text("Failed", exact=True).count() == 0
        browser.close()


def test_the_pages_of_every_server_ask_nothing_of_other_machines(taken_over, chromium):
    from playwright.sync_api import sync_playwright

    running, _ = taken_over
    pages = (f"{running.dagster}/overview", f"{running.mlflow}/#/", f"{running.api}/", f"{running.api}/docs")
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for address in pages:
            page.goto(address, wait_until="networkidle")
        browser.close()
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


def test_prometheus_finds_something_for_every_panel_and_recording_rule(taken_over, tmp_path):
    running, _ = taken_over
    with httpx.Client(base_url=running.api, timeout=60) as api, watched(running, tmp_path / "watching") as prometheus:
        at = api.get("/champion").json()["first_hour"]
        record = {"counter_id": api.get("/counters").json()[0]["counter_id"], "at": at}
        asked = [query for query in queries() if not may_be_empty(query.expr)]

        def silent() -> list[str]:
            assert api.post("/predict", json={"records": [record]}).is_success
            panels = [
                f"{query.dashboard}: {query.panel}: {query.expr}" for query in asked if not prometheus.query(query.expr)
            ]
            return panels + [name for name in recorded_names() - NOT_YET if not prometheus.query(name)]

        with suppress(AssertionError):
            poll(lambda: not silent(), 60, "something for every query")
        assert not silent()


def recorded_names() -> set[str]:
    """Return the names of the recording rules."""
    rules = yaml.safe_load((DASHBOARDS / "prometheus" / "rules" / "recording.yml").read_text())
    return {rule["record"] for group in rules["groups"] for rule in group["rules"]}
