"""Dagster's default launcher, extended with a health check of each run's process for Dagster's run monitoring.

Without the check, a run whose process died together with its code server would keep the status STARTED forever and
block every later training.
"""

from contextlib import suppress

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs as Dagster's default launcher does, and reports runs whose process died."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring can check a run's process: always."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check the process that the run's log names; a run without one was not started here and counts as running."""
        started = self._process_of(run)
        if started is None or _is_alive(*started):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {started[0]} no longer exists")

    def _process_of(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """Return the reported process id and the time of the report; None for a run of `bike materialize`."""
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            if event is not None and event.message and event.message.startswith("Started process for run"):
                return int(str(event.engine_event_data.metadata["pid"].value)), entry.timestamp
        return None


def _is_alive(pid: int, reported_at: float) -> bool:
    """Whether the process still runs; a process that started after the report only reuses the id."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process.create_time() <= reported_at and process.status() != psutil.STATUS_ZOMBIE
    return False
