"""The version that serves. `evaluation` or a person decides whether it changes; this module promotes it.

Replacing summary.json is the commit. MLflow's alias, the audit row and the materialization follow it. If the process
dies in between, the next run completes them: it compares each with the registry, not with the run before.
"""

from dataclasses import dataclass
from datetime import date

import dagster as dg
from pydantic import Field

from bike_assets.core.decisions import Verdict
from bike_assets.core.schemas import DEPLOYMENTS
from bike_assets.core.summary import ModelEntry
from bike_assets.resources.audit import append
from bike_assets.resources.queries import whole_days
from bike_assets.resources.registry import Registry
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.tracking import CHALLENGER, CHAMPION, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

BY_EVALUATION = "evaluation"


class Promotion(dg.Config):
    """A promotion by hand, for example back to an older version. Without a version, the newest evaluation decides."""

    version: int | None = Field(None, ge=1, description="Number of the version that is to serve.")
    by: str = Field("", description="Who wants it.")
    reason: str = Field("", description="Why.")


@dataclass(frozen=True)
class Choice:
    """A version to promote, who decided it, and why."""

    version: int
    decided_by: str
    reason: str


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
    told, recorded = _told_version(context.instance), _recorded_version(warehouse)
    choice = _by_hand(config, registry, recorded) if config.version is not None else _by_evaluation(warehouse, registry)
    if choice:
        newest = whole_days(warehouse, settings.timezone)
        if newest is None:
            raise dg.Failure("there are no whole days of counts", allow_retries=False)
        registry.promote(choice.version, str(newest.last), by_hand=config.version is not None)
    now = registry.read().champion
    if now is None:
        raise dg.Failure(f"there is no champion: {_why_none(warehouse)}", allow_retries=False)
    if mlflow.set_alias(CHAMPION, now.version):
        context.log.info(f"MLflow's alias champion now names version {now.version}")
    if recorded != now.version:
        choice = choice or _last_deploy(warehouse, now.version)
        _write_down(context, warehouse, settings, now, recorded, choice)
    if choice and choice.version == now.version:
        mlflow.set_alias(CHALLENGER, None)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(now.sha256[:16]),
        metadata={
            "version": now.version,
            "family": now.family,
            "promoted_on": now.promoted_on or "",
            "changed": told != now.version,
            "replaced_version": told if told != now.version else 0,
            "r2_test_baseline": now.scores["test_baseline"]["r2"],
            "r2_test_current": now.scores["test_current"]["r2"],
            "mlflow_run": dg.MetadataValue.url(mlflow.run_url(now.run_id, settings.mlflow_address)),
            **({"decided_by": choice.decided_by, "reason": choice.reason} if choice else {}),
        },
    )


def _told_version(instance: dg.DagsterInstance) -> int:
    """Return the version in the newest materialization; 0 before the first."""
    event = instance.get_latest_materialization_event(dg.AssetKey("champion"))
    made = event.asset_materialization if event else None
    return int(made.metadata["version"].value) if made else 0  # type: ignore[arg-type]


def _recorded_version(warehouse: Warehouse) -> int:
    """Return the version of the newest recorded deployment; 0 before the first."""
    row = one_row(warehouse.query("SELECT version FROM monitoring_audit.deployments ORDER BY recorded_at DESC LIMIT 1"))
    return int(row["version"]) if row else 0


def _by_evaluation(warehouse: Warehouse, registry: Registry) -> Choice | None:
    """Return the challenger of the newest evaluation against the present champion, if the verdict is DEPLOY.

    A version that a person withdrew returns only by hand.
    """
    summary = registry.read()
    row = one_row(
        warehouse.query(
            "SELECT challenger_version, decision, reason FROM monitoring_audit.evaluations "
            "WHERE champion_version = @against ORDER BY recorded_at DESC LIMIT 1",
            against=summary.champion.version if summary.champion else 0,
        )
    )
    if row is None or row["decision"] != Verdict.DEPLOY:
        return None
    chosen = summary.entry(int(row["challenger_version"]))
    may_serve = chosen is not None and not chosen.withdrawn
    return Choice(int(row["challenger_version"]), BY_EVALUATION, row["reason"]) if may_serve else None


def _by_hand(config: Promotion, registry: Registry, recorded: int) -> Choice:
    """Return the version that a person asks for.

    Raises:
        dg.Failure: there is no such version, it serves already, or `by` or `reason` is empty.
    """
    chosen = registry.read().entry(config.version or 0)
    if chosen is None:
        raise dg.Failure(f"there is no version {config.version} to promote", allow_retries=False)
    if chosen.is_champion and recorded == chosen.version:
        raise dg.Failure(f"version {config.version} is the champion already", allow_retries=False)
    if not config.by.strip() or not config.reason.strip():
        raise dg.Failure("a promotion by hand needs `by` and `reason` in its config", allow_retries=False)
    return Choice(chosen.version, config.by.strip(), config.reason.strip())


def _last_deploy(warehouse: Warehouse, version: int) -> Choice | None:
    """Return the evaluation that led to a champion whose promotion was not recorded, because the process died."""
    row = one_row(
        warehouse.query(
            "SELECT reason FROM monitoring_audit.evaluations WHERE challenger_version = @version "
            "AND decision = @deploy ORDER BY recorded_at DESC LIMIT 1",
            version=version,
            deploy=str(Verdict.DEPLOY),
        )
    )
    return Choice(version, BY_EVALUATION, row["reason"]) if row else None


def _write_down(
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
        "reason": choice.reason if choice else "found in summary.json, whose promotion nobody wrote down",
    }
    append(
        warehouse,
        DEPLOYMENTS,
        [row],
        run_id=context.run.run_id,
        settings=settings,
        data_versions={"model": now.sha256[:16]},
    )


def _why_none(warehouse: Warehouse) -> str:
    newest = "SELECT reason FROM monitoring_audit.evaluations ORDER BY recorded_at DESC LIMIT 1"
    row = one_row(warehouse.query(newest))
    return row["reason"] if row else "nothing was evaluated yet"
