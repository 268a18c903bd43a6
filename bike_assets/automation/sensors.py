"""Sensors that start runs after events. A sensor turns a recorded decision into a run; it decides nothing itself."""

from typing import Any

import dagster as dg
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG, WILL_RETRY_TAG

from bike_assets.automation.jobs import promote, refresh, retrain
from bike_assets.core.decisions import RetrainDecision
from bike_assets.core.local_time import as_date
from bike_assets.resources.queries.counts import whole_days
from bike_assets.resources.queries.decisions import newest_decision
from bike_assets.resources.queries.deployments import newest_deployment
from bike_assets.resources.registry import Registry
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import CAUSE_TAG, TRIGGER_TAG
from bike_assets.settings import Settings

MINIMUM_INTERVAL_SECONDS = 30
DECIDED_ON_TAG, AGAINST_TAG = "bike/decided_on", "bike/against"
MAX_REQUESTS = 3
ACTIVE_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.asset_sensor(
    asset_key=dg.AssetKey("retrain_decision"),
    job=retrain,
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a retrain if the newest day's decision asks for one; once for each day, decision and champion.",
)
def retrain_on_decision(
    context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry, warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """Start a retrain if the newest decision asks for one, no cooldown holds it, and no bootstrap made it."""
    row = newest_decision(warehouse)
    if row is None:
        return dg.SkipReason("nothing was decided yet")
    day, decision = as_date(row["day"]), RetrainDecision(row["decision"])
    if not decision.asks_for_training:
        return dg.SkipReason(f"{day}: {decision}, {row['reason']}")
    if not row["acts"]:
        return dg.SkipReason(f"{day}: {decision}, but the day lies before this home began")
    if row["held_until"] is not None:
        return dg.SkipReason(f"{day}: {decision}, held until {as_date(row['held_until'])} by the cooldown")
    figures = {name: f"{row[name]:.4f}" for name in ("r2", "rmse", "drift_share") if row[name] is not None}
    return dg.RunRequest(
        run_key=f"retrain-{day}-{decision}-{int(row['champion_version'])}",
        tags={
            TRIGGER_TAG: str(decision),
            CAUSE_TAG: row["reason"],
            DECIDED_ON_TAG: str(day),
            AGAINST_TAG: str(int(row["champion_version"])),
            **{f"bike/{name}": figure for name, figure in figures.items()},
        },
    )


@dg.asset_sensor(
    asset_key=dg.AssetKey("champion"),
    job=refresh,
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After a promotion, makes the new champion's forecasts, and its hindcasts of the week before.",
)
def refresh_on_promotion(
    context: dg.SensorEvaluationContext,
    asset_event: dg.EventLogEntry,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.RunRequest | dg.SkipReason:
    """Start one refresh per promotion. A home's first champion needs none: the first pass made its hindcasts."""
    deployed = newest_deployment(warehouse)
    if deployed is None or not deployed["replaced_version"]:
        return dg.SkipReason("the champion did not change")
    newest = whole_days(warehouse, settings.timezone)
    if newest is None:
        return dg.SkipReason("there are no whole days to forecast from")
    version, replaced = int(deployed["version"]), int(deployed["replaced_version"])
    return dg.RunRequest(
        run_key=f"refresh-{version}-promoted-by-{deployed['run_id']}",
        partition_key=newest.last.isoformat(),
        tags={CAUSE_TAG: f"version {version} replaced version {replaced}"},
    )


@dg.sensor(
    job=promote,
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Completes a promotion whose process died after summary.json was replaced: MLflow, audit, refresh.",
)
def finish_on_broken_promotion(
    context: dg.SensorEvaluationContext, registry: dg.ResourceParam[Registry]
) -> dg.RunRequest | dg.SkipReason:
    """Detect a champion that was promoted but never materialized, when no retrain and no promotion is running."""
    now = registry.read().champion
    event = context.instance.get_latest_materialization_event(dg.AssetKey("champion"))
    if now is None or event is None or metadata_of(event).get("version") == now.version:
        return dg.SkipReason("the champion is already materialized")
    if has_active_run(context.instance, retrain.name) or has_active_run(context.instance, promote.name):
        return dg.SkipReason("a retrain or a promotion is queued or running")
    return dg.RunRequest(
        run_key=f"finish-{now.version}-after-{event.run_id}",
        tags={CAUSE_TAG: f"the promotion of version {now.version} was interrupted"},
    )


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a decided retrain again if its process died and Dagster could not retry it.",
)
def retrain_on_lost_run(
    context: dg.SensorEvaluationContext, registry: dg.ResourceParam[Registry]
) -> dg.RunRequest | dg.SkipReason:
    """Request the newest retrain again if its process died. Skip a retrain whose step failed, or that died 3 times."""
    run = next(iter(context.instance.get_runs(dg.RunsFilter(job_name=retrain.name), limit=1)), None)
    decided_on = run.tags.get(DECIDED_ON_TAG) if run else None
    if run is None or decided_on is None or run.status != dg.DagsterRunStatus.FAILURE:
        return dg.SkipReason("the newest retrain was not lost")
    if run.tags.get(WILL_RETRY_TAG) != "false" or run.tags.get(RUN_FAILURE_REASON_TAG) == "STEP_FAILURE":
        return dg.SkipReason("a step of the newest retrain failed, or Dagster retries it")
    now = registry.read().champion
    if now is None or str(now.version) != run.tags.get(AGAINST_TAG):
        return dg.SkipReason("the champion has changed since")
    requested = [
        each
        for each in context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, tags={DECIDED_ON_TAG: decided_on}))
        if each.parent_run_id is None
    ]
    if len(requested) >= MAX_REQUESTS:
        return dg.SkipReason(f"the retrain decided on {decided_on} was lost {len(requested)} times: no more requests")
    return dg.RunRequest(
        run_key=f"again-after-{run.run_id}",
        tags={name: value for name, value in run.tags.items() if name.startswith("bike/")},
    )


def has_active_run(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of a job is queued or running."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=ACTIVE_STATUSES), limit=1))


def metadata_of(asset_event: dg.EventLogEntry) -> dict[str, Any]:
    """Return a materialization's metadata, by name."""
    made = asset_event.asset_materialization
    return {name: value.value for name, value in made.metadata.items()} if made else {}


SENSORS = (retrain_on_decision, refresh_on_promotion, finish_on_broken_promotion, retrain_on_lost_run)
