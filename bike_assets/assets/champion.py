"""The one version that serves. Whether it changes was decided in `evaluation` or by a person; here it is acted on."""

import dagster as dg
from pydantic import Field

from bike_assets.core.decisions import Verdict
from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import DEPLOYMENT_DECISIONS
from bike_assets.resources.queries import whole_days
from bike_assets.resources.registry import LocalRegistry, ModelEntry
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.tracking import CHALLENGER, CHAMPION, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


class Promotion(dg.Config):
    """A promotion by hand, such as going back to an older version; without a version the newest evaluation decides."""

    version: int | None = Field(None, ge=1, description="Number of the version that is to serve.")
    by: str = Field("", description="Who wants it.")
    reason: str = Field("", description="Why.")


@dg.asset(deps=["double_evaluation"], pool="champion", kinds={"mlflow", "json"})
def champion(
    context: dg.AssetExecutionContext,
    config: Promotion,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    mlflow: dg.ResourceParam[Tracking],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The version in service: replaced where the newest evaluation against it says DEPLOY, and followed by MLflow."""
    before = registry.read().champion
    by_hand = _by_hand(config, before, registry, warehouse, settings) if config.version is not None else None
    decision = by_hand or _newest_decision(warehouse, before)
    if decision and decision["decision"] == Verdict.DEPLOY and (by_hand or _may_serve(registry, decision)):
        day = str(as_date(decision["decided_on"]))
        registry.promote(int(decision["challenger_version"]), day, by_hand=by_hand is not None)
    now = registry.read().champion
    if now is None:
        reason = decision["reason"] if decision else "nothing was evaluated yet"
        raise dg.Failure(f"there is no champion: {reason}", allow_retries=False)
    if mlflow.let_alias_name(CHAMPION, now.version):
        context.log.info(f"MLflow's alias champion now names version {now.version}")
    if decision and int(decision["challenger_version"]) == now.version:
        mlflow.let_alias_name(CHALLENGER, None)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(now.sha256[:16]),
        metadata={
            "version": now.version,
            "family": now.family,
            "promoted_on": now.promoted_on or "",
            "changed": before is None or before.version != now.version,
            "replaced_version": before.version if before else 0,
            "decision": decision["decision"] if decision else "",
            "reason": decision["reason"] if decision else "",
            "r2_test_baseline": now.scores["test_baseline"]["r2"],
            "r2_test_current": now.scores["test_current"]["r2"],
            "mlflow_run": dg.MetadataValue.url(mlflow.page_of(now.run_id, settings.mlflow_address)),
        },
    )


def _newest_decision(warehouse: Warehouse, against: ModelEntry | None) -> dict | None:
    return one_row(
        warehouse.query(
            "SELECT decided_on, challenger_version, decision, reason FROM monitoring_audit.deployment_decisions "
            "WHERE champion_version = @against ORDER BY decided_on DESC, challenger_version DESC LIMIT 1",
            against=against.version if against else 0,
        )
    )


def _may_serve(registry: LocalRegistry, decision: dict) -> bool:
    """What a person withdrew comes back by a person alone."""
    chosen = registry.read().entry(int(decision["challenger_version"]))
    return chosen is not None and not chosen.withdrawn


def _by_hand(
    config: Promotion, before: ModelEntry | None, registry: LocalRegistry, warehouse: Warehouse, settings: Settings
) -> dict:
    """Write a promotion by hand into the audit table before it is acted on, and return its row.

    Raises:
        dg.Failure: there is no such version, it serves already, or nobody says who wants it and why.
    """
    chosen = registry.read().entry(config.version or 0)
    whole = whole_days(warehouse, settings.timezone)
    if chosen is None or whole is None:
        raise dg.Failure(f"there is no version {config.version} to promote", allow_retries=False)
    if chosen.is_champion:
        raise dg.Failure(f"version {config.version} is the champion already", allow_retries=False)
    if not config.by.strip() or not config.reason.strip():
        raise dg.Failure("a promotion by hand needs `by` and `reason` in its config", allow_retries=False)
    row = {
        "decided_on": whole.last,
        "challenger_version": chosen.version,
        "challenger_family": chosen.family,
        "champion_version": before.version if before else 0,
        "decision": str(Verdict.DEPLOY),
        "reason": f"by hand, {config.by.strip()}: {config.reason.strip()}",
        **{f"{metric}_{name}": chosen.scores[f"test_{name}"][metric]
           for name in ("baseline", "current") for metric in ("r2", "rmse")},
    }  # fmt: skip
    warehouse.merge(DEPLOYMENT_DECISIONS, frame(DEPLOYMENT_DECISIONS, [row]))
    return row
