"""What people are told because something happened: promotions, rejections, failed runs. What messages say is in `core`.

Starting runs belongs to `sensors`. A REJECT ends its run as failed by design; it is told as a rejection.
"""

import dagster as dg

from bike_assets.automation.sensors import MINIMUM_INTERVAL_SECONDS, told_by
from bike_assets.core.messages import failed_run, promotion, rejection
from bike_assets.resources.notifier import Notifier
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

REGRESSION = dg.AssetCheckKey(dg.AssetKey("double_evaluation"), "baseline_is_not_regressed")


@dg.asset_sensor(
    asset_key=dg.AssetKey("champion"),
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of every new champion: family, version, scores, gain, and why.",
)
def announce_promotion(
    context: dg.SensorEvaluationContext,
    asset_event: dg.EventLogEntry,
    warehouse: dg.ResourceParam[Warehouse],
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> dg.SkipReason:
    """Tell of a promotion once; a champion that did not change is no news."""
    told = told_by(asset_event)
    if not told.get("changed"):
        return dg.SkipReason("the champion did not change")
    row = one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.deployment_decisions WHERE challenger_version = @version "
            "AND champion_version = @before AND decision = 'DEPLOY' ORDER BY decided_on DESC LIMIT 1",
            version=told["version"],
            before=told["replaced_version"],
        )
    )
    if row is None:
        return dg.SkipReason(f"no decision made version {told['version']} the champion")
    arrived = notifier.send(promotion(row, _page(settings, asset_event.run_id)))
    return dg.SkipReason(f"told of version {told['version']}" if arrived else "logged alone")


@dg.run_failure_sensor(
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of every failed run with its step and its error; of a rejected challenger as a rejection.",
)
def alert_on_run_failure(
    context: dg.RunFailureSensorContext,
    warehouse: dg.ResourceParam[Warehouse],
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Tell of a failed run, or of the challenger that its evaluation rejected."""
    run, page = context.dagster_run, _page(settings, context.dagster_run.run_id)
    rejected = _rejected(context.instance, run.run_id, warehouse)
    if rejected:
        notifier.send(rejection(rejected, page))
        return
    failures = context.get_step_failure_events()
    step = failures[0].step_key if failures else None
    error = failures[0].step_failure_data.error if failures else None
    while error is not None and error.cause is not None:
        error = error.cause
    notifier.send(failed_run(run.job_name, step, error.message if error else context.failure_event.message, page))


def _rejected(instance: dg.DagsterInstance, run_id: str, warehouse: Warehouse) -> dict | None:
    """The evaluation of a run that ended with a REJECT."""
    record = instance.get_latest_asset_check_evaluation_record(REGRESSION)
    evaluation = record.event.asset_check_evaluation if record and record.event else None
    if record is None or record.run_id != run_id or evaluation is None or evaluation.passed:
        return None
    return one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.deployment_decisions WHERE decision = 'REJECT' "
            "ORDER BY decided_on DESC, challenger_version DESC LIMIT 1"
        )
    )


def _page(settings: Settings, run_id: str) -> str:
    return f"http://{settings.host}:{settings.dagster_port}/runs/{run_id}"


ANNOUNCEMENTS = (announce_promotion, alert_on_run_failure)
