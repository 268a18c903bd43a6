"""`bike replay`: plays past days of a city. The real schedules and sensors decide what runs.

The replay's home belongs to `home`, simulated time to `simulated_time`, totals over the days to `core.timeline`.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.markup import escape

from bike_assets.commands.materialize.full_pass import run_full_pass
from bike_assets.commands.replay.home import STORIES, ReplayOptions, prepare
from bike_assets.core.local_time import as_date, days_between
from bike_assets.core.plots import timeline
from bike_assets.core.splits import Span
from bike_assets.core.timeline import TimelineDay, event_counts, worth_of_retraining
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.home.lock import hold_lock
from bike_assets.home.record import Home, describe_source, recorded_home
from bike_assets.resources import notifier
from bike_assets.resources.profiles import open_registry, open_warehouse
from bike_assets.resources.queries.decisions import decided_days
from bike_assets.resources.queries.evaluations import all_evaluations
from bike_assets.resources.registry import Registry
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings
from bike_assets.terminal import TimelineHandler, console

if TYPE_CHECKING:
    from bike_assets.commands.replay.simulated_time import SimulatedDaemon

SCHEDULE_TIMES = (time(10, 0), time(10, 30), time(14, 0))
"""When the schedules are due: corrections, yesterday, and on the first of a month the challenge."""
DAILY_JOBS = ("ingest", "daily")
COLUMNS = ("day", "champion", "first", "naive", "drift", "decision", "held until", "runs", "verdict", "version")
WIDTHS = (10, 9, 7, 7, 6, 17, 10, 18, 15, 7)


def run_replay(options: ReplayOptions) -> Path:
    """Make a home, play the days, print them, and return the path of the JSON file with them.

    Raises:
        BikeError: the home exists already, or a scenario is unknown; nothing was changed.
        StepFailedError: a day failed, or there is no champion.
    """
    with ExitStack() as resources:
        settings, last = prepare(options, resources)
        first = last - timedelta(days=options.days - 1)
        console.print(
            f"[bold]Replay[/]     {options.days} days, {first} to {last}, scenario {escape(options.scenario)}"
        )
        run_full_pass(settings, first - timedelta(days=1))
        home = recorded_home(settings)
        if home is None:
            raise BikeError(f"The home {settings.home_folder} could not be made.")
        if open_registry(settings).read().champion is None:
            raise StepFailedError("There is no champion to replay days with: a longer history is needed.")
        with hold_lock(home, "pass"):
            played = list(_play(settings, home, days_between(first, last)))
    written = _write(settings, home, options, played)
    _print_summary(played, written)
    undone = [str(day.day) for day in played if day.decision is None]
    if undone:
        raise StepFailedError(f"{len(undone)} days failed, the first of them {undone[0]}; see their runs.")
    return written


def _play(settings: Settings, home: Home, days: list[date]) -> Iterator[TimelineDay]:
    """Play the morning after each day, print the result, and yield it."""
    from bike_assets.commands.replay.simulated_time import simulated_daemon

    warehouse, registry = open_warehouse(settings), open_registry(settings)
    _print_row(COLUMNS, "bold")
    with _without_disk_sync(), simulated_daemon(home, settings) as daemon, _show_messages():
        before = _champion(registry)
        for day in days:
            seen, begun = _evaluations(warehouse), len(daemon.launched)
            with console.status(f"{day}"):
                _play_morning(daemon, day, ZoneInfo(home.timezone))
            played = _timeline_day(warehouse, registry, day, before, seen, _jobs_since(daemon, begun))
            _print_day(played)
            yield played
            before = played.champion_version


@contextmanager
def _without_disk_sync() -> Iterator[None]:
    """Turn SQLite's synchronous writes off: each event would wait for the disk, and a dead replay is started over."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def turn_sync_off(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", turn_sync_off)
    try:
        yield
    finally:
        event.remove(Engine, "connect", turn_sync_off)


