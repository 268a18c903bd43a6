"""The datasets and tables of BigQuery: names them, finds which are missing, and creates these.

This module never drops or narrows anything. What tables mean belongs to `core.schemas`, rows to `bigquery_warehouse`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.schemas import TABLES, Table
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources.bigquery_errors import REQUEST_TIMEOUT_SECONDS, request_retry, translate_errors
from bike_assets.resources.bigquery_jobs import BigQueryJobs
from bike_assets.resources.bigquery_lease import LEASES

LABELS = {"platform": "bike-traffic"}
CLUSTERED_BY = "counter_id"
DATASETS = {
    "bike_traffic_raw": "Counts, weather and features, as published and as models see them.",
    "bike_traffic_predictions": "Forecasts.",
    "monitoring_audit": "What was read, trained, judged, deployed, scored and decided, and why.",
}
_SAME_TYPE = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


@dataclass(frozen=True)
class SetupStep:
    """A missing dataset, table, column or row of the project.

    Attributes:
        what: what `make` does, for the user.
        make: creates it.
    """

    what: str
    make: Callable[[], object]


class BigQueryTables:
    """The datasets and tables of one project.

    Args:
        settings: project, location and prefix.
        jobs: runs the statements.
    """

    def __init__(self, settings: GcpSettings, jobs: BigQueryJobs) -> None:
        self._settings, self._jobs = settings, jobs

    def dataset(self, name: str) -> str:
        """Return the full name of a dataset, with its project."""
        return f"{self._settings.project}.{self._settings.dataset_prefix}{name}"

    def name(self, table: Table) -> str:
        """Return the full name of a table, with its project."""
        return f"{self.dataset(table.dataset)}.{table.name}"

    def in_sql(self, table: Table) -> str:
        """Return the full name of a table, quoted for SQL."""
        return f"`{self.name(table)}`"

    def schema(self, table: Table) -> list[bigquery.SchemaField]:
        """Return the columns of a table in the form of the API."""
        return [bigquery.SchemaField(name, kind) for name, kind in table.columns.items()]

    def read(self, table: Table) -> bigquery.Table:
        """Return BigQuery's description of a table.

        Raises:
            BikeError: the credentials are missing or not sufficient.
            StepFailedError: BigQuery failed, or has no such table.
        """
        with translate_errors(f"inspecting {table.full_name}"), self._jobs.connection.get_client() as client:
            return client.get_table(self.name(table), retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)

    def validate_table(self, table: Table) -> None:
        """Refuse a table that an older version of this code created.

        Raises:
            BikeError: the credentials are missing or not sufficient, or a column or the partition has another type.
            StepFailedError: columns are missing, or BigQuery failed, or has no such table.
        """
        found = self.read(table)
        _validate_layout([(table, found)])
        missing = _missing_columns(table, found)
        if missing:
            raise StepFailedError(
                f"The table {self.name(table)} is of an older version: it has no {', '.join(missing)}. "
                "Type bike warehouse init, which adds columns and drops nothing."
            )

    def missing(self) -> list[SetupStep]:
        """Return what has to be created, in order; change nothing.

        Raises:
            BikeError: the credentials are missing or not sufficient, or a table exists in another form and would have
                to be dropped.
            StepFailedError: BigQuery failed.
        """
        datasets = [name for name in DATASETS if not self._has_dataset(name)]
        found = [
            (table, None if table.dataset in datasets else self._read_or_none(table)) for table in (*TABLES, LEASES)
        ]
        _validate_layout([(table, known) for table, known in found if known])
        return [
            *(self._new_dataset(name) for name in datasets),
            *(step for table, known in found for step in self._steps(table, known)),
            *self._new_leases(leases_exist=found[-1][1] is not None),
        ]

    def _steps(self, table: Table, known: bigquery.Table | None) -> Iterator[SetupStep]:
        if known is None:
            yield SetupStep(
                f"create the table {self.name(table)} ({_describe_layout(table)})", lambda: self._create(table)
            )
            return
        missing = _missing_columns(table, known)
        if missing:
            yield SetupStep(
                f"add to the table {self.name(table)} the columns {', '.join(missing)}",
                lambda: self._add_columns(table, known, missing),
            )

    def _new_dataset(self, name: str) -> SetupStep:
        dataset = bigquery.Dataset(self.dataset(name))
        dataset.location, dataset.description, dataset.labels = self._settings.location, DATASETS[name], LABELS

        def make() -> None:
            with (
                translate_errors(f"creating the dataset {self.dataset(name)}"),
                self._jobs.connection.get_client() as client,
            ):
                client.create_dataset(dataset, exists_ok=True, retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)

        return SetupStep(f"create the dataset {self.dataset(name)} in {self._settings.location}", make)

    def _create(self, table: Table) -> None:
        made = bigquery.Table(self.name(table), schema=self.schema(table))
        made.description, made.labels = table.description, LABELS
        if table.partition:
            made.time_partitioning = bigquery.TimePartitioning(field=table.partition)
            made.require_partition_filter = True
        if CLUSTERED_BY in table.columns:
            made.clustering_fields = [CLUSTERED_BY]
        with translate_errors(f"creating the table {self.name(table)}"), self._jobs.connection.get_client() as client:
            client.create_table(made, exists_ok=True, retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)

    def _add_columns(self, table: Table, known: bigquery.Table, names: list[str]) -> None:
        known.schema = [*known.schema, *(each for each in self.schema(table) if each.name in names)]
        doing = f"adding columns to {self.name(table)}"
        with translate_errors(doing), self._jobs.connection.get_client() as client:
            client.update_table(known, ["schema"], retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)

    def _new_leases(self, leases_exist: bool) -> list[SetupStep]:
        wanted = [table.full_name for table in TABLES]
        known: list[str] = []
        if leases_exist:
            sql = f"SELECT table_name FROM {self.in_sql(LEASES)}"
            known = self._jobs.rows(sql, {}, f"reading {self.name(LEASES)}")["table_name"].to_pylist()
        names = sorted({*wanted} - {*known})
        sql = (
            f"MERGE {self.in_sql(LEASES)} AS old USING (SELECT * FROM UNNEST(@names) AS table_name) AS new "
            "ON old.table_name = new.table_name WHEN NOT MATCHED THEN INSERT (table_name) VALUES (new.table_name)"
        )
        doing = f"writing {self.name(LEASES)}"
        step = SetupStep(
            f"add the write locks of {len(names)} tables (rows of {self.name(LEASES)})",
            lambda: self._jobs.change(sql, {"names": names}, doing),
        )
        return [step] if names else []

    def _has_dataset(self, name: str) -> bool:
        with (
            translate_errors(f"inspecting the dataset {self.dataset(name)}"),
            self._jobs.connection.get_client() as client,
        ):
            try:
                client.get_dataset(self.dataset(name), retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)
            except NotFound:
                return False
        return True

    def _read_or_none(self, table: Table) -> bigquery.Table | None:
        try:
            return self.read(table)
        except StepFailedError as failure:
            if isinstance(failure.__cause__, NotFound):
                return None
            raise


def _describe_layout(table: Table) -> str:
    parts = [f"{len(table.columns)} columns"]
    if table.partition:
        parts.append(f"a partition for each {table.partition}")
    if CLUSTERED_BY in table.columns:
        parts.append(f"clustered by {CLUSTERED_BY}")
    return ", ".join(parts)


def _column_types(found: bigquery.Table) -> dict[str, str]:
    """Return the types of a table's columns; BigQuery has two names for some types, this uses one."""
    return {each.name: _SAME_TYPE.get(each.field_type, each.field_type) for each in found.schema}


def _missing_columns(table: Table, found: bigquery.Table) -> list[str]:
    known = _column_types(found)
    return [name for name in table.columns if name not in known]


def _validate_layout(tables: list[tuple[Table, bigquery.Table]]) -> None:
    """Refuse tables whose columns or partitions could only be corrected by dropping the table."""
    wrong = [each for table, found in tables for each in _layout_differences(table, found)]
    if wrong:
        raise BikeError(
            f"Tables exist in another form: {'; '.join(wrong)}. Nothing was changed: move these tables away, or "
            "choose other datasets (BIKE_GCP__DATASET_PREFIX)."
        )


def _layout_differences(table: Table, found: bigquery.Table) -> Iterator[str]:
    known = _column_types(found)
    for name, kind in table.columns.items():
        if known.get(name, kind) != kind:
            yield f"{table.full_name}.{name} is {known[name]} and has to be {kind}"
    partition = found.time_partitioning.field if found.time_partitioning else None
    if partition != table.partition:
        yield (
            f"{table.full_name} is partitioned by {partition or 'nothing'} "
            f"and has to be by {table.partition or 'nothing'}"
        )
