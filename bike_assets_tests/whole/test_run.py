"""`make run` as a user sees it: what it prints, what answers, and that Ctrl-C leaves nothing behind."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import httpx
import psutil
import pytest
from dagster_graphql import DagsterGraphQLClient

from bike_assets.core.families import FAMILIES
from bike_assets_tests.conftest import poll
from bike_assets_tests.whole.conftest import REPOSITORY, Running, environment
from bike_assets_tests.whole.kills import of_home

pytestmark = pytest.mark.slow
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
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def test_it_shows_itself_answers_and_ends_with_all_its_processes(start):
    running = start()
    running.until("Ctrl-C ends everything")
    positions = [running.said.index(text) for text in ORDER]
    assert positions == sorted(positions)
    assert "synthetic" in running.said
    assert httpx.get(f"{running.dagster}/server_info").is_success
    assert httpx.get(f"{running.mlflow}/health").is_success
    champion = httpx.get(f"{running.api}/champion").json()
    assert champion["family"] in FAMILIES
    poll(lambda: _daemon_is_healthy(running), 90, "the daemon's heartbeats")
    assert _launched(running, "retrain") == dg.DagsterRunStatus.SUCCESS
    assert running.interrupt() == 130
    assert not of_home(running)


def _launched(running: Running, job: str) -> dg.DagsterRunStatus:
    """Launch a job through the webserver, as the UI does, and return how the daemon's run of it ended."""
    client = DagsterGraphQLClient("127.0.0.1", port_number=int(running.dagster.rpartition(":")[2]))
    run_id = client.submit_job_execution(job)
    ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
    poll(lambda: client.get_run_status(run_id) in ended, 120, f"the run {run_id}")
    return client.get_run_status(run_id)


def _daemon_is_healthy(running: Running) -> bool:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    answer = httpx.post(f"{running.dagster}/graphql", json={"query": query}, timeout=30).json()
    statuses = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(each["healthy"] for each in statuses if each["required"])


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, list[psutil.Process]]]:
    """A run on the home of one that was killed, and what that one had left running; Ctrl-C ends it without a trace."""
    killed = Running(tmp_path_factory.mktemp("taken") / "home")
    killed.until("Dagster UI answers")
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait(10)
    left = of_home(killed)
    again = Running(killed.home)
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
    assert httpx.get(f"{running.api}/champion").is_success


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
