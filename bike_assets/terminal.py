"""What people see in the terminal: progress, tables, addresses. What is shown is collected elsewhere."""

import logging
import threading
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

if TYPE_CHECKING:
    import dagster as dg

    from bike_assets.copying.comparison import Comparison

POLL_SECONDS = 0.25
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def without_beta_warnings() -> Iterator[None]:
    """Keep to itself what Dagster says of the age of its own parameters while assets are imported."""
    import dagster as dg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


@contextmanager
def show_run(instance: "dg.DagsterInstance", run_id: str, title: str, assets: Collection[str]) -> Iterator[None]:
    """Show a run's progress while the body executes it: assets done, and the last thing that one said."""
    said = TextColumn("{task.fields[said]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    what = TextColumn("{task.description}", table_column=Column(no_wrap=True))
    columns = (SpinnerColumn(), what, BarColumn(16), TimeElapsedColumn(), said)
    progress = Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal)
    begun = time.monotonic()
    with progress:
        task = progress.add_task(title, total=len(assets), said="")
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(instance, run_id, assets, progress, task, over), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
        elapsed = time.monotonic() - begun
    console.print(f"[green]✓[/] {title} [dim]({elapsed:.1f} s)[/]")


def _watch(
    instance: "dg.DagsterInstance",
    run_id: str,
    assets: Collection[str],
    progress: Progress,
    task: TaskID,
    over: threading.Event,
) -> None:
    cursor = None
    while not over.wait(POLL_SECONDS):
        page = instance.get_records_for_run(run_id, cursor=cursor)
        cursor = page.cursor
        for record in page.records:
            entry = record.event_log_entry
            if entry.dagster_event is None:
                progress.update(task, said=f"{entry.step_key or ''}: {entry.user_message}")
            elif entry.dagster_event.is_step_start:
                progress.update(task, said=entry.step_key or "")
            elif entry.dagster_event.is_step_success and entry.step_key in assets:
                progress.advance(task)


def print_summary(status: dict[str, Any], naive: dict[str, Any], forecast: dict[str, Any] | None) -> None:
    """Print what a home holds, for people.

    Args:
        status: as `status.collect_status` gives it.
        naive: the seasonal naive's r2_baseline and r2_current, where there is a champion.
        forecast: as `status.busiest_forecasts` gives it.
    """
    counts, champion = status["raw_counts"], status["champion"]
    console.print()
    if counts:
        console.print(
            f"[bold]Counts[/]     {counts['rows']:,} rows, {counts['days']} days "
            f"({counts['first_day']} to {counts['last_day']}), {counts['counters']} counters"
        )
    if status["weather"]:
        weather = status["weather"]
        console.print(f"[bold]Weather[/]    observed to {weather['last_day']}, from {escape(weather['source'])}")
    if champion:
        console.print(
            f"[bold]Champion[/]   version {champion['version']}, {champion['family']}, "
            f"promoted on {champion['promoted_on']}"
        )
        console.print(_scores(status, naive))
    if status["drift"]:
        share, columns = status["drift"]["share"], ", ".join(status["drift"]["columns"]) or "none"
        told = "not enough data" if share is None else f"share {share:.2f} (drifted columns: {columns})"
        console.print(f"[bold]Drift[/]      {told}, 7 days to {status['drift']['day']}")
    if status["decision"]:
        decision = status["decision"]
        console.print(f"[bold]Decision[/]   {decision['decision']} on {decision['day']}: {decision['reason']}")
    if forecast:
        console.print(_forecast_table(forecast))


def _scores(status: dict[str, Any], naive: dict[str, Any]) -> Table:
    champion, week = status["champion"], status["performance"]
    table = _plain_table()
    table.add_column("R², day ahead")
    table.add_column("champion", justify="right")
    table.add_column("seasonal naive", justify="right")
    table.add_column("first champion, never retrained", justify="right")
    for label, name in (("test_baseline", "r2_baseline"), ("test_current", "r2_current")):
        table.add_row(label, f"{champion[name]:.4f}", _number(naive.get(name)), "")
    if week:
        table.add_row(
            f"7 days to {week['day']}",
            _number(week["r2"]),
            _number(week["naive_r2"]),
            _number(week["first_champion_r2"]),
        )
    return table


def _forecast_table(forecast: dict[str, Any]) -> Table:
    table = _plain_table(f"Forecast of {forecast['day']:%A} {forecast['day']}, busiest counters")
    table.add_column("counter")
    table.add_column("bikes that day", justify="right")
    table.add_column("busiest hour", justify="right")
    for row in forecast["rows"]:
        name = escape(row["counter_name"] or row["counter_id"])
        table.add_row(name, f"{row['bikes']:,.0f}", f"{row['busiest_hour']:,.0f}")
    return table


def comparison_table(found: "Sequence[Comparison]") -> Table:
    """Return what a copy found on both sides, a line a table or kind of file."""
    table = _plain_table()
    table.add_column("table", no_wrap=True)
    table.add_column("rows here", justify="right")
    table.add_column("rows there", justify="right")
    table.add_column("digest equal")
    for each in found:
        equal = "[red]no[/]" if each.wrong else "yes"
        table.add_row(each.what, f"{each.here:,}", f"{each.there:,}", equal)
    return table


class MessagesBelow(logging.Handler):
    """Prints logged messages between the lines of a table, each on one line and dim."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one, as much of it as the line has room for."""
        told = f"    ! {record.getMessage()}"
        console.print(f"[dim]{escape(told[: max(console.width, 80)])}[/]")


def _plain_table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
