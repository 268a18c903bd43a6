"""One full pass, as `bike materialize` does it: claim the home, run what the plan says is missing, show a summary.

What is missing is told by `plan`, what the terminal shows by `terminal`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bike_assets.errors import BadDaysError, BikeError
from bike_assets.home import Home, describe_source
from bike_assets.resources.home_source import claim_home, outline_home, yesterday
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

REPOSITORY = Path(__file__).parent.parent
_TAKEN_FROM_ENVIRONMENT = re.compile(r"^ *env: (\w+)$", re.MULTILINE)


def run_full_pass(settings: Settings, until: date | None, alone: bool = False) -> None:
    """Do what is missing in the home that the settings name, visibly.

    Args:
        settings: the settings in force.
        until: the last local day to look at; the last one that the source has by default.
        alone: whether no daemon is at work on the home: whatever run is not at its end died then.

    Raises:
        BikeError: settings, home or input cannot be used; nothing was changed.
        StepFailedError: a step failed; what was done before it stands.
    """
    from rich.markup import escape

    from bike_assets.status import busiest_forecasts, collect_status, naive_scores, rows_left_out
    from bike_assets.terminal import console, print_summary

    home = outline_home(settings, until)
    refuse_days_outside(home, until)
    with only_one(home, "pass"):
        home = claim_home(settings, until)
        console.print(f"[bold]Source[/]     {escape(describe_source(home))}")
        with dagster_instance(home, settings) as instance:
            note, bad_days = _run_steps(settings, home, instance, until, alone)
    print_summary(collect_status(settings), naive_scores(settings), busiest_forecasts(settings))
    left_out = rows_left_out(settings)
    if left_out:
        console.print(
            f"[yellow]{left_out:,} published rows cannot be used; rejected_counts has each with its reason[/]"
        )
    if note:
        console.print(f"\n[yellow]{note}[/]")
    if bad_days:
        raise BadDaysError("\n".join(bad_days))


def _run_steps(
    settings: Settings, home: Home, instance: "dg.DagsterInstance", until: date | None, alone: bool
) -> tuple[str | None, list[str]]:
    """Run what is missing; return why no model could be trained, if so, and what is wrong with bad days."""
    definitions = load_definitions(settings)
    from bike_assets.plan import Plan, end_abandoned_runs
    from bike_assets.terminal import console, show_run

    plan = Plan(definitions, instance, home, settings, until)
    abandoned = end_abandoned_runs(instance, only_steps=not alone)
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
    """Load the code location without Dagster's remarks on the age of its own parameters."""
    from bike_assets.terminal import without_beta_warnings

    with without_beta_warnings():
        from bike_assets.build import build_defs

        return build_defs(settings=settings)


def refuse_days_outside(home: Home, until: date | None) -> None:
    """Refuse a last day that the home's source does not have.

    Raises:
        BikeError: `until` lies before the home's first day, or the source has not come to it yet.
    """
    newest = home.last_day or yesterday(home.timezone)
    if until is not None and not home.first_day <= until <= newest:
        raise BikeError(f"--until {until} is outside of this home's days, {home.first_day} to {newest}.")


@contextmanager
def only_one(home: Home, what: str) -> Iterator[None]:
    """Hold the home's lock of that name for the time of the body.

    Raises:
        BikeError: another process holds it, or the home cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        home.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home.folder / f".{what}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise BikeError(f"Another {what} is at work in {home.folder}: wait for it, or end it with Ctrl-C.") from None
    except OSError as error:
        raise BikeError(f"BIKE_HOME={home.folder} cannot be written to: {error.strerror}.") from None
    try:
        yield
    finally:
        lock.release()


def prepare_dagster_home(home: Home, settings: Settings) -> Path:
    """Put the instance's file where Dagster looks for it and return DAGSTER_HOME.

    Raises:
        BikeError: the file takes something from the environment that is not set there, or a package is missing.
    """
    file = REPOSITORY / ("deploy/dagster.yaml" if settings.runs_are_on_postgres else "dagster.yaml")
    unset = sorted(set(_TAKEN_FROM_ENVIRONMENT.findall(file.read_text())) - set(os.environ))
    if unset:
        raise BikeError(f"BIKE_POSTGRES_HOST needs {' and '.join(unset)} beside it, as deploy/compose.yaml sets them.")
    if settings.runs_are_on_postgres and find_spec("dagster_postgres") is None:
        raise BikeError("BIKE_POSTGRES_HOST needs the packages that make setup-gcp installs.")
    home.dagster.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, home.dagster / "dagster.yaml")
    return home.dagster


@contextmanager
def dagster_instance(home: Home, settings: Settings) -> "Iterator[dg.DagsterInstance]":
    """Open the home's Dagster instance.

    Raises:
        BikeError: what the instance takes from the environment is not set there.
    """
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(home, settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


def make_dagster_databases(home: Home, settings: Settings) -> None:
    """Make what a new home lacks, before several processes do so at once: each of them would stamp the same database.

    Raises:
        BikeError: what the instance takes from the environment is not set there.
    """
    with dagster_instance(home, settings) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
