"""The tests that look at the clock, played at dates that have been trouble elsewhere; long, so part of make verify."""

import os
import subprocess
import sys
from datetime import date

import pytest

from bike_assets_tests.shifted_clock import starting_on
from bike_assets_tests.whole.conftest import REPOSITORY

LEAP_DAY, SPRING_FORWARD, FALL_BACK = date(2028, 2, 29), date(2027, 3, 28), date(2026, 10, 25)
NEW_YEARS_EVE, NEW_YEAR, IN_AUGUST = date(2026, 12, 31), date(2027, 1, 1), date(2026, 8, 15)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "day", [LEAP_DAY, SPRING_FORWARD, FALL_BACK, NEW_YEARS_EVE, NEW_YEAR, IN_AUGUST], ids=lambda day: day.isoformat()
)
def test_what_looks_at_the_clock_passes_on_any_date(day, tmp_path):
    command = [sys.executable, "-m", "pytest", "-m", "dated and not verify", "-p", "no:cacheprovider", "-p", "no:cov"]
    done = subprocess.run(
        [*command, "-n", "2", "--dist", "loadfile", f"--basetemp={tmp_path / 'tests'}"],
        env=os.environ | starting_on(day),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
