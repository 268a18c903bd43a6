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
from bike_assets_tests.conftest import PATIENCE, poll
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
WORDS_OF_A_PAGE = 10
BROWSER_WAITS_MS = 60_000 * PATIENCE
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
class Platform:
    """A platform on the home of a run that was killed.

    Attributes:
        running: the run.
        left: the processes that the killed run had left.
        user: the folder that is the user's own.
        temporary: the folder for temporary files.
        trace: what strace sees of all its processes, if it is installed.
    """

    running: Running
    left: list[psutil.Process]
    user: Path
    temporary: Path
    trace: Path


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform after the first pass of its home."""
    folder = tmp_path_factory.mktemp("platform")
    home, user, temporary, trace = (folder / name for name in ("home", "user", "temporary", "trace"))
    user.mkdir()
    temporary.mkdir()
    variables = {"HOME": str(user), "TMPDIR": str(temporary), "BIKE_API_KEYS": f"alice:{KEY}"}
    variables |= {"BIKE_SIMULATOR_COUNTERS": ENOUGH_FOR_DRIFT}
    killed = Running(home, **variables)
    killed.until("Dagster UI answers")
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait(60)
    left = of_home(killed)
    program = shutil.which("strace")
    running = Running(home, strace(program, trace) if program else (), **variables)
    try:
        running.until("Ctrl-C ends everything")
        yield Platform(running, left, user, temporary, trace)
    finally:
        if running.process.poll() is None:
            running.interrupt()


@pytest.fixture(scope="module")
def worked(platform: Platform) -> Platform:
    """The platform after it served and did every job that the API starts."""
    running = platform.running
    with httpx.Client(base_url=running.api, timeout=60) as api:
        champion = api.get("/champion").json()
    poll(lambda: _daemon_is_healthy(running), 90, "the daemon's heartbeats")
    _serve(running, champion["first_hour"])
    _work_on_request(running, champion["version"])
    return platform


@pytest.fixture(scope="module")
def ended(worked: Platform) -> Platform:
    """The platform after Ctrl-C: nothing of it runs any more."""
    assert worked.running.interrupt() == 130
    assert not of_home(worked.running)
    return worked


def test_it_shows_itself_and_its_steps_in_their_order(platform):
    said = platform.running.said
    positions = [said.index(text) for text in ORDER]
    assert positions == sorted(positions)
    assert "synthetic" in said


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


def _daemon_is_healthy(running: Running) -> bool:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    answer = httpx.post(f"{running.dagster}/graphql", json={"query": query}, timeout=60).json()
    statuses = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(each["healthy"] for each in statuses if each["required"])


def test_a_run_that_was_killed_is_taken_over_with_what_it_left_running(platform):
    assert platform.left
    assert not [process for process in platform.left if process.is_running()]


def test_every_server_answers_and_mlflow_sends_no_usage_data(platform):
    running = platform.running
    assert httpx.get(f"{running.dagster}/server_info", timeout=60).is_success
    assert httpx.get(f"{running.mlflow}/health", timeout=60).is_success
    telemetry = httpx.get(f"{running.mlflow}/ajax-api/3.0/mlflow/ui-telemetry", timeout=60).json()
    assert telemetry["disable_ui_telemetry"]
    assert httpx.get(f"{running.api}/champion", timeout=60).json()["family"] in FAMILIES


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


def test_the_lineage_page_shows_every_group_in_the_order_of_the_flow_and_nothing_red(platform, chromium):
    from playwright.sync_api import sync_playwright

    running = platform.running
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page(viewport={"width": 1900, "height": 1000})
        page.goto(f"{running.dagster}/asset-groups", timeout=BROWSER_WAITS_MS)
        groups = ("sources", "raw_counts", "features", "splits", "models", "evaluation", "champion", "predictions")
        groups += ("monitoring",)
        graph = page.locator("foreignObject")
        graph.filter(has_text="monitoring").first.wait_for(timeout=BROWSER_WAITS_MS)
        left = [graph.filter(has_text=group).first.bounding_box()["x"] for group in groups]
        assert left == sorted(left)
        assert page.get_by_text("Failed", exact=True).count() == 0
        browser.close()


def test_the_pages_of_every_server_ask_nothing_of_other_machines(platform, chromium):
    from playwright.sync_api import sync_playwright

    running = platform.running
    pages = (f"{running.dagster}/overview", f"{running.mlflow}/#/", f"{running.api}/", f"{running.api}/docs")
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for address in pages:
            page.goto(address, timeout=BROWSER_WAITS_MS)
            poll(lambda: len(page.inner_text("body").split()) > WORDS_OF_A_PAGE, 60, f"the content of {address}")
        browser.close()
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


def test_prometheus_finds_something_for_every_panel_and_recording_rule(platform, tmp_path):
    running = platform.running
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


def test_the_audit_says_who_asked_for_each_job(worked):
    home = worked.running.home
    with duckdb.connect() as audit:
        recorded = {
            table: audit.sql(
                f"SELECT {columns} FROM '{home}/warehouse/monitoring_audit/{table}/**/*.parquet' ORDER BY recorded_at"
            ).fetchall()
            for table, columns in AUDITED.items()
        }
    assert ("gradient_boosting", "trial", "FORCED", BY_ALICE) in recorded["training_runs"]
    assert ("gradient_boosting", "known", "FORCED", BY_ALICE) in recorded["training_runs"]
    assert {("FORCED", BY_ALICE), ("EVALUATE", BY_ALICE)} <= set(recorded["evaluations"])
    *_, (first, *_), by_alice = recorded["deployments"]
    serving = httpx.get(f"{worked.running.api}/champion", timeout=60).json()["version"]
    assert by_alice == (serving, first, "alice", "a try")
    assert serving != first


def test_a_whole_run_leaves_nothing_in_the_users_own_folder(ended):
    assert not list(ended.user.iterdir())


def test_a_whole_run_connects_to_this_machine_alone(ended):
    system_program("strace")
    seen = addresses(ended.trace)
    assert "127.0.0.1" in seen
    assert {address for address in seen if not ip_address(address).is_loopback} == set()


def test_a_whole_run_writes_into_its_home_and_temporary_folders_alone(ended):
    system_program("strace")
    paths = written(ended.trace, REPOSITORY)
    home = str(ended.running.home)
    allowed = (home, str(ended.temporary), "/dev/", "/proc/", "pipe:", "socket:", "/memfd:", "anon_inode:")
    assert f"{home}/registry/summary.json" in paths
    # The C library's UUIDs of root have a clock there; a user's have none.
    allowed += ("/var/lib/libuuid/",)
    # Python keeps compiled modules beside their sources: part of the installation, not of a run.
    elsewhere = {path for path in paths if not path.startswith(allowed) and "/__pycache__" not in path}
    assert elsewhere == set()
