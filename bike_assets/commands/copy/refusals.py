"""Refuses a copy before anything is sent, so that it never mixes or overwrites the data of two homes.

It also refuses a home with running runs. Comparing contents does not belong here.
"""

import json
from typing import Any

from bike_assets.commands.copy.tables import rows_by_day
from bike_assets.core.schemas import INGESTIONS, RETRAIN_DECISIONS, TABLES, TRAINING_RUNS
from bike_assets.core.summary import Summary, continued
from bike_assets.errors import BikeError
from bike_assets.home.record import RECORD, Home
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.gcs_registry import GcsRegistry
from bike_assets.resources.warehouse import Warehouse

MUTABLE_FIELDS = ("file", "reason")
"""Fields of a home's record that may differ for the same home: the path of its export, and why it has its source."""
ACTIVITY_TABLES = (INGESTIONS, TRAINING_RUNS, RETRAIN_DECISIONS)
"""Everything that the platform does, except answering requests, adds a row to one of these tables."""
ADVICE = "choose another bucket and other datasets (BIKE_GCP__BUCKET, BIKE_GCP__DATASET_PREFIX)"


def refuse_active_runs(home: Home) -> None:
    """Refuse a home with running Dagster runs. `run_copy` excludes passes and `make run` by their locks.

    Raises:
        BikeError: there are running runs; the message names the first.
    """
    if not (home.dagster / "dagster.yaml").exists():
        return
    import dagster as dg

    from bike_assets.instance.runs import ACTIVE_STATUSES

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES))
    if runs:
        raise BikeError(
            f"{len(runs)} runs are active in {home.folder} (such as {runs[0].run_id}): wait until they end; "
            "bike materialize marks runs whose process died as failed."
        )


def refuse_missing_tables(there: BigQueryWarehouse) -> None:
    """Refuse a target with missing tables, or tables of an older version.

    Raises:
        BikeError: something is missing, or the service refuses the request.
        StepFailedError: the service failed.
    """
    missing = there.tables.missing()
    if missing:
        raise BikeError(
            f"The target lacks tables: type bike warehouse init to {missing[0].what} and make {len(missing) - 1} more "
            "changes."
        )


def refuse_another_home(home: Home, record: BucketFolder, there: BigQueryWarehouse, registry: GcsRegistry) -> None:
    """Refuse a target with data that `bike copy` did not send, or sent from another home.

    Raises:
        BikeError: there is such data; the message names it.
    """
    content = record.read(RECORD)
    if content is None:
        held = _first_table_with_rows(there) or (str(registry.objects) if registry.read().models else None)
        if held:
            raise BikeError(f"{held} holds data that bike copy did not send: {ADVICE}.")
    elif _identity(content) != _identity((home.folder / RECORD).read_bytes()):
        raise BikeError(f"{record.address(RECORD)} is the record of another home than {home.folder}: {ADVICE}.")


def refuse_newer_target(here: Warehouse, summary: Summary, there: BigQueryWarehouse, registry: GcsRegistry) -> None:
    """Refuse a target where the platform has worked since: older rows would replace its newer ones.

    Raises:
        BikeError: the target has rows or versions that the home lacks; the message names them.
    """
    for table in ACTIVITY_TABLES:
        keys = f"SELECT {', '.join(table.key)} FROM {table.full_name}"
        ours, theirs = ({*warehouse.query(keys).itertuples(index=False, name=None)} for warehouse in (here, there))
        if theirs - ours:
            raise BikeError(
                f"{table.full_name} in the target has {len(theirs - ours)} rows that this home lacks: the platform "
                f"continued there, or another home was copied. To copy this one, {ADVICE}."
            )
    continued(registry.read(), summary, str(registry.objects))


def _first_table_with_rows(there: BigQueryWarehouse) -> str | None:
    return next((table.full_name for table in TABLES if any(rows_by_day(table, there).values())), None)


def _identity(record: bytes) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(record)
        return {name: value for name, value in values.items() if name not in MUTABLE_FIELDS}
    except (ValueError, AttributeError) as error:
        raise BikeError(f"The record {RECORD} in the bucket is not valid ({error}): {ADVICE}.") from None
