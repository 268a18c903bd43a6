"""Checks of Google for the profile gcp: credentials, BigQuery with its tables and permissions, the bucket.

They write nothing: statements run as dry runs, and permissions are queried. Only the profile gcp imports this module,
because it loads Google's libraries.
"""

from functools import partial

import google.auth
import google.auth.transport.requests
from google.api_core.exceptions import NotFound
from google.cloud.bigquery_storage_v1 import types

from bike_assets.commands.doctor.checks import Check
from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.schemas import COUNTERS, TABLES, Table
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources.bigquery_errors import REQUEST_TIMEOUT_SECONDS, request_retry, translate_errors
from bike_assets.resources.bigquery_jobs import BigQueryJobs
from bike_assets.resources.bigquery_lease import LEASES
from bike_assets.resources.bigquery_tables import DATASETS, BigQueryTables
from bike_assets.resources.gcs import folder_of

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
DRY_RUN_TABLE = "tried_dry"


def google_checks(gcp: GcpSettings) -> list[Check]:
    """Return the checks of Google's services."""
    project = _Project(gcp)
    return [
        Check("credentials", partial(_credentials, gcp)),
        Check("BigQuery", project.runs_jobs),
        *(Check(name, partial(project.has_dataset, name)) for name in DATASETS),
        *(Check(f"writing {name}", partial(project.may_write, name)) for name in DATASETS),
        Check("Storage Read API", project.reads_in_bulk),
        Check("bucket", partial(_bucket, gcp)),
        Check("bucket's location", partial(_location, gcp), needed=False),
    ]


def _credentials(gcp: GcpSettings) -> str:
    if gcp.bigquery_endpoint and gcp.storage_endpoint:
        return "not needed: emulators replace BigQuery and Cloud Storage"
    with translate_errors("asking for credentials"):
        credentials, project = google.auth.default(scopes=SCOPES)
        credentials.refresh(google.auth.transport.requests.Request())
    who = getattr(credentials, "service_account_email", None) or type(credentials).__name__
    return f"Google accepts those of {who} (their own project: {project or 'none'})"


class _Project:
    """The tables of one project."""

    def __init__(self, gcp: GcpSettings) -> None:
        self._gcp, self._jobs = gcp, BigQueryJobs(gcp)
        self._tables = BigQueryTables(gcp, self._jobs)

    def runs_jobs(self) -> str:
        self._jobs.estimate("SELECT 1", {}, "a dry run")
        return f"the project {self._gcp.project} lets this account run statements in {self._gcp.location}"

    def has_dataset(self, name: str) -> str:
        full_name = self._tables.dataset(name)
        with translate_errors(f"reading {full_name}"), self._jobs.connection.get_client() as client:
            location = client.get_dataset(full_name, retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS).location
        if location.upper() != self._gcp.location.upper():
            raise BikeError(f"{full_name} is in {location}, and BIKE_GCP__LOCATION is {self._gcp.location}.")
        expected = [table for table in (*TABLES, LEASES) if table.dataset == name]
        missing = [table.name for table in expected if not self._has_table(table)]
        if missing:
            raise BikeError(f"{full_name} has no {', '.join(missing)}: type bike warehouse init.")
        return f"{full_name} in {location} has its {len(expected)} tables, as this version expects them"

    def _has_table(self, table: Table) -> bool:
        try:
            self._tables.validate_table(table)
        except StepFailedError as failure:
            if isinstance(failure.__cause__, NotFound):
                return False
            raise
        return True

    def may_write(self, name: str) -> str:
        """Dry-run the statements of a merge: make a table for the new rows, and change rows of an existing table."""
        doing = f"a dry run of writing {self._tables.dataset(name)}"
        table = next(table for table in TABLES if table.dataset == name)
        nothing = f"{table.partition} = DATE '1970-01-01'" if table.partition else "FALSE"
        self._jobs.estimate(f"CREATE TABLE `{self._tables.dataset(name)}.{DRY_RUN_TABLE}` (n INT64)", {}, doing)
        self._jobs.estimate(f"DELETE FROM {self._tables.in_sql(table)} WHERE {nothing}", {}, doing)
        return "making tables and changing rows is permitted (tried dry)"

    def reads_in_bulk(self) -> str:
        client = self._jobs.connection.read_client()
        if client is None:
            return "an emulator without it: rows come over REST (BIKE_GCP__BIGQUERY_READ_ENDPOINT)"
        dataset, _, table = self._tables.name(COUNTERS).removeprefix(f"{self._gcp.project}.").partition(".")
        session = types.ReadSession(
            table=f"projects/{self._gcp.project}/datasets/{dataset}/tables/{table}", data_format=types.DataFormat.ARROW
        )
        with translate_errors(f"opening a session to read {self._tables.name(COUNTERS)}"):
            client.create_read_session(
                parent=f"projects/{self._gcp.project}",
                read_session=session,
                max_stream_count=1,
                retry=None,
                timeout=REQUEST_TIMEOUT_SECONDS,
            )
        return "a session to read a table was opened; nothing was read"


def _bucket(gcp: GcpSettings) -> str:
    folder_of(gcp, "").validate_permissions()
    return f"gs://{gcp.bucket} lets this account list, read, create and delete objects"


def _location(gcp: GcpSettings) -> str:
    return f"gs://{gcp.bucket} is in {folder_of(gcp, '').location()}"
