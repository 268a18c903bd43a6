"""`bike warehouse`: makes and migrates the tables of the profile gcp. Rows do not belong here."""

from typing import TYPE_CHECKING, Annotated

import typer

from bike_assets.errors import BikeError
from bike_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from bike_assets.resources.bigquery_tables import SetupStep

warehouse = typer.Typer(no_args_is_help=True, help="Make the tables of BigQuery (BIKE_PROFILE=gcp), or migrate them.")


@warehouse.callback()
def about() -> None:
    """Make the tables of BigQuery (BIKE_PROFILE=gcp), or migrate them."""


@warehouse.command()
def init(
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")] = False,
) -> None:
    """Make the missing datasets, tables and columns. It first prints its changes.

    Nothing is ever dropped. The command fails if a column has another type. You can run it again at any time.
    """
    changes = _missing(load_settings())
    for change in changes:
        typer.echo(change.what)
    if not changes:
        typer.echo("Nothing is missing.")
    elif dry_run:
        typer.echo(f"{len(changes)} changes would be made; nothing was changed.")
    elif yes or typer.confirm(f"Make these {len(changes)} changes?"):
        for change in changes:
            change.make()
        typer.echo(f"{len(changes)} changes were made.")
    else:
        typer.echo("Nothing was changed.")


def _missing(settings: Settings) -> "list[SetupStep]":
    if settings.profile != "gcp":
        raise BikeError("The embedded warehouse needs no init: tables are made on BigQuery, for BIKE_PROFILE=gcp.")
    from bike_assets.resources.bigquery_jobs import BigQueryJobs
    from bike_assets.resources.bigquery_tables import BigQueryTables

    return BigQueryTables(settings.gcp, BigQueryJobs(settings.gcp)).missing()
