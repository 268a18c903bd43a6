"""What happens at the end of each step of a job. When jobs run is in `schedules` and `sensors`."""

import warnings
from collections.abc import Sequence

import dagster as dg


def _end_mlflow_run(context: dg.HookContext, events: Sequence[dg.DagsterEvent]) -> dg.HookExecutionResult:
    # Importing it takes seconds, MLflow comes along: only a run of a job that has the hook pays for that.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        from dagster_mlflow import end_mlflow_on_run_finished as theirs
    return theirs.hook_fn(context, events)


end_mlflow_on_run_finished = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_mlflow_run, required_resource_keys={"mlflow"}
)
"""dagster-mlflow's hook: a step that fails ends the MLflow run that it had opened as failed."""
