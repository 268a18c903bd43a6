"""Load on a server by `wrk`, and the figures that it prints. Servers and bodies are chosen elsewhere."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
MAX_ANSWER_SECONDS = 30
"""So slow an answer is a failure; wrk's own limit of 2 seconds would only report a slow server."""
SPARE_SECONDS = 60
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_PERCENTILE = r"^\s+{}%\s+([\d.]+)(us|ms|s|m)\s*$"
_FAILURES = (
    re.compile(r"Non-2xx or 3xx responses: [1-9]\d*"),
    re.compile(r"Socket errors: connect \d+, read \d+, write \d+, timeout \d+"),
)


class LoadError(RuntimeError):
    """Answers were missing or refused: what wrk measured is not the work that was meant."""


@dataclass(frozen=True)
class Load:
    """One run of the load generator.

    Attributes:
        requests_per_second: answers that were complete.
        p50_ms: median of the times to a complete answer.
        p99_ms: that of the slowest of a hundred.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str | None:
    """Return where wrk is installed, if it is."""
    return shutil.which("wrk")


def post(wrk: str, address: str, bodies: Path, clients: int, seconds: int) -> Load:
    """Let clients post bodies for so many seconds, each the next one as soon as it has its answer.

    Args:
        wrk: the program.
        address: of the endpoint.
        bodies: a file with a body of JSON a line; they are sent in order and over again.
        clients: connections that are kept open.
        seconds: how long.

    Raises:
        LoadError: an answer was missing, or its status was not 2xx.
    """
    command = [wrk, "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--latency"]
    command += ["--timeout", f"{MAX_ANSWER_SECONDS}s", "--script", str(SCRIPT), address, "--", str(bodies)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SPARE_SECONDS)
    if ended.returncode:
        raise LoadError(f"wrk ended with {ended.returncode}: {ended.stderr.strip() or ended.stdout.strip()}")
    return read_load(ended.stdout)


def read_load(output: str) -> Load:
    """Return what wrk printed.

    Raises:
        LoadError: it reports failures, or no answers.
    """
    failures = [found.group() for pattern in _FAILURES if (found := pattern.search(output))]
    if failures:
        raise LoadError("; ".join(failures))
    rate = _RATE.search(output)
    if rate is None or not float(rate.group(1)):
        raise LoadError(f"wrk reports no answers: {output.strip()}")
    return Load(float(rate.group(1)), _percentile(output, 50), _percentile(output, 99))


def _percentile(output: str, percent: int) -> float:
    """A percentile in milliseconds; wrk chooses the unit by the figure."""
    found = re.search(_PERCENTILE.format(percent), output, re.MULTILINE)
    if found is None:
        raise LoadError(f"wrk reports no {percent} % percentile: {output.strip()}")
    return float(found.group(1)) * MILLISECONDS[found.group(2)]
