"""Servers that a test starts as processes of this machine. Which ones, and what they are asked, is in the tests."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bike_assets_tests.conftest import poll

READY = "/-/ready"


@dataclass(frozen=True)
class Server:
    """A server of this machine that answers."""

    address: str
    log: Path

    def get(self, path: str, **parameters: str) -> dict:
        return httpx.get(f"{self.address}{path}", params=parameters, timeout=60).raise_for_status().json()["data"]

    def query(self, expression: str) -> list[dict]:
        """What an instant query finds."""
        return self.get("/api/v1/query", query=expression)["result"]


@contextmanager
def started(address: str, folder: Path, *command: str, ready: str = READY, **variables: str) -> Iterator[Server]:
    """Run a server at an address for the time of the body; what it says goes into the folder."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | variables)
        try:
            server = Server(address, log)
            poll(lambda: process.poll() is not None or is_ready(server, ready), 60, "the server is ready")
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(120)


def is_ready(server: Server, path: str = READY) -> bool:
    """Whether a server answers at the path that says so."""
    try:
        return httpx.get(f"{server.address}{path}", timeout=60).is_success
    except httpx.TransportError:
        return False


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
