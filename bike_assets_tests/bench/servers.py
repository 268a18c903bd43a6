"""Servers as processes of their own for the time of a `with`: start-up to ready, resident memory. No load here."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil

from bike_assets_tests.bench.children import ROOT, SHOWN_LINES, environment

MEGABYTE = 1_000_000
MAX_START_SECONDS = 120
POLL_EVERY_SECONDS = 0.02
ANSWER_SECONDS = 60
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


class ServerFailedError(RuntimeError):
    """A server did not start, or refused a request; the message has its output."""


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Attributes:
        address: scheme, host and port.
        start_seconds: wall time from before its start to its first answer that it is ready.
        process: the process that listens, which may be a child of the one that was started.
    """

    address: str
    start_seconds: float
    process: psutil.Process

    def resident_mb(self) -> float:
        """Return its resident set now, in MB."""
        return self.process.memory_info().rss / MEGABYTE

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Post one body of JSON and return the answer.

        Raises:
            ServerFailedError: it was refused.
        """
        request = Request(f"{self.address}{path}", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            body_text = error.read(500).decode(errors="replace")
            raise ServerFailedError(f"{path} was answered with {error.code}: {body_text}") from None


@contextmanager
def started(command: Sequence[str], ready_path: str, variables: Mapping[str, str], folder: Path) -> Iterator[Server]:
    """Start a server on a free port and wait until it is ready; it ends with the body.

    Args:
        command: what follows `python -m`; it has to take `--port`.
        ready_path: where it answers with 200 once it is ready.
        variables: environment variables beside the inherited ones, of which BIKE_* are left out.
        folder: where its log goes.

    Raises:
        ServerFailedError: it ended, or was not ready in two minutes.
    """
    port, log = _free_port(), folder / "server.log"
    # MLflow starts the uvicorn that it finds on the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port)],
            env=environment({"PATH": path, **ONE_THREAD, **variables}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        if not _is_ready_in_time(process, address + ready_path, began):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
            raise ServerFailedError(f"{' '.join(command)} did not become ready:\n{tail}")
        seconds = time.perf_counter() - began
        yield Server(address, seconds, _listener(process, port))
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _is_ready_in_time(process: subprocess.Popen, url: str, began: float) -> bool:
    while process.poll() is None and time.perf_counter() - began < MAX_START_SECONDS:
        try:
            with urlopen(url, timeout=ANSWER_SECONDS):
                return True
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(POLL_EVERY_SECONDS)
    return False


def _with_children(process: subprocess.Popen) -> list[psutil.Process]:
    """The process that was started, and those that it started."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _listener(process: subprocess.Popen, port: int) -> psutil.Process:
    for each in _with_children(process):
        listening = (c for c in each.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        if any(connection.laddr.port == port for connection in listening):
            return each
    raise ServerFailedError(f"no started process listens on port {port}")


def _end(process: subprocess.Popen) -> None:
    """End it and its children, each by its own id."""
    if process.poll() is None:
        processes = _with_children(process)
        for each in processes:
            each.terminate()
        for each in psutil.wait_procs(processes, timeout=20)[1]:
            each.kill()
    process.wait(20)
