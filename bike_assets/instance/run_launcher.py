"""Dagster's launcher, and whether the process that it started for a run is still there: run monitoring asks.

Without that, a run whose process died together with the server that had spawned it would stay under way for ever, and
hold back every training after it.
"""

from contextlib import suppress

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs as Dagster does by default, and tells of those that died."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Say that it can be asked."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Look for the process that the run's log names; a run that names none may be another's and is left alone."""
        started = self._process_of(run)
        if started is None or _is_alive(*started):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {started[0]} is no longer there")

    def _process_of(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """The process id that the launched process reported, and when; None for a run of `bike materialize`."""
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            if event is not None and event.message and event.message.startswith("Started process for run"):
                return int(str(event.engine_event_data.metadata["pid"].value)), entry.timestamp
        return None


def _is_alive(pid: int, reported_at: float) -> bool:
    """Whether a process is at work that had begun by then: a later one has only got the same id."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process.create_time() <= reported_at and process.status() != psutil.STATUS_ZOMBIE
    return False
