"""The version that serves. `evaluation` or a user decides whether it changes; this module promotes it.

Replacing summary.json is the commit. MLflow's alias, the audit row and the materialization follow it. If the process
dies in between, the next run completes them: `core.promotion` compares the audit with the registry.
"""

from datetime import date

import dagster as dg
from pydantic import Field

from bike_assets.core.promotion import Choice, Step, next_step
from bike_assets.core.schemas import DEPLOYMENTS
from bike_assets.core.summary import ModelEntry
from bike_assets.errors import BikeError
from bike_assets.resources.audit import append
from bike_assets.resources.queries.counts import whole_days
from bike_assets.resources.queries.deployments import newest_deployment
from bike_assets.resources.queries.evaluations import all_evaluations
from bike_assets.resources.registry import Registry
from bike_assets.resources.tracking import CHALLENGER, CHAMPION, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


class Promotion(dg.Config):
    """A promotion by hand, for example back to an older version. Without a version, the newest evaluation decides."""

    version: int | None = Field(None, ge=1, description="Number of the version to promote.")
    by: str = Field("", description="Who promotes it.")
    reason: str = Field("", description="Why.")


@dg.asset(deps=["double_evaluation"], pool="champion", kinds={"mlflow", "json"})
def champion(
    context: dg.AssetExecutionContext,
    config: Promotion,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    mlflow: dg.ResourceParam[Tracking],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The version that serves. DEPLOY in the newest evaluation, or a promotion by hand, replaces it; MLflow follows."""
    asked = Choice(config.version, config.by, config.reason) if config.version is not None else None
    deployed = newest_deployment(warehouse)
    before, recorded = _materialized_version(context.instance), int(deployed["version"]) if deployed else 0
    try:
        step = next_step(asked, all_evaluations(warehouse), registry.read(), recorded)
    except BikeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if step.promotes:
        registry.promote(step.version, str(_newest_whole_day(warehouse, settings)), by_hand=asked is not None)
    now = registry.read().champion
    if now is None or now.version != step.version:
        raise dg.Failure(f"summary.json changed while version {step.version} was promoted: run this again")
    if mlflow.set_alias(CHAMPION, now.version):
        context.log.info(f"MLflow's alias champion now names version {now.version}")
    if step.records:
        _record_deployment(context, warehouse, settings, now, recorded, step.choice)
    if step.choice:
        mlflow.set_alias(CHALLENGER, None)
    return _result(now, step, before, mlflow.run_url(now.run_id, settings.mlflow_address))


def _result(now: ModelEntry, step: Step, before: int, page: str) -> dg.MaterializeResult:
    """Return the materialization; `before` is the version of the one before it."""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(now.sha256[:16]),
        metadata={
            "version": now.version,
            "family": now.family,
            "promoted_on": now.promoted_on or "",
            "changed": before != now.version,
            "replaced_version": before if before != now.version else 0,
            "r2_test_baseline": now.scores["test_baseline"]["r2"],
            "r2_test_current": now.scores["test_current"]["r2"],
            "mlflow_run": dg.MetadataValue.url(page),
            **({"decided_by": step.choice.decided_by, "reason": step.choice.reason} if step.choice else {}),
        },
    )


def _materialized_version(instance: dg.DagsterInstance) -> int:
    """Return the version in the newest materialization; 0 before the first."""
    event = instance.get_latest_materialization_event(dg.AssetKey("champion"))
    made = event.asset_materialization if event else None
    return int(made.metadata["version"].value) if made else 0  # type: ignore[arg-type]


def _newest_whole_day(warehouse: Warehouse, settings: Settings) -> date:
    days = whole_days(warehouse, settings.timezone)
    if days is None:
        raise dg.Failure("there are no whole days of counts", allow_retries=False)
    return days.last


def _record_deployment(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    settings: Settings,
    now: ModelEntry,
    replaced: int,
    choice: Choice | None,
) -> None:
    row = {
        "deployed_on": date.fromisoformat(now.promoted_on) if now.promoted_on else None,
        "version": now.version,
        "family": now.family,
        "replaced_version": replaced,
        "decided_by": choice.decided_by if choice else "unknown",
        "reason": choice.reason if choice else "found in summary.json without a record of its promotion",
    }
    append(
        warehouse,
        DEPLOYMENTS,
        [row],
        run_id=context.run.run_id,
        settings=settings,
        data_versions={"model": now.sha256[:16]},
    )
