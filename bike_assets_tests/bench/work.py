"""The child that does a part of a pass in the home that the environment names. Measuring it is `children`' business.

Run as `python -m bike_assets_tests.bench.work <part> ... <answer>`; it writes its results to the answer file.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bike_assets.commands.materialize.plan import Plan

DRIFT = "drift_report"


def last_whole_day(_: argparse.Namespace) -> dict[str, Any]:
    """Return the last local day that the source has to its last hour, and where a home begins that ends before it."""
    from bike_assets.core.local_time import hours_of
    from bike_assets.resources.counts_source import open_source
    from bike_assets.resources.home_source import outline_home
    from bike_assets.settings import load_settings

    settings = load_settings()
    home = outline_home(settings)
    source = open_source(home, settings)
    day = source.newest_day()
    if day is None:
        raise SystemExit("the source has no day")
    hours = source.read(day, day).rows["counted_at"].nunique()
    whole = day if hours == len(hours_of(day, home.timezone)) else day - timedelta(days=1)
    first_day = outline_home(settings, whole - timedelta(days=1)).first_day
    return {"day": whole.isoformat(), "first_day": first_day.isoformat()}


def next_step(options: argparse.Namespace) -> dict[str, Any]:
    """Run the next step of the plan, which has to be the one that materializes an asset."""
    with _plan(options.until) as plan:
        step = next(plan.steps())
        if options.asset not in step.assets:
            raise SystemExit(f"the next step is not that of {options.asset}: {step.title}")
        return {"run_seconds": _seconds_of_run(plan, step)}


def remaining_steps(options: argparse.Namespace) -> dict[str, Any]:
    """Run what is left of the plan."""
    with _plan(options.until) as plan:
        return {"run_seconds": sum(_seconds_of_run(plan, step) for step in plan.steps())}


def daily_pass(options: argparse.Namespace) -> dict[str, Any]:
    """Run the daily job for one day, with the drift report or without."""
    with _plan(options.day) as plan:
        from bike_assets.commands.materialize.plan import Step
        from bike_assets.core.splits import Span

        assets = tuple(name for name in plan.assets_of("daily") if options.with_drift or name != DRIFT)
        step = Step(f"the day {options.day}", "daily", assets, Span(options.day, options.day))
        return {"run_seconds": _seconds_of_run(plan, step)}


def results_of_day(options: argparse.Namespace) -> dict[str, Any]:
    """Return how many forecasts, scores and drift shares the home has of one day."""
    queries = {
        "forecasts": "SELECT COUNT(*) AS n FROM bike_traffic_predictions.predictions WHERE issued_on = @day",
        "scores": "SELECT COUNT(r2) AS n FROM monitoring_audit.performance_metrics WHERE day = @day",
        "drift_shares": "SELECT COUNT(drift_share) AS n FROM monitoring_audit.drift_metrics WHERE day = @day",
    }
    with _plan(options.day) as plan:
        return {name: int(plan.warehouse.query(sql, day=options.day)["n"].iloc[0]) for name, sql in queries.items()}


def rows(options: argparse.Namespace) -> dict[str, Any]:
    """Return how many counts the home has."""
    with _plan(options.until) as plan:
        counted = plan.warehouse.query("SELECT COUNT(*) AS n FROM bike_traffic_raw.comptage_velo")
        return {"rows": int(counted["n"].iloc[0])}


def _seconds_of_run(plan: "Plan", step: Any) -> float:
    began = time.perf_counter()
    plan.run(step)
    return time.perf_counter() - began


@contextmanager
def _plan(until: date) -> "Iterator[Plan]":
    """Open the home, claim it and plan it, as a full pass does."""
    from bike_assets.commands.materialize.full_pass import load_definitions
    from bike_assets.instance.home_instance import dagster_instance
    from bike_assets.resources.home_source import claim_home
    from bike_assets.settings import load_settings

    settings = load_settings()
    home = claim_home(settings, until)
    with dagster_instance(home, settings) as instance:
        definitions = load_definitions(settings)
        from bike_assets.commands.materialize.plan import Plan

        yield Plan(definitions, instance, home, settings, until)


def main() -> None:
    """Do the part that the command line names."""
    options = _parser().parse_args()
    options.answer.write_text(json.dumps(options.part(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(required=True)
    days = parts.add_parser("last-whole-day")
    step = parts.add_parser("next-step")
    step.add_argument("asset")
    step.add_argument("until", type=date.fromisoformat)
    rest = parts.add_parser("remaining-steps")
    rest.add_argument("until", type=date.fromisoformat)
    counted = parts.add_parser("rows")
    counted.add_argument("until", type=date.fromisoformat)
    day = parts.add_parser("daily-pass")
    day.add_argument("day", type=date.fromisoformat)
    day.add_argument("--with-drift", action="store_true")
    left = parts.add_parser("results-of-day")
    left.add_argument("day", type=date.fromisoformat)
    for part, does in (
        (days, last_whole_day),
        (step, next_step),
        (rest, remaining_steps),
        (counted, rows),
        (day, daily_pass),
        (left, results_of_day),
    ):
        part.add_argument("answer", type=Path)
        part.set_defaults(part=does)
    return parser


if __name__ == "__main__":
    main()
