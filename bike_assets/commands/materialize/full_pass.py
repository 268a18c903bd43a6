"""One full pass of `bike materialize`: claim the home, run the missing steps, print a summary.

`plan` finds the missing steps; `terminal` shows their progress.
"""

from datetime import date
from typing import TYPE_CHECKING

from bike_assets.errors import BadDaysError, BikeError
from bike_assets.home.lock import hold_lock
from bike_assets.home.record import Home, describe_source
from bike_assets.instance.home_instance import dagster_instance
from bike_assets.resources.home_source import claim_home, outline_home, yesterday
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


def run_full_pass(settings: Settings, until: date | None, alone: bool = False) -> None:
    """Run the missing steps of the home in the settings, and show their progress.

    Args:
        settings: the settings in force.
        until: the last local day; by default the last one that the source has.
        alone: whether no daemon works on the home. If so, every unfinished run has died and is marked as failed.

    Raises:
        BikeError: settings, home or input cannot be used; nothing was changed.
        StepFailedError: a step failed; the results of earlier steps remain.
        BadDaysError: all steps ran, but some days failed a blocking check.
    """
    from rich.markup import escape

    from bike_assets.commands.status import (
        busiest_forecasts,
        collect_status,
        describe_rows,
        naive_scores,
        print_summary,
    )
    from bike_assets.terminal import console

    home = outline_home(settings, until)
    refuse_days_outside(home, until)
    with hold_lock(home, "pass"):
        home = claim_home(settings, until)
        console.print(f"[bold]Source[/]     {escape(describe_source(home))}")
        with dagster_instance(home, settings) as instance:
            note, bad_days = _run_steps(settings, home, instance, until, alone)
    print_summary(collect_status(settings), naive_scores(settings), busiest_forecasts(settings))
    rows = describe_rows(settings)
    if rows:
        console.print(f"\n[bold]Rows[/]       {escape(rows)}")
    if note:
        console.print(f"\n[yellow]{note}[/]")
    if bad_days:
        raise BadDaysError("\n".join(bad_days))


def _run_steps(
    settings: Settings, home: Home, instance: "dg.DagsterInstance", until: date | None, alone: bool
) -> tuple[str | None, list[str]]:
    """Run the missing steps; return why no model can be trained, if so, and what is wrong with bad days."""
    definitions = load_definitions(settings)
    from bike_assets.commands.materialize.plan import Plan
    from bike_assets.instance.runs import fail_abandoned_runs
    from bike_assets.terminal import console, show_run

    plan = Plan(definitions, instance, home, settings, until)
    abandoned = fail_abandoned_runs(instance, only_steps=not alone)
    if abandoned:
        console.print(f"[dim]{abandoned} run(s) that died with their process are marked as failed[/]")
    done, bad_days = 0, []
    for step in plan.steps():
        try:
            with show_run(instance, step.run_id, step.title, step.assets):
                plan.run(step)
        except BadDaysError as error:
            bad_days.append(str(error))
        done += 1
    if not done:
        console.print("Nothing to do: this home is up to date.")
    return plan.not_enough_days(), bad_days


def load_definitions(settings: Settings) -> "dg.Definitions":
    """Load the code location without Dagster's beta warnings."""
    from bike_assets.terminal import without_beta_warnings

    with without_beta_warnings():
        from bike_assets.build import build_defs

        return build_defs(settings=settings)


def refuse_days_outside(home: Home, until: date | None) -> None:
    """Refuse a last day that the home's source does not have.

    Raises:
        BikeError: `until` is before the home's first day, or after the source's last day.
    """
    newest = home.last_day or yesterday(home.timezone)
    if until is not None and not home.first_day <= until <= newest:
        raise BikeError(f"--until {until} is outside of this home's days, {home.first_day} to {newest}.")
