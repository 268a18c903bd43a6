"""Whole processes as a user starts them: `bike` in a home of its own, quick and small."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bike_assets_tests.conftest import poll
from bike_assets_tests.servers import free_ports

QUICK = {
    "BIKE_SOURCE": "simulator",
    "BIKE_QUICK": "1",
    "BIKE_SIMULATOR_COUNTERS": "6",
    "BIKE_HISTORY_MONTHS": "3",
    "BIKE_SEED": "7",
}
REPOSITORY = Path(__file__).parent.parent.parent


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a process of that home."""
    # The caches of this test's own process are not the home's.
    others = ("BIKE_", "DAGSTER_", "KERAS_HOME", "MPLCONFIGDIR")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**plain, **QUICK, "BIKE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200", **settings}


class Running:
    """A `bike run` of a test.

    Args:
        home: the home, which need not exist.
        before: a command that the run's own command is appended to.
        settings: variables of its environment.
    """

    def __init__(self, home: Path, before: Sequence[str] = (), **settings: str) -> None:
        self.home, self.output = home, home.parent / f"{home.name}.log"
        ports = free_ports(4)
        names = ("BIKE_DAGSTER_PORT", "BIKE_API_PORT", "BIKE_MLFLOW_PORT", "BIKE_EXPORTER_PORT")
        self.dagster, self.api, self.mlflow, self.exporter = (f"http://127.0.0.1:{port}" for port in ports)
        self.environment = environment(home, **dict(zip(names, map(str, ports), strict=True)), **settings)
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "bike_assets.cli", "run"],
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text()

    def until(self, text: str, seconds: float = 300) -> None:
        """Wait until it has printed a text."""
        poll(lambda: text in self.said or self._fail_if_ended(), seconds, f"{text!r} in {self.said!r}")

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(300)

    def _fail_if_ended(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}: {self.said}")
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `bike run`, and end it and all of its processes afterwards."""
    started: list[Running] = []

    def start_one(name: str = "home", **settings: str) -> Running:
        started.append(Running(tmp_path / name, **settings))
        return started[-1]

    yield start_one
    for each in started:
        if each.process.poll() is None:
            each.interrupt()
