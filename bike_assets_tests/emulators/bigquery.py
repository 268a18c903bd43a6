"""BigQuery for tests: the emulator as a process of its own on free ports, datasets of a test's own, and faults."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets_tests.emulators.process import FOR_EVER, running

if TYPE_CHECKING:
    from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse


@dataclass(frozen=True)
class BigQueryEmulator:
    """A running emulator.

    Attributes:
        rest: port of its REST API.
        grpc: port of its Storage Read API.
    """

    rest: int
    grpc: int

    def settings(self, **more: object) -> GcpSettings:
        """Settings with datasets that no other test has."""
        return GcpSettings(
            project="bikes",
            bucket="bikes",
            dataset_prefix=f"t{uuid.uuid4().hex[:8]}_",
            bigquery_endpoint=f"http://127.0.0.1:{self.rest}",
            bigquery_read_endpoint=f"127.0.0.1:{self.grpc}",
        ).model_copy(update=more)

    def new_warehouse(self, **more: object) -> "BigQueryWarehouse":
        """An empty warehouse with all its tables."""
        from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse

        warehouse = BigQueryWarehouse(self.settings(**more))
        for change in warehouse.tables.missing():
            change.make()
        return warehouse

    @contextmanager
    def fault(
        self, status: int, reason: str = "", times: int = FOR_EVER, *, message: str = "injected fault", **where: str
    ) -> Iterator[None]:
        """Answer requests with a status while the body runs, a limited number of times.

        Args:
            status: the status.
            reason: Google's word for it.
            times: how often.
            message: the error message.
            where: method, and a text that the path or the body has; everything by default.
        """
        fault = {"status": status, "reason": reason, "message": message, "times": times, "method": "", "text": ""}
        self._put([fault | where])
        try:
            yield
        finally:
            self._put([])

    def _put(self, faults: list[dict]) -> None:
        httpx.put(f"http://127.0.0.1:{self.rest}/faults", json=faults, timeout=60).raise_for_status()


@contextmanager
def running_bigquery() -> Iterator[BigQueryEmulator]:
    """Run the emulator while the body does."""
    with running("bigquery_server.py") as ports:
        yield BigQueryEmulator(**ports)
