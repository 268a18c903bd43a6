"""The warehouse on BigQuery: every write is a staging table and one MERGE; large results use the Storage Read API.

The SQL of a merge belongs to `bigquery_merge`, creating and changing tables to `bigquery_tables`, the embedded engine
to `warehouse`. Only the profile gcp imports this module: it loads Google's libraries.
"""

import io
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from google.api_core.exceptions import BadRequest, GoogleAPIError
from google.cloud import bigquery

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import TABLES, Table
from bike_assets.errors import BikeError
from bike_assets.resources import warehouse as shared
from bike_assets.resources.bigquery_errors import REQUEST_TIMEOUT_SECONDS, request_retry, translate_errors
from bike_assets.resources.bigquery_jobs import STATEMENT_SECONDS, BigQueryJobs, Bill
from bike_assets.resources.bigquery_lease import LEASES, Lease
from bike_assets.resources.bigquery_merge import POSITION, MergeStatements
from bike_assets.resources.bigquery_tables import BigQueryTables
from bike_assets.resources.bigquery_values import frame_of, single_precision_columns
from bike_assets.resources.partition_merge import MergeResult
from bike_assets.resources.table_rows import to_arrow, validate_parameters, validate_rows
from bike_assets.resources.warehouse import with_views

if TYPE_CHECKING:
    import pyarrow as pa

STAGING_HOURS = 6
"""BigQuery deletes the staging table of a killed writer after this time."""


