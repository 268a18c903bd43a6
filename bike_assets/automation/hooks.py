"""Hooks that run at the end of each step of a job."""

import warnings
from collections.abc import Sequence

import dagster as dg


def _end_mlflow_run(context: dg.HookContext, events: Sequence[dg.DagsterEvent]) -> dg.HookExecutionResult:
    # The import takes seconds because it loads MLflow. Only runs of jobs with the hook pay for it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        from dagster_mlflow import end_mlflow_on_run_finished as dagster_mlflow_hook
    return dagster_mlflow_hook.hook_fn(context, events)


end_mlflow_on_run_finished = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_mlflow_run, required_resource_keys={"mlflow"}
)
"""dagster-mlflow's hook: when a step fails, it ends the step's MLflow run as failed."""
