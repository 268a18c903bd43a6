"""The write lock of a table on BigQuery: a lease, which expires if its holder dies.

A separate table has one row per leased table; `bigquery_tables` creates it. A writer takes a lease with one UPDATE; of
several at once, BigQuery lets one succeed. All times are BigQuery's, so the clocks of the writers do not matter.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bike_assets.core.schemas import Table
from bike_assets.errors import StepFailedError
from bike_assets.resources.bigquery_jobs import BigQueryJobs

LEASES = Table(
    "monitoring_audit",
    "writer_leases",
    {"table_name": "STRING", "holder": "STRING", "expires_at": "TIMESTAMP"},
    ("table_name",),
    "The write lock of each table, one row a table; the lock of a holder that dies expires at expires_at.",
)
LEASE_SECONDS = 120
"""A lease expires this long after its last renewal: so long can a killed writer block others."""
POLL_SECONDS = 2.0
_HELD = "holder = @holder AND expires_at > CURRENT_TIMESTAMP()"
_UNTIL = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL @seconds SECOND)"


class Lease:
    """One writer's lease on one table.

    Args:
        jobs: runs the statements.
        leases: name of the table of leases, in SQL.
        table: the table to lease.
    """

    def __init__(self, jobs: BigQueryJobs, leases: str, table: Table) -> None:
        self._jobs, self._leases, self._table = jobs, leases, table
        self._holder = uuid.uuid4().hex
        self._done = threading.Event()
        self._failure: Exception | None = None

    @contextmanager
    def held(self, timeout_seconds: float) -> Iterator[None]:
        """Hold the lease while the body runs; a thread renews it.

        Raises:
            StepFailedError: another writer held the lease for too long, the table has no row in the table of leases,
                or the lease was lost while the body ran, so another writer may have written too.
        """
        self._wait(timeout_seconds)
        renewal = threading.Thread(target=self._renew_until_done, name=f"lease of {self._table.full_name}", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            self._done.set()
            renewal.join()
            kept = self._change(f"SET holder = NULL, expires_at = NULL WHERE {_HELD}")
        if self._failure or not kept:
            why = self._failure or "it ran out"
            raise StepFailedError(
                f"The lease on {self._table.full_name} was lost while it was written ({why}): "
                "another run may have written it at the same time; start this one again."
            )

    def _wait(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not self._take():
            if time.monotonic() > deadline:
                raise StepFailedError(
                    f"Another run has been writing {self._table.full_name} for {timeout_seconds} s: wait for it to end."
                )
            time.sleep(min(POLL_SECONDS, timeout_seconds))

    def _take(self) -> bool:
        taken = self._change(
            f"SET holder = @holder, expires_at = {_UNTIL} "
            "WHERE (holder IS NULL OR holder = @holder OR expires_at <= CURRENT_TIMESTAMP())"
        )
        if not taken and not self._exists():
            raise StepFailedError(
                f"{self._table.full_name} has no row in {LEASES.full_name}: type bike warehouse init."
            )
        return taken

    def _exists(self) -> bool:
        rows = self._jobs.rows(
            f"SELECT table_name FROM {self._leases} WHERE table_name = @name",
            {"name": self._table.full_name},
            f"looking for the lease on {self._table.full_name}",
        )
        return rows.num_rows > 0

    def _renew_until_done(self) -> None:
        while not self._done.wait(LEASE_SECONDS / 4):
            try:
                kept = self._change(f"SET expires_at = {_UNTIL} WHERE {_HELD}")
            except Exception as failure:
                # `held` raises it when its body ends.
                self._failure = failure
                return
            if not kept:
                return

    def _change(self, what: str) -> bool:
        sql = f"UPDATE {self._leases} {what} AND table_name = @name"
        parameters: dict[str, Any] = {"holder": self._holder, "name": self._table.full_name}
        if "@seconds" in what:
            parameters["seconds"] = LEASE_SECONDS
        return self._jobs.change(sql, parameters, f"taking the lease on {self._table.full_name}") > 0
