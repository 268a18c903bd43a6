"""Output in the terminal: progress, tables and log messages. Collecting what to show belongs to the commands."""

import logging
import threading
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

if TYPE_CHECKING:
    import dagster as dg

POLL_SECONDS = 0.5
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def without_beta_warnings() -> Iterator[None]:
    """Suppress Dagster's warnings about its beta parameters while the body imports assets."""
    import dagster as dg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


@contextmanager
def show_run(instance: "dg.DagsterInstance", run_id: str, title: str, assets: Collection[str]) -> Iterator[None]:
    """Show a run's progress while the body executes it: the number of finished assets and the newest log message."""
    newest = TextColumn("{task.fields[message]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    title_column = TextColumn("{task.description}", table_column=Column(no_wrap=True))
    columns = (SpinnerColumn(), title_column, BarColumn(16), TimeElapsedColumn(), newest)
    progress = Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal)
    begun = time.monotonic()
    with progress:
        task = progress.add_task(title, total=len(assets), message="")
        ended = threading.Event()
        follower = threading.Thread(
            target=_follow_run, args=(instance, run_id, assets, progress, task, ended), daemon=True
        )
        # Following the event log takes a seventh of a pass's time: do it only in a terminal.
        if console.is_terminal:
            follower.start()
        try:
            yield
        finally:
            ended.set()
            if follower.ident is not None:
                follower.join()
        elapsed = time.monotonic() - begun
    console.print(f"[green]✓[/] {title} [dim]({elapsed:.1f} s)[/]")


def _follow_run(
    instance: "dg.DagsterInstance",
    run_id: str,
    assets: Collection[str],
    progress: Progress,
    task: TaskID,
    ended: threading.Event,
) -> None:
    cursor = None
    while not ended.wait(POLL_SECONDS):
        page = instance.get_records_for_run(run_id, cursor=cursor)
        cursor = page.cursor
        for record in page.records:
            entry = record.event_log_entry
            if entry.dagster_event is None:
                progress.update(task, message=f"{entry.step_key or ''}: {entry.user_message}")
            elif entry.dagster_event.is_step_start:
                progress.update(task, message=entry.step_key or "")
            elif entry.dagster_event.is_step_success and entry.step_key in assets:
                progress.advance(task)


class TimelineHandler(logging.Handler):
    """Prints log messages between the lines of a table, each dimmed and on one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message, cut to the width of the line."""
        line = f"    ! {record.getMessage()}"
        console.print(f"[dim]{escape(line[: max(console.width, 80)])}[/]")


def plain_table(title: str | None = None) -> Table:
    """Return an empty table without lines."""
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
