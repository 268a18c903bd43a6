"""The one version that serves. Whether it changes was decided in `evaluation`; here it is only acted on."""

import dagster as dg

from bike_assets.core.decisions import Verdict
from bike_assets.core.local_time import as_date
from bike_assets.resources.registry import LocalRegistry
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.tracking import CHALLENGER, CHAMPION, Tracking
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


@dg.asset(deps=["double_evaluation"], pool="champion", kinds={"mlflow", "json"})
def champion(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[LocalRegistry],
    mlflow: dg.ResourceParam[Tracking],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The version in service: replaced where the newest evaluation against it says DEPLOY, and followed by MLflow."""
    before = registry.read().champion
    decision = one_row(
        warehouse.query(
            "SELECT decided_on, challenger_version, decision, reason FROM monitoring_audit.deployment_decisions "
            "WHERE champion_version = @against ORDER BY decided_on DESC, challenger_version DESC LIMIT 1",
            against=before.version if before else 0,
        )
    )
    if decision and decision["decision"] == Verdict.DEPLOY:
        registry.promote(int(decision["challenger_version"]), str(as_date(decision["decided_on"])))
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
            "decision": decision["decision"] if decision else "",
            "r2_test_baseline": now.scores["test_baseline"]["r2"],
            "r2_test_current": now.scores["test_current"]["r2"],
            "mlflow_run": dg.MetadataValue.url(mlflow.page_of(now.run_id, settings.mlflow_address)),
        },
    )
