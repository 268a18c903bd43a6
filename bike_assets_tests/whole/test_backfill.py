"""`bike materialize` against a portal: what it says, what it ingests, and that no kill loses or doubles a row."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.simulation import SimulatedCity
from bike_assets.resources.portal import Portal
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets.simulator.clock import Clock
from bike_assets.simulator.publication import SimulatedPublication
from bike_assets.simulator.scenarios import parse_scenarios
from bike_assets.simulator.server import PortalSimulator
from bike_assets_tests.conftest import poll
from bike_assets_tests.resources.portal_homes import serving
from bike_assets_tests.servers import free_ports
from bike_assets_tests.whole.conftest import REPOSITORY, environment

pytestmark = pytest.mark.slow
BIKE = [sys.executable, "-m", "bike_assets.cli"]
FIRST, DAYS = date(2026, 4, 1), 91
NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
TABLE = (
    "SELECT counter_id, counter_name, site_id, site_name, latitude, longitude, counted_at, bike_count, day, is_outlier "
    "FROM bike_traffic_raw.comptage_velo ORDER BY counted_at, counter_id"
)
AUDIT = (
    "SELECT DISTINCT day, unread, rows_reported, rows_read, rows_kept, rows_without_counter, outliers, hours, counters "
    "FROM monitoring_audit.ingestions ORDER BY day"
)


@pytest.fixture(scope="module")
def portal() -> Iterator[PortalSimulator]:
    settings = Settings()
    city = SimulatedCity(7, 12, settings.timezone, "FR")
    publication = SimulatedPublication(
        city, settings.portal_fields, parse_scenarios("null_ids,renamed_counters,outliers"), first_day=FIRST
    )
    with PortalSimulator(publication, settings.portal_dataset, clock=Clock(NOW)) as server:
        yield server


def settings_for(home: Path, url: str, **more: str) -> dict[str, str]:
    """The environment of a pass that ingests and, having too few days, trains nothing."""
    values = {
        "BIKE_SOURCE": "auto",
        "BIKE_PORTAL_URL": url,
        "BIKE_WEATHER_ARCHIVE_URL": url,
        "BIKE_WEATHER_FORECAST_URL": url,
        "BIKE_MIN_TRAINING_DAYS": "10000",
        "BIKE_HISTORY_MONTHS": "3",
    }
    return environment(home, **{**values, **more})


def ingest(home: Path, url: str, **more: str) -> subprocess.CompletedProcess:
    command = [*BIKE, "materialize"]
    return subprocess.run(command, env=settings_for(home, url, **more), cwd=REPOSITORY, capture_output=True, text=True)


def held(home: Path) -> tuple[list, list]:
    """All rows and what the audit says of each day, as plain values."""
    warehouse = LocalWarehouse(home / "warehouse")
    return tuple(warehouse.query(sql).astype(str).to_numpy().tolist() for sql in (TABLE, AUDIT))


def partitions(home: Path) -> list[Path]:
    return list((home / "warehouse").rglob("comptage_velo/day=*/*.parquet"))


@pytest.fixture(scope="module")
def undisturbed(portal, tmp_path_factory) -> tuple[list, list]:
    home = tmp_path_factory.mktemp("undisturbed")
    done = ingest(home, portal.url, BIKE_SOURCE="paris")
    assert done.returncode == 0, done.stdout + done.stderr
    rows, audit = held(home)
    assert len(audit) == len(partitions(home)) == DAYS
    assert len(rows) > DAYS * 200
    return rows, audit


def kill_backfills(home: Path, url: str, kills: int, seed: int) -> None:
    """Kill passes after a random number of days have come in, and let the last one end."""
    chance = random.Random(seed)
    for _ in range(kills):
        process = subprocess.Popen(
            [*BIKE, "materialize"], env=settings_for(home, url, BIKE_SOURCE="paris"), cwd=REPOSITORY,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for_days(home, process, chance.randint(len(partitions(home)), DAYS))
        process.kill()
        process.wait()
    done = ingest(home, url, BIKE_SOURCE="paris")
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for_days(home: Path, process: subprocess.Popen, wanted: int) -> None:
    poll(lambda: len(partitions(home)) >= wanted or process.poll() is not None, 240, "days that come in")


def assert_nothing_lost(home: Path, undisturbed: tuple[list, list]) -> None:
    assert held(home) == undisturbed
    assert len(partitions(home)) == DAYS
    strays = [path for path in home.rglob("*") if path.suffix == ".tmp" or ".tmp." in path.name]
    assert not strays


def test_a_backfill_killed_three_times_ends_in_the_same_table(portal, undisturbed, tmp_path):
    kill_backfills(tmp_path, portal.url, kills=3, seed=1)
    assert_nothing_lost(tmp_path, undisturbed)


@pytest.mark.verify
def test_a_backfill_killed_twenty_times_ends_in_the_same_table(portal, undisturbed, tmp_path):
    for seed in range(5):
        home = tmp_path / str(seed)
        kill_backfills(home, portal.url, kills=4, seed=100 + seed)
        assert_nothing_lost(home, undisturbed)


def test_without_a_portal_the_simulator_is_named_with_the_reason(tmp_path):
    no_portal = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = ingest(tmp_path, no_portal)
    shown = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert "the simulator (synthetic counts of 6 invented counters; nothing here was measured" in shown
    assert f"because the portal cannot be used now: {no_portal} cannot be reached" in shown
    assert json.loads((tmp_path / "home.json").read_text())["source"] == "simulator"


def test_a_portal_that_answers_is_taken_and_kept(portal, tmp_path):
    # The simulator draws its days when it is first asked, which can take longer than `auto` waits for an answer.
    assert Portal(Settings(portal_url=portal.url).portal).newest_hour()
    done = ingest(tmp_path, portal.url)
    assert done.returncode == 0, done.stderr
    assert f"the portal {portal.url}" in done.stdout
    record = json.loads((tmp_path / "home.json").read_text())
    assert (record["source"], record["portal"], record["first_day"]) == ("paris", portal.url, str(FIRST))
    later = environment(tmp_path, BIKE_SOURCE="auto", BIKE_MIN_TRAINING_DAYS="10000")
    again = subprocess.run([*BIKE, "materialize"], env=later, cwd=REPOSITORY, capture_output=True, text=True)
    assert "Nothing to do" in again.stdout, again.stdout + again.stderr


def test_a_portal_that_was_asked_for_and_is_not_there_is_a_plain_refusal(tmp_path):
    no_portal = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = ingest(tmp_path, no_portal, BIKE_SOURCE="paris", BIKE_PORTAL_ATTEMPTS="1")
    assert done.returncode == 1
    assert f"bike: {no_portal} cannot be reached" in done.stderr
    assert not (tmp_path / "home.json").exists()


def test_a_bad_day_is_named_and_the_others_come_in(tmp_path):
    settings = Settings()
    rows = SimulatedCity(7, 4, settings.timezone, "FR").counts(FIRST, date(2026, 6, 30))
    rows.loc[
        (rows["counted_at"] == pd.Timestamp("2026-06-09 10:00", tz="UTC")) & (rows.index % 4 == 0), "bike_count"
    ] = -5
    with serving(rows, settings, NOW) as (portal, _):
        done = ingest(tmp_path, portal.url, BIKE_SOURCE="paris")
    assert done.returncode == 1
    assert "counts_are_not_negative: 2026-06-09: 1 negative counts, left out" in done.stderr
    assert len(partitions(tmp_path)) == DAYS
    assert len(held(tmp_path)[0]) == len(rows) - 1
