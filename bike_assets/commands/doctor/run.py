"""Runs all checks of the profile in force, one after the other, and prints the findings."""

from rich.markup import escape
from rich.table import Table

from bike_assets.commands.doctor.checks import Check, Finding, State, run
from bike_assets.commands.doctor.local import local_checks
from bike_assets.errors import StepFailedError
from bike_assets.settings import Settings
from bike_assets.terminal import console

COLOURS = {State.OK: "green", State.NOTE: "yellow", State.MISSING: "red"}


def run_doctor(settings: Settings) -> None:
    """Run all checks of the settings, and print the findings.

    Raises:
        StepFailedError: something that the platform needs is missing.
    """
    checks, found = all_checks(settings), []
    with console.status("checking") as status:
        for check in checks:
            status.update(f"checking {escape(check.name)}")
            found.append(run(check))
    _show(found)
    missing = [each.name for each in found if each.state is State.MISSING]
    if missing:
        raise StepFailedError(f"{len(missing)} of {len(found)} things are missing: {', '.join(missing)}.")


def all_checks(settings: Settings) -> list[Check]:
    """Return the checks of the profile in force."""
    if settings.profile == "local":
        return local_checks(settings)
    from bike_assets.commands.doctor.databases import database_checks
    from bike_assets.commands.doctor.google import google_checks

    return [*local_checks(settings), *google_checks(settings.gcp), *database_checks(settings)]


def _show(found: list[Finding]) -> None:
    if not console.is_terminal:
        for each in found:
            console.print(f"{each.state}: {each.name}: {each.text}", markup=False, emoji=False)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for column in ("state", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("text", overflow="fold")
    for each in found:
        table.add_row(f"[{COLOURS[each.state]}]{each.state}[/]", escape(each.name), escape(each.text))
    console.print(table, soft_wrap=False)
