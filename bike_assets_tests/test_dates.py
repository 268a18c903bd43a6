"""What looks at the clock, played at dates that often cause trouble; long, so part of make verify."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.shifted_clock import starting_on
from bike_assets_tests.whole.conftest import REPOSITORY, environment
from bike_assets_tests.whole.retrained import ANY_GAIN_AND_NEVER_GOOD, REACTIVE, materialize, prepare_weak_champion

LEAP_DAY, SPRING_FORWARD, FALL_BACK = date(2028, 2, 29), date(2027, 3, 28), date(2026, 10, 25)
NEW_YEARS_EVE, NEW_YEAR, IN_AUGUST = date(2026, 12, 31), date(2027, 1, 1), date(2026, 8, 15)
DATES = [LEAP_DAY, SPRING_FORWARD, FALL_BACK, NEW_YEARS_EVE, NEW_YEAR, IN_AUGUST]

pytestmark = [pytest.mark.verify, pytest.mark.timeout(3600), pytest.mark.parametrize("day", DATES, ids=str)]


def test_the_tests_that_look_at_the_clock_pass(day, tmp_path):
    command = [sys.executable, "-m", "pytest", "-m", "dated and not verify", "-p", "no:cacheprovider", "-p", "no:cov"]
    done = subprocess.run(
        [*command, "-n", "2", "--dist", "loadfile", f"--basetemp={tmp_path / 'tests'}"],
        env=os.environ | starting_on(day),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_a_weak_champion_is_detected_and_a_retrain_replaces_it(day, tmp_path):
    """Without servers: gRPC takes its deadlines from the clock, so a shifted one would let it wait for years."""
    home, clock = tmp_path / "home", starting_on(day)
    prepare_weak_champion(home, day, **clock)
    materialize(home, **clock)
    warehouse = LocalWarehouse(home / "warehouse")
    decisions = warehouse.query("SELECT day, decision FROM monitoring_audit.newest_retrain_decisions ORDER BY day DESC")
    assert decisions["decision"].iloc[0] == REACTIVE
    retrain(home, clock)
    evaluated = warehouse.query("SELECT * FROM monitoring_audit.evaluations WHERE gain IS NOT NULL")
    [evaluation] = evaluated.to_dict("records")
    assert evaluation["decision"] == "DEPLOY"
    assert evaluation["gain"] > 0.01


def retrain(home: Path, clock: dict[str, str]) -> None:
    """Run the job as a person does it with Dagster's command."""
    env = environment(home, **ANY_GAIN_AND_NEVER_GOOD, **clock, DAGSTER_HOME=str(home / "dagster"))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "bike_assets.definitions", "-j", "retrain"]
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
