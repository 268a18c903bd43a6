"""Marks runs of a home's Dagster instance as failed whose process died."""

import dagster as dg

STEP_TAG = "bike/step"
"""Tag of every run that a pass executes in its own process."""
ACTIVE_STATUSES = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def fail_abandoned_runs(instance: dg.DagsterInstance, only_steps: bool) -> int:
    """Mark unfinished runs of dead processes as failed, free their concurrency slots, and return their number.

    Args:
        instance: the Dagster instance.
        only_steps: whether to consider only the runs of passes, because a daemon may be executing other runs.
    """
    abandoned = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES))
        if STEP_TAG in run.tags or not only_steps
    ]
    for run in abandoned:
        instance.report_run_failed(run, "its process ended before the run did")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(abandoned)
