"""Cloud Storage for tests: the emulator as a process of its own on a free port, its buckets and its faults."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bike_assets.full_pass import REPOSITORY

PYTHON = REPOSITORY / ".venv-emulators" / "bin" / "python"
SERVER = Path(__file__).parent / "gcs_server.py"
FOR_EVER = 1_000_000


@dataclass(frozen=True)
class GcsEmulator:
    """A running emulator.

    Attributes:
        endpoint: its address.
    """

    endpoint: str

    def make_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bikes-{uuid.uuid4().hex[:12]}"
        httpx.post(f"{self.endpoint}/storage/v1/b", json={"name": name}).raise_for_status()
        return name

    @contextmanager
    def fault(
        self, status: int, times: int = FOR_EVER, *, message: str = "as told", method: str = "", path: str = ""
    ) -> Iterator[None]:
        """Let requests be answered with a status while the body runs, at most so many times."""
        fault = {"status": status, "message": message, "times": times, "method": method, "path": path}
        httpx.put(f"{self.endpoint}/faults", json=[fault]).raise_for_status()
        try:
            yield
        finally:
            httpx.put(f"{self.endpoint}/faults", json=[]).raise_for_status()


@contextmanager
def running_gcs() -> Iterator[GcsEmulator]:
    """Run the emulator while the body does; it ends with this process, however that ends."""
    if not PYTHON.exists():
        raise FileNotFoundError(f"{PYTHON} is missing: make test installs the emulators")
    process = subprocess.Popen([PYTHON, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise ChildProcessError("the emulator of Cloud Storage did not start; what it said is above")
        yield GcsEmulator(f"http://127.0.0.1:{port}")
    finally:
        process.communicate(timeout=10)
