"""When a copy is refused, before anything is sent: nothing of another home is mixed with this one, or overwritten.

What the home's own state forbids, as a pass that is under way, is here too; comparing contents is not.
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

MOVABLE = ("file", "reason")
"""Of a home's record, what may differ in the same home: where its export lies, and why it has its source."""
APPENDED_TO = (INGESTIONS, TRAINING_RUNS, RETRAIN_DECISIONS)
"""Whatever the platform does beyond answering leaves a row in one of these."""
ADVICE = "choose another bucket and other datasets (BIKE_GCP__BUCKET, BIKE_GCP__DATASET_PREFIX)"


def refuse_runs_under_way(home: Home) -> None:
    """Refuse a home on which Dagster is at work; passes and `make run` are told by their locks.

    Raises:
        BikeError: it names the runs.
    """
    if not (home.dagster / "dagster.yaml").exists():
        return
    import dagster as dg

    from bike_assets.instance.runs import UNFINISHED

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    if runs:
        raise BikeError(
            f"{len(runs)} runs are under way in {home.folder} (such as {runs[0].run_id}): wait for their end; of runs "
            "that died with their process, bike materialize takes note."
        )


def refuse_missing_tables(there: BigQueryWarehouse) -> None:
    """Refuse a target whose tables are not all there, or are of an older version.

    Raises:
        BikeError: it says what is missing, or the service refuses.
        StepFailedError: the service failed.
    """
    missing = there.tables.missing()
    if missing:
        raise BikeError(
            f"The tables of the target are not all there: to {missing[0].what}, and {len(missing) - 1} things more, "
            "type bike warehouse init."
        )


def refuse_another_home(home: Home, record: BucketFolder, there: BigQueryWarehouse, registry: GcsRegistry) -> None:
    """Refuse a target that holds what `bike copy` did not bring, or brought from another home.

    Raises:
        BikeError: it says what is there.
    """
    content = record.read(RECORD)
    if content is None:
        held = _first_table_with_rows(there) or (str(registry.objects) if registry.read().models else None)
        if held:
            raise BikeError(f"{held} holds data that bike copy did not bring: {ADVICE}.")
    elif _identity(content) != _identity((home.folder / RECORD).read_bytes()):
        raise BikeError(f"{record.address(RECORD)} is the record of another home than {home.folder}: {ADVICE}.")


def refuse_what_went_on(here: Warehouse, summary: Summary, there: BigQueryWarehouse, registry: GcsRegistry) -> None:
    """Refuse a target on which the platform itself has gone on since: older rows would replace its newer ones.

    Raises:
        BikeError: it says what is there and not here.
    """
    for table in APPENDED_TO:
        keys = f"SELECT {', '.join(table.key)} FROM {table.full_name}"
        ours, theirs = ({*warehouse.query(keys).itertuples(index=False, name=None)} for warehouse in (here, there))
        if theirs - ours:
            raise BikeError(
                f"{table.full_name} there has {len(theirs - ours)} rows that this home has not: the platform has gone "
                f"on there, or another home was copied. To copy this one, {ADVICE}."
            )
    continued(registry.read(), summary, str(registry.objects))


def _first_table_with_rows(there: BigQueryWarehouse) -> str | None:
    return next((table.full_name for table in TABLES if any(rows_by_day(table, there).values())), None)


def _identity(record: bytes) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(record)
        return {name: value for name, value in values.items() if name not in MOVABLE}
    except (ValueError, AttributeError) as error:
        raise BikeError(f"The record {RECORD} in the bucket is none ({error}): {ADVICE}.") from None