class BigQueryWarehouse:
    """Tables of BigQuery behind the interface of every warehouse.

    Each MERGE is atomic: two concurrent writers lose no row. The statuses of a merge come from a query just before it.
    They are exact for a writer that holds `write_lock`; without it, another writer may change the same rows in
    between.
    """

    def __init__(self, settings: GcpSettings) -> None:
        self.settings = settings
        self.jobs = BigQueryJobs(settings)
        self.tables = BigQueryTables(settings, self.jobs)
        self._validated: set[str] = set()

    @property
    def bill(self) -> Bill:
        """Statements and billed bytes of this process so far."""
        return self.jobs.bill

    def merge(self, table: Table, rows: pd.DataFrame, complete_days: Collection[date] = ()) -> MergeResult:
        """Merge rows in one MERGE statement; skip the statement if no row differs.

        Raises:
            ValueError: columns are missing, a key or partition is null, or two rows share a key.
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or the table is missing or of an older version.
        """
        validate_rows(table, rows)
        if rows.empty and not complete_days:
            return MergeResult(np.array([], dtype=str))
        new = to_arrow(table, rows.reset_index(drop=True)).append_column(POSITION, [range(len(rows))])
        self._validate_table_once(table)
        with self._staged(table, new) as staging:
            bounds = _bounds(table, rows, complete_days)
            statements = MergeStatements(table, self.tables.in_sql(table), staging, bounds, complete_days)
            merged = self._compare(statements, len(rows))
            if merged.added or merged.changed or merged.withdrawn:
                self.jobs.change(statements.merge, statements.parameters, f"writing {table.full_name}")
        return merged

    def write_lock(self, table: Table) -> AbstractContextManager[None]:
        """Hold a lease on the table; the lease of a writer that dies expires within two minutes.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: another writer held the lease for too long, or the lease was lost while the body ran.
        """
        lease = Lease(self.jobs, self.tables.in_sql(LEASES), table)
        return lease.held(shared.WRITER_TIMEOUT_SECONDS)

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run a SELECT over the current tables.

        Raises:
            TypeError: BigQuery lacks the type of a parameter, or a parameter is a time without a zone.
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, a table is missing or of an older version, or the statement would be
                billed for more than the limit.
        """
        validate_parameters(parameters)
        try:
            rows = self.jobs.rows(self._in_project(sql), parameters, f"reading {_table_names(sql)}")
        except BikeError as failure:
            if isinstance(failure.__cause__, BadRequest):
                for table in TABLES:
                    if table.full_name in with_views(sql):
                        self.tables.validate_table(table)
            raise
        return frame_of(rows, single_precision_columns(sql))

    def estimate(self, sql: str, **parameters: Any) -> int:
        """Return the bytes that a SELECT would read; run and bill nothing.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or does not understand the statement.
        """
        return self.jobs.estimate(self._in_project(sql), parameters, f"estimating {_table_names(sql)}")

    def state(self, table: Table) -> tuple[str, ...]:
        """Return when the table last changed; this request is not billed.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or the table is missing.
        """
        return (str(self.tables.read(table).modified),)

    def close(self) -> None:
        """Close the connection; the next query opens it again."""
        self.jobs.connection.close()

    def _compare(self, statements: MergeStatements, rows: int) -> MergeResult:
        """Compare rows with the table: return the status of each row, and the rows to delete from whole days."""
        doing = f"comparing with {statements.table.full_name}"
        differing = self.jobs.rows(statements.statuses, statements.parameters, doing)
        status = np.full(rows, "unchanged")
        status[differing[POSITION].to_numpy().astype(np.int64)] = differing["status"].to_numpy(zero_copy_only=False)
        if not statements.complete_days:
            return MergeResult(status)
        withdrawn = self.jobs.rows(statements.withdrawn, statements.parameters, doing).to_pylist()
        return MergeResult(status, {as_date(row["day"]): int(row["n"]) for row in withdrawn})

    @contextmanager
    def _staged(self, table: Table, rows: "pa.Table") -> Iterator[str]:
        """Store rows in a staging table while the body runs; yield the table's name, quoted for SQL."""
        import pyarrow.parquet as pq

        schema = [*self.tables.schema(table), bigquery.SchemaField(POSITION, "INT64")]
        name = f"{self.tables.name(table)}_staging_{uuid.uuid4().hex}"
        made = bigquery.Table(name, schema=schema)
        made.expires = datetime.now(UTC) + timedelta(hours=STAGING_HOURS)
        file = io.BytesIO()
        pq.write_table(rows, file)
        config = bigquery.LoadJobConfig(schema=schema, source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        retry, timeout = request_retry(), REQUEST_TIMEOUT_SECONDS
        with self.jobs.connection.get_client() as client:
            with translate_errors(f"staging rows for {table.full_name}"):
                client.create_table(made, exists_ok=True, retry=retry, timeout=timeout)
                # A second load replaces the first one. The client's own retries cover fewer errors: they are off.
                job = retry(client.load_table_from_file)(
                    file, made, rewind=True, num_retries=0, job_config=config, timeout=timeout
                )
                job.result(retry=retry, timeout=STATEMENT_SECONDS)
            try:
                yield f"`{name}`"
            finally:
                # If this fails, the table still expires.
                with suppress(GoogleAPIError):
                    client.delete_table(made, not_found_ok=True, retry=retry, timeout=timeout)

    def _validate_table_once(self, table: Table) -> None:
        if table.full_name not in self._validated:
            self.tables.validate_table(table)
            self._validated.add(table.full_name)

    def _in_project(self, sql: str) -> str:
        """Return SQL with its views expanded and this project's dataset names."""
        sql = with_views(sql)
        if self.settings.dataset_prefix:
            for table in TABLES:
                sql = re.sub(rf"\b{re.escape(table.full_name)}\b", self.tables.in_sql(table), sql)
        return sql


def _bounds(table: Table, rows: pd.DataFrame, complete_days: Collection[date]) -> tuple[date, date] | None:
    """Return the first and the last partition of a merge."""
    if table.partition is None:
        return None
    days = {*complete_days, *map(as_date, rows[table.partition].unique())}
    return min(days), max(days)


def _table_names(sql: str) -> str:
    """Return the names of a statement's tables, for messages."""
    return ", ".join(table.full_name for table in TABLES if table.full_name in with_views(sql)) or "unknown tables"
