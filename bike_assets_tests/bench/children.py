"""Starts one child and measures it: wall time, processor time, peak memory. The work is in other modules."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEBIBYTE = 1024 * 1024
SHOWN_LINES = 20
MAX_COMMAND_SECONDS = 3600


class ChildFailedError(RuntimeError):
    """A child ended with an error; the message has the last lines that it wrote."""


@dataclass(frozen=True)
class Sample:
    """One child.

    Attributes:
        seconds: wall time from before its start to its end, imports included.
        run_seconds: wall time of the Dagster run alone, as the child took it.
        cpu_seconds: processor time of the child, user and system.
        peak_mib: its largest resident set, in MiB.
    """

    seconds: float
    run_seconds: float
    cpu_seconds: float
    peak_mib: float


def measure_child(module: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> Sample:
    """Run a module of this package in a fresh interpreter and return what it took.

    Args:
        module: its name within this package; it answers with `run_seconds`.
        arguments: its command line, before the path of its answer.
        variables: environment variables beside the inherited ones, of which BIKE_* are left out.
        folder: where its answer and its log go.

    Raises:
        ChildFailedError: it did not end well.
    """
    return measure_child_with_answer(module, arguments, variables, folder)[0]


def measure_child_with_answer(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
) -> tuple[Sample, dict[str, Any]]:
    """Run a module like `measure_child` and return what it took and its whole answer."""
    sample, answer = _run(module, arguments, variables, folder)
    return Sample(run_seconds=float(answer["run_seconds"]), **sample), answer


def run_child(module: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run a module like `measure_child` and return its answer alone."""
    return _run(module, arguments, variables, folder)[1]


def run_bike(*arguments: str, variables: Mapping[str, str], folder: Path) -> None:
    """Run a command of `bike` to its end.

    Args:
        arguments: its command line.
        variables: environment variables beside the inherited ones, of which BIKE_* are left out.
        folder: where its log goes.

    Raises:
        ChildFailedError: it did not end well.
    """
    log = folder / f"{arguments[0]}.log"
    with log.open("wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "bike_assets.cli", *arguments],
            env=environment(variables),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=MAX_COMMAND_SECONDS,
        )
    if ended.returncode:
        raise ChildFailedError(f"bike {' '.join(arguments)} ended with {ended.returncode}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])


def _run(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
) -> tuple[dict[str, float], dict[str, Any]]:
    answer, log = folder / "answer.json", folder / "child.log"
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"{__package__}.{module}", *arguments, str(answer)]
    with log.open("wb") as output:
        began = time.perf_counter()
        child = subprocess.Popen(command, env=environment(variables), cwd=ROOT, stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise ChildFailedError(f"{module} {' '.join(arguments)} ended with {child.returncode}:\n{_tail(log)}")
    sample = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss * _maxrss_unit() / MEBIBYTE,
    }
    return sample, json.loads(answer.read_text())


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment: settings of the caller are left out, so that a fresh clone is what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BIKE_")} | dict(variables)


def _maxrss_unit() -> int:
    """Bytes in a unit of ru_maxrss: macOS counts bytes, Linux KiB."""
    return 1 if sys.platform == "darwin" else 1024
