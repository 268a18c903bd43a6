"""Statements that BigQuery runs: with typed parameters, a limit on what they may bill, and a tally of what they did.

Which statements these are belongs to `bigquery_warehouse` and its helpers.
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
    raise_as_ended,
    request_retry,
    statement_retry,
    told_plainly,
)
from bike_assets.resources.bigquery_values import typed_parameters
from bike_assets.resources.step_bill import StepBill

if TYPE_CHECKING:
    import pyarrow as pa

STATEMENT_SECONDS = 900.0
"""How long one statement may run, and its rows may take to arrive."""

FEW_ROWS = 1000
"""Answers up to this size come with the statement's own reply, which is quicker than a session of Storage Read."""


@dataclass
class Bill:
    """What statements were billed for so far, by this process.

    Attributes:
        statements: how many were run.
        bytes_billed: what BigQuery billed for them.
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
        settings: the project, the names and the limit.
        connection: the clients.
        bill: what was run so far.
    """

    def __init__(self, settings: GcpSettings) -> None:
        self.settings = settings
        self.connection: BigQueryConnection = connect(settings)
        self.bill = Bill()
        self._step_bill = StepBill()

    def rows(self, sql: str, parameters: Mapping[str, Any], doing: str) -> "pa.Table":
        """Run a SELECT and return its rows; large answers come over the Storage Read API.

        Args:
            sql: in BigQuery's dialect, names of datasets as they are in the project.
            parameters: values of its @names.
            doing: what it is for, for the message of a failure.

        Raises:
            BikeError: there are no credentials, or they do not suffice.
            StepFailedError: BigQuery failed, or the statement would be billed for more than the limit.
        """
        with told_plainly(doing):
            job, result = statement_retry()(self._run)(sql, parameters)
            in_bulk = self.connection.read_client() if result.total_rows > FEW_ROWS else None
            rows = result.to_arrow(bqstorage_client=in_bulk, create_bqstorage_client=False, timeout=STATEMENT_SECONDS)
        self._enter(job)
        return rows

    def change(self, sql: str, parameters: Mapping[str, Any], doing: str) -> int:
        """Run a statement that changes rows, and return how many; it is begun again where another one overtook it.

        Raises:
            BikeError: there are no credentials, or they do not suffice.
            StepFailedError: BigQuery failed, or the statement would be billed for more than the limit.
        """
        with told_plainly(doing):
            job, _ = statement_retry()(self._run)(sql, parameters)
        self._enter(job)
        return job.num_dml_affected_rows or 0

    def estimate(self, sql: str, parameters: Mapping[str, Any], doing: str) -> int:
        """Return the bytes that a statement would read, as BigQuery estimates them; nothing is run or billed.

        Raises:
            BikeError: there are no credentials, or they do not suffice.
            StepFailedError: BigQuery failed, or does not understand the statement.
        """
        config = bigquery.QueryJobConfig(
            query_parameters=typed_parameters(parameters), dry_run=True, use_query_cache=False
        )
        with told_plainly(doing), self.connection.get_client() as client:
            job = client.query(
                sql, job_config=config, retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS, job_retry=None
            )
        return job.total_bytes_processed or 0

    def _enter(self, job: bigquery.QueryJob) -> None:
        before = self.bill.bytes_billed
        self.bill.add(job.total_bytes_billed or 0)
        self._step_bill.tell(before, self.bill.bytes_billed)

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
                raise_as_ended(job)
                raise
            except TimeoutError:
                # Given up here, it is not to change rows later, when somebody else may be writing.
                job.cancel(retry=retry, timeout=REQUEST_TIMEOUT_SECONDS)
                raise
