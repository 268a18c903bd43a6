"""Cloud Storage for tests: the emulator as a process of its own on a free port, its buckets and its faults."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from bike_assets_tests.emulators.process import FOR_EVER, running


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
        httpx.post(f"{self.endpoint}/storage/v1/b", json={"name": name}, timeout=60).raise_for_status()
        return name

    @contextmanager
    def fault(
        self, status: int, times: int = FOR_EVER, *, message: str = "injected fault", method: str = "", path: str = ""
    ) -> Iterator[None]:
        """Answer requests with a status while the body runs, a limited number of times."""
        fault = {"status": status, "message": message, "times": times, "method": method, "path": path}
        httpx.put(f"{self.endpoint}/faults", json=[fault], timeout=60).raise_for_status()
        try:
            yield
        finally:
            httpx.put(f"{self.endpoint}/faults", json=[], timeout=60).raise_for_status()


@contextmanager
def running_gcs() -> Iterator[GcsEmulator]:
    """Run the emulator while the body does."""
    with running("gcs_server.py") as ports:
        yield GcsEmulator(f"http://127.0.0.1:{ports['rest']}")
