"""The whole copy, in order: refusals, home record, tables, files, MLflow's versions; and its output in the terminal.

Comparing belongs to `tables` and `files`, refusing to `refusals`.
"""

from collections.abc import Sequence

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bike_assets.commands.copy.comparison import Comparison
from bike_assets.commands.copy.files import copy_models, copy_reports, copy_summary, refuse_broken_models
from bike_assets.commands.copy.refusals import (
    refuse_active_runs,
    refuse_another_home,
    refuse_missing_tables,
    refuse_newer_target,
)
from bike_assets.commands.copy.tables import TableCopy
from bike_assets.core.schemas import INGESTIONS, TABLES
from bike_assets.core.summary import Summary
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.home.lock import hold_lock
from bike_assets.home.record import RECORD, Home, recorded_home
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets.resources.gcs import BucketFolder, folder_of
from bike_assets.resources.gcs_registry import GcsRegistry
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.tracking import CloudTracking
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets.terminal import console, plain_table

NOT_COPIED = (
    "Not copied: Dagster's runs and their logs, MLflow's runs with their curves and plots. They stay in the home. "
    "A Dagster without these runs processes the days since the first training again."
)
RECORD_FOLDER = "home"


def run_copy(settings: Settings, only_compare: bool = False) -> None:
    """Copy the home in the settings to their project and bucket, and show the progress.

    Args:
        settings: the settings in force; the profile may be either.
        only_compare: compare only, and send nothing.

    Raises:
        BikeError: settings, home or target forbid it; nothing was sent.
        StepFailedError: a service failed, and what was sent remains; or the two sides differ.
    """
    if missing := settings.gcp.missing():
        raise BikeError(f"bike copy needs {' and '.join(missing)}.")
    home = recorded_home(settings)
    if home is None:
        raise BikeError(f"{settings.home_folder} holds nothing to copy: set BIKE_HOME to the home.")
    with hold_lock(home, "run"), hold_lock(home, "pass"):
        found, notes = _copy(settings, home, send=not only_compare)
    console.print(comparison_table(found))
    for note in notes:
        console.print(escape(note))
    different = [f"{each.what} ({', '.join(each.differences[:3])})" for each in found if each.differences]
    if different:
        raise StepFailedError(f"Not equal on both sides: {'; '.join(different)}.")


def _copy(settings: Settings, home: Home, send: bool) -> tuple[list[Comparison], list[str]]:
    here, there = LocalWarehouse(home.warehouse, settings.threads), BigQueryWarehouse(settings.gcp)
    registry = GcsRegistry(folder_of(settings.gcp, "registry"))
    summary = LocalRegistry(home.registry).read()
    refuse_active_runs(home)
    refuse_broken_models(home, summary)
    refuse_missing_tables(there)
    record = folder_of(settings.gcp, RECORD_FOLDER)
    refuse_another_home(home, record, there, registry)
    refuse_newer_target(here, summary, there, registry)
    if send:
        _store_record(home, record)
    # Readings first: they distinguish this home from another one with the same record.
    tables = sorted(TABLES, key=lambda table: table is not INGESTIONS)
    found = [_copy_table(TableCopy(table, here, there), send) for table in tables]
    found += _copy_files(settings, home, summary, registry, send)
    return found, [*_versions(settings, summary, registry, send), NOT_COPIED]


def _store_record(home: Home, record: BucketFolder) -> None:
    if record.generation(RECORD) is None:
        record.replace(RECORD, (home.folder / RECORD).read_bytes(), generation=0, kind="application/json")


def _copy_table(copy: TableCopy, send: bool) -> Comparison:
    with _progress() as progress:
        task = progress.add_task(copy.table.full_name, total=copy.rows)
        found = copy.run(send, lambda rows: progress.advance(task, rows))
    return _print_comparison(found)


def _print_comparison(found: Comparison) -> Comparison:
    mark = "[red]✗[/]" if found.differences else "[green]✓[/]"
    console.print(f"{mark} {found.what}: {found.here:,}, of which {found.sent:,} were sent now")
    return found


def _copy_files(
    settings: Settings, home: Home, summary: Summary, registry: GcsRegistry, send: bool
) -> list[Comparison]:
    models = _print_comparison(copy_models(home, summary, registry.objects, send))
    # A summary that names missing files would leave the API without a champion.
    versions = copy_summary(summary, registry, send and not models.differences)
    return [
        models,
        _print_comparison(versions),
        _print_comparison(copy_reports(home, folder_of(settings.gcp, "reports"), send)),
    ]


def _versions(settings: Settings, summary: Summary, registry: GcsRegistry, send: bool) -> list[str]:
    tracking = CloudTracking(settings.home_folder / "mlflow", settings.gcp.bucket)
    if not tracking.is_external:
        return [
            "MLFLOW_TRACKING_URI is not set: MLflow stays in the home. To use another MLflow, set it and copy again "
            "before the first training there, so that the version numbers continue."
        ]
    if not send:
        return []
    registered = tracking.register_versions(summary.models, str(registry.objects))
    return [f"MLflow: {registered} of {len(summary.models)} versions were registered now, without their runs."]


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def comparison_table(found: Sequence[Comparison]) -> Table:
    """Return the comparison of both sides, with one line per table or kind of file."""
    table = plain_table()
    table.add_column("table", no_wrap=True)
    table.add_column("rows here", justify="right")
    table.add_column("rows there", justify="right")
    table.add_column("digest equal")
    for each in found:
        equal = "[red]no[/]" if each.differences else "yes"
        table.add_row(each.what, f"{each.here:,}", f"{each.there:,}", equal)
    return table
