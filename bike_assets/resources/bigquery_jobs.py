"""Runs statements on BigQuery: with typed parameters, a limit on billed bytes, and a running total of the bill.

The statements themselves belong to `bigquery_warehouse`, `bigquery_merge`, `bigquery_tables` and `bigquery_lease`.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import RetryError
from google.cloud import bigquery

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.resources.bigquery import BigQueryConnection, connect
from bike_assets.resources.bigquery_errors import (
    REQUEST_TIMEOUT_SECONDS,
    raise_job_error,
    request_retry,
    statement_retry,
    translate_errors,
)
from bike_assets.resources.bigquery_values import typed_parameters
from bike_assets.resources.step_bill import StepBill

if TYPE_CHECKING:
    import pyarrow as pa

STATEMENT_SECONDS = 900.0
"""How long one statement may run, and how long its rows may take to arrive."""

MAX_ROWS_IN_REPLY = 1000
"""Up to this many rows, the statement's own reply has the rows, which is faster than a Storage Read session."""


@dataclass
class Bill:
    """What this process was billed so far.

    Attributes:
        statements: number of statements.
        bytes_billed: bytes that BigQuery billed for them.
    """

    statements: int = 0
    bytes_billed: int = 0
    _adding: Any = field(default_factory=threading.Lock, repr=False)

    def add(self, bytes_billed: int) -> None:
        """Add one statement."""
        with self._adding:
            self.statements += 1
            self.bytes_billed += bytes_billed


class BigQueryJobs:
    """Runs statements in the project of the settings.

    Attributes:
        settings: project, dataset names and limit.
        connection: the clients.
        bill: statements and billed bytes so far.
    """

    def __init__(self, settings: GcpSettings) -> None:
        self.settings = settings
        self.connection: BigQueryConnection = connect(settings)
        self.bill = Bill()
        self._step_bill = StepBill()

    def rows(self, sql: str, parameters: Mapping[str, Any], doing: str) -> "pa.Table":
        """Run a SELECT and return its rows; large results use the Storage Read API.

        Args:
            sql: in BigQuery's dialect, with the project's own dataset names.
            parameters: values of its @names.
            doing: the action, for error messages.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or the statement would be billed for more than the limit.
        """
        with translate_errors(doing):
            job, result = statement_retry()(self._run)(sql, parameters)
            read_client = self.connection.read_client() if result.total_rows > MAX_ROWS_IN_REPLY else None
            rows = result.to_arrow(
                bqstorage_client=read_client, create_bqstorage_client=False, timeout=STATEMENT_SECONDS
            )
        self._add_to_bill(job)
        return rows

    def change(self, sql: str, parameters: Mapping[str, Any], doing: str) -> int:
        """Run a statement that changes rows, restart it after a concurrent update, and return the number of rows.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or the statement would be billed for more than the limit.
        """
        with translate_errors(doing):
            job, _ = statement_retry()(self._run)(sql, parameters)
        self._add_to_bill(job)
        return job.num_dml_affected_rows or 0

    def estimate(self, sql: str, parameters: Mapping[str, Any], doing: str) -> int:
        """Return BigQuery's estimate of the bytes that a statement would read; run and bill nothing.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or does not understand the statement.
        """
        config = bigquery.QueryJobConfig(
            query_parameters=typed_parameters(parameters), dry_run=True, use_query_cache=False
        )
        with translate_errors(doing), self.connection.get_client() as client:
            job = client.query(
                sql, job_config=config, retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS, job_retry=None
            )
        return job.total_bytes_processed or 0

    def _add_to_bill(self, job: bigquery.QueryJob) -> None:
        before = self.bill.bytes_billed
        self.bill.add(job.total_bytes_billed or 0)
        self._step_bill.record(before, self.bill.bytes_billed)

    def _run(self, sql: str, parameters: Mapping[str, Any]) -> tuple[bigquery.QueryJob, Any]:
        config = bigquery.QueryJobConfig(
            query_parameters=typed_parameters(parameters),
            maximum_bytes_billed=self.settings.max_bytes_billed,
            job_timeout_ms=round(STATEMENT_SECONDS * 1000),
        )
        retry = request_retry()
        with self.connection.get_client() as client:
            job = client.query(sql, job_config=config, retry=retry, timeout=REQUEST_TIMEOUT_SECONDS, job_retry=None)
            try:
                return job, job.result(retry=retry, timeout=STATEMENT_SECONDS, job_retry=None)
            except RetryError:
                raise_job_error(job)
                raise
            except TimeoutError:
                # Cancel the job: it must not change rows later, when another writer may be at work.
                job.cancel(retry=retry, timeout=REQUEST_TIMEOUT_SECONDS)
                raise