@contextmanager
def _show_messages() -> Iterator[None]:
    """Print notifications among the days, if no webhook is set."""
    log, handler = logging.getLogger(notifier.__name__), TimelineHandler()
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True


def _play_morning(daemon: "SimulatedDaemon", day: date, zone: ZoneInfo) -> None:
    for at in SCHEDULE_TIMES:
        moment = datetime.combine(day + timedelta(days=1), at, zone)
        daemon.tick_schedules(moment)
        daemon.settle(moment)


def _jobs_since(daemon: "SimulatedDaemon", begun: int) -> list[tuple[str, bool]]:
    """Return the jobs that ran since, and whether each succeeded."""
    runs = [daemon.instance.get_run_by_id(run_id) for run_id in daemon.launched[begun:]]
    return [(run.job_name, run.is_success) for run in runs if run is not None]


def _champion(registry: Registry) -> int | None:
    champion = registry.read().champion
    return champion.version if champion else None


def _evaluations(warehouse: Warehouse) -> list[str]:
    """Return all verdicts so far, in order."""
    return [each.decision for each in reversed(all_evaluations(warehouse))]


def _timeline_day(
    warehouse: Warehouse,
    registry: Registry,
    day: date,
    before: int | None,
    seen: list[str],
    jobs: list[tuple[str, bool]],
) -> TimelineDay:
    row = next(iter(decided_days(warehouse, Span(day, day))), {})
    now, verdicts = _champion(registry), _evaluations(warehouse)[len(seen) :]
    return TimelineDay(
        day,
        row.get("r2"),
        row.get("first_r2"),
        row.get("naive_r2"),
        row.get("drift_share"),
        row.get("decision"),
        as_date(row["held_until"]) if row.get("held_until") is not None else None,
        verdicts[-1] if verdicts else None,
        now,
        tuple(job for job, _ in jobs if job not in DAILY_JOBS),
        tuple(job for job, ended_well in jobs if not ended_well),
        promoted=now != before,
    )


def _print_day(day: TimelineDay) -> None:
    style = "green" if day.promoted else "yellow" if day.runs else "red" if day.failed_runs else ""
    figures = (day.r2, day.first_champion_r2, day.naive_r2)
    _print_row(
        (
            str(day.day),
            *(_number(figure, ".3f") for figure in figures),
            _number(day.drift_share, ".2f"),
            day.decision or "not done",
            str(day.held_until or ""),
            " ".join(day.runs),
            day.evaluation or "",
            f"{day.champion_version or '-'}{' new' if day.promoted else ''}",
        ),
        style,
    )


def _number(figure: float | None, form: str) -> str:
    return "-" if figure is None else format(figure, form)


def _print_row(cells: tuple[str, ...], style: str) -> None:
    line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
    console.print(line, style=style, markup=False)


def _write(settings: Settings, home: Home, options: ReplayOptions, played: list[TimelineDay]) -> Path:
    """Write the days as JSON and as a picture beside it; return the path of the JSON."""
    name = options.scenario if options.scenario in STORIES else "replay"
    path = home.folder / f"{name}.json"
    content = {"scenario": options.scenario, "source": home.source, "days": [day.as_json() for day in played]}
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    bounds = {"critical": settings.r2_critical, "warning": settings.r2_warning}
    timeline(played, bounds, f"{options.scenario}: {describe_source(home)[:100]}").savefig(path.with_suffix(".png"))
    return path


def _print_summary(played: list[TimelineDay], written: Path) -> None:
    console.print()
    for what, total in event_counts(played).items():
        console.print(f"[bold]{what:<10}[/] {total}")
    console.print(f"[bold]Worth[/]      {worth_of_retraining(played)}")
    console.print(f"[bold]Written[/]    {escape(str(written))} and {written.stem}.png")
    console.print(f"[bold]Look[/]       BIKE_HOME={escape(str(written.parent))} make run shows it in the Dagster UI")
