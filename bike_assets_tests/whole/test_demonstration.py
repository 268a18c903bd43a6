"""The sixty days of `make demo`, watched: what every query of dashboards, rules and alerts finds in such a home."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bike_assets_tests.conftest import poll
from bike_assets_tests.dashboards.promql_names import selectors_in
from bike_assets_tests.dashboards.rules import RECORDED, rules_of
from bike_assets_tests.whole.conftest import REPOSITORY, Running
from bike_assets_tests.whole.watched import watched
from dashboards.committed import annotation_queries, queries

pytestmark = [pytest.mark.verify, pytest.mark.timeout(5400)]
AS_SHIPPED = {"BIKE_QUICK": "0", "BIKE_SIMULATOR_COUNTERS": "28", "BIKE_HISTORY_MONTHS": "13", "BIKE_SEED": "20"}
"""The settings of the demonstration in place of those that make a test's home small."""
NOT_IN_THE_STORY = {
    "bike:no_champion_yet",
    'bike_home_info{source="file"}',
    'bike_training_last_timestamp_seconds{status="failed"}',
    'bike_evaluation_last_timestamp_seconds{decision="REJECT"}',
    'bike_instigator_tick_timestamp_seconds{kind="schedule",name=~"quarterly_.+"}',
}
"""What alerts look at and the sixty days do not have: no champion, a file as the source, a training that failed, a
rejection, the quarterly schedule (which is off). bike_assets_tests/dashboards/test_every_alert.py has them."""


@pytest.fixture(scope="module")
def lived_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform that runs on the home of the demonstration."""
    home = tmp_path_factory.mktemp("demonstration") / "home"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BIKE_", "DAGSTER_"))}
    command = [sys.executable, "-m", "bike_assets.cli", "replay", "--days", "60", "--scenario", "demo", "--home", home]
    subprocess.run(command, env=plain, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    yield from running_on(home)


def running_on(home: Path) -> Iterator[Running]:
    running = Running(home, **AS_SHIPPED)
    try:
        running.until("Ctrl-C ends everything", 900)
        yield running
    finally:
        running.interrupt()


def test_every_query_finds_something(lived_through, tmp_path):
    with (
        watched(lived_through, tmp_path / "watching") as prometheus,
        httpx.Client(base_url=lived_through.api, timeout=60) as api,
    ):
        record = {
            "counter_id": api.get("/counters").json()[0]["counter_id"],
            "at": api.get("/champion").json()["first_hour"],
        }

        def silent() -> list[str]:
            assert api.post("/predict", json={"records": [record]}).is_success
            return [what for what, expr in asked().items() if not prometheus.query(expr)]

        with suppress(AssertionError):
            poll(lambda: not silent(), 120, "something for every query")
        assert not silent()


def asked() -> dict[str, str]:
    """Every query by what asks it; of an alert, which finds nothing while all is well, each series that it looks at."""
    shown = {f"{each.dashboard}: {each.panel}: {each.expr}": each.expr for each in [*queries(), *annotation_queries()]}
    recorded = {f"recorded: {name}": name for name in RECORDED}
    looked_at = {
        f"{rule['alert']}: {selector}": selector
        for rule in rules_of("alerts")
        for selector in selectors_in(rule["expr"])
    }
    every = shown | recorded | looked_at
    return {what: expr for what, expr in every.items() if expr not in NOT_IN_THE_STORY}
