"""Runs of a home's Dagster instance that died with their process."""

import dagster as dg

STEP_TAG = "bike/step"
"""On every run that a pass starts in its own process."""
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_abandoned_runs(instance: dg.DagsterInstance, only_steps: bool) -> int:
    """Mark runs that died with their process as failed, and free what they held; return how many there were.

    Args:
        instance: the Dagster instance.
        only_steps: look at the steps of passes alone, because a daemon may be at work on other runs.
    """
    abandoned = [
        run for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)) if STEP_TAG in run.tags or not only_steps
    ]
    for run in abandoned:
        instance.report_run_failed(run, "its process ended before the run did")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(abandoned)
