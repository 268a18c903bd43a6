"""`bike simulator` as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bike_assets.commands.simulator import SimulatorOptions, run_simulator
from bike_assets.errors import BikeError
from bike_assets.settings import Settings
from bike_assets.simulator.catalogue import FAULTS, SCENARIOS
from bike_assets_tests.export_files import write_export

ROOT = Path(__file__).parents[2]
RECORDS = "/api/explore/v2.1/catalog/datasets/comptage-velo-donnees-compteurs/records"


@pytest.fixture
def simulator():
    """Starts `bike simulator`, and ends it if a test did not."""
    started: list[subprocess.Popen[str]] = []

    def simulator(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "COVERAGE_PROCESS_START"}}
        process = subprocess.Popen(
            [sys.executable, "-m", "bike_assets.cli", "simulator", "--port", "0", *arguments],
            env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield simulator
    for process in started:
        process.kill()
        process.communicate()


def output_until_ready(process: subprocess.Popen[str]) -> str:
    """Its output until it serves."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "BIKE_PORTAL_URL" in line:
            return "".join(lines)
    raise AssertionError(process.stderr.read())


def address(output: str) -> str:
    return re.search(r"http://127\.0\.0\.1:\d+", output)[0]


def test_it_serves_a_city_by_its_clock_with_scenarios_and_faults_until_it_is_stopped(simulator):
    process = simulator(
        *("--clock", "2026-06-10T08:00:00Z", "--months", "1", "--quota", "3", "--fault", "error_500"),
        BIKE_SIMULATOR_SCENARIOS="late_rows,level_shift@2026-06-01",
        BIKE_SIMULATOR_COUNTERS="4",
    )
    output = output_until_ready(process)
    assert "4 invented counters, 2026-05-10 to 2026-06-09" in output
    assert "late_rows, level_shift from 2026-06-01 on" in output
    assert f"BIKE_SOURCE=paris BIKE_PORTAL_URL={address(output)} make run" in output
    assert f"{address(output)}/v1/archive and /v1/forecast, that of the invented counts" in output
    answers = [httpx.get(address(output) + RECORDS, timeout=60) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 500, 429]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert "Traceback" not in process.stderr.read()


def test_it_replays_an_export_until_ctrl_c(simulator, counts, tmp_path):
    export = write_export(tmp_path / "export.csv", counts)
    process = simulator("--counts", str(export))
    output = output_until_ready(process)
    assert f"{export}, 2026-06-01 to 2026-06-03" in output
    assert "/v1/archive and /v1/forecast, invented, and unrelated to the counts of the file" in output
    assert httpx.get(address(output) + RECORDS, params={"limit": 0}, timeout=60).json()["total_count"] == len(counts)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ({"scenarios": "earthquake"}, ["earthquake", *SCENARIOS]),
        ({"faults": ["flood"]}, ["flood", *FAULTS]),
        ({"counts": Path("missing.csv")}, ["missing.csv"]),
        ({"counts": Path("missing.csv"), "scenarios": "late_rows"}, ["--counts", "--scenarios"]),
        ({"counts": Path("missing.csv"), "months": 3}, ["--counts", "--months"]),
    ],
    ids=["scenario", "fault", "file", "file with scenarios", "file with months"],
)
def test_an_invalid_option_is_refused(asked, parts):
    nothing = SimulatorOptions("127.0.0.1", 0, None, None, None, None, [], None)
    with pytest.raises(BikeError) as refusal:
        run_simulator(Settings(), replace(nothing, **asked))
    assert all(part in str(refusal.value) for part in parts)


def test_a_busy_port_is_a_refusal(simulator, client):
    port = client.portal.url.rpartition(":")[2]
    process = simulator("--port", port)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("bike: ")
    assert port in err


def test_its_help_lists_scenarios_and_faults(simulator):
    out, _ = simulator("--help").communicate(timeout=120)
    assert all(f"{name}: " in out for name in [*SCENARIOS, *FAULTS])
