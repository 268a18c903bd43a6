"""`bike materialize` as a process: killed at any moment and started again, it ends in the same state."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bike_assets.core.families import FAMILIES
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.whole.conftest import REPOSITORY, environment

BIKE = [sys.executable, "-m", "bike_assets.cli"]
UNTIL = ["--until", "2021-06-30"]


def claim_past_home(folder: Path) -> None:
    """Claim a home whose days are all over, so that the clock has no say."""
    from datetime import date

    from bike_assets.home.record import Home

    Home(folder, "simulator", date(2021, 4, 1), None, "Europe/Paris", seed=7, counters=6, country="FR").claim()


def materialize(home: Path, seconds: float | None = None) -> int | None:
    """Run a pass, or kill it after some seconds; None if it was killed."""
    process = subprocess.Popen(
        [*BIKE, "materialize", *UNTIL], env=environment(home), cwd=REPOSITORY, stdout=subprocess.DEVNULL
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return None


def state(home: Path) -> dict:
    """Return what a user can see of a home, but for MLflow's random run id."""
    printed = subprocess.run([*BIKE, "status", "--json"], env=environment(home), cwd=REPOSITORY, capture_output=True)
    status = json.loads(printed.stdout)
    if status["champion"]:
        del status["champion"]["run_id"]
    return status


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A home after an undisturbed pass, and what a user saw of it then."""
    home = tmp_path_factory.mktemp("undisturbed")
    claim_past_home(home)
    assert materialize(home) == 0
    return home, state(home)


def kill_series(home: Path, seed: int, kills: int, longest: float) -> None:
    """Kill passes of one home after random times, then let one end."""
    claim_past_home(home)
    moments = random.Random(seed)
    for _ in range(kills):
        if materialize(home, moments.uniform(1.0, longest)) is not None:
            break
    assert materialize(home) == 0


@pytest.mark.slow
def test_killed_and_started_again_it_ends_in_the_same_state(undisturbed, tmp_path):
    kill_series(tmp_path, seed=1, kills=1, longest=20)
    assert state(tmp_path) == undisturbed[1]


@pytest.mark.slow
def test_a_second_pass_changes_no_file_of_counts_models_or_forecasts(undisturbed):
    home, after_the_first = undisturbed
    kept = [path for part in ("warehouse", "registry", "mlflow") for path in (home / part).rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in kept if path.is_file()}
    assert materialize(home) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert state(home) == after_the_first


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(4))
def test_a_long_series_of_kills_ends_in_the_same_state(undisturbed, tmp_path, seed):
    kill_series(tmp_path, seed=100 + seed, kills=8, longest=9)
    assert state(tmp_path) == undisturbed[1]


@pytest.mark.verify
def test_the_real_year_gives_the_stated_figures(shared_data, tmp_path):
    file = shared_data / "paris_counts_2020-09_2021-06.parquet"
    settings = environment(tmp_path, BIKE_SOURCE="file", BIKE_COUNTS_FILE=str(file), BIKE_QUICK="0")
    for _ in range(2):
        subprocess.run([*BIKE, "materialize"], env=settings, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        printed = subprocess.run(
            [*BIKE, "status", "--json"], env=settings, cwd=REPOSITORY, capture_output=True, check=True
        )
        status = json.loads(printed.stdout)
        counts = status["raw_counts"]
        assert (counts["rows"], counts["counters"]) == (372_219, 52)
        assert (counts["first_day"], counts["last_day"]) == ("2020-09-01", "2021-06-30")
        assert status["champion"]["family"] in FAMILIES
        assert status["champion"]["r2_current"] > 0.91
        assert status["performance"]["r2"] > status["performance"]["naive_r2"]
        assert status["decision"]["day"] == "2021-06-30"


@pytest.mark.verify
def test_the_simulated_city_is_about_as_hard_to_forecast_as_the_real_one(tmp_path):
    """The real counts of 2020-09 to 2021-06 give these R²; the synthetic ones may differ by 0.05."""
    real = {"r2_baseline": 0.919, "r2_current": 0.926, "naive_r2_baseline": 0.878, "naive_r2_current": 0.898}
    settings = environment(
        tmp_path, BIKE_SOURCE="simulator", BIKE_QUICK="0", BIKE_SIMULATOR_COUNTERS="64", BIKE_HISTORY_MONTHS="13",
        BIKE_SEED="20",
    )  # fmt: skip
    subprocess.run([*BIKE, "materialize"], env=settings, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    decisions = LocalWarehouse(tmp_path / "warehouse").query(
        f"SELECT {', '.join(real)} FROM monitoring_audit.evaluations"
    )
    assert decisions.iloc[0].to_dict() == pytest.approx(real, abs=0.05)
