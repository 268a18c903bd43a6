"""What runs because something happened. A sensor turns a recorded decision into a run; it decides nothing itself."""

import dagster as dg

from bike_assets.automation.jobs import retrain
from bike_assets.core.decisions import RetrainDecision
from bike_assets.core.local_time import as_date
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse

MINIMUM_INTERVAL_SECONDS = 30


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a retrain when the newest decision asks for one; once a day, decision and champion.",
)
def retrain_on_decision(warehouse: dg.ResourceParam[Warehouse]) -> dg.RunRequest | dg.SkipReason:
    """Retrain where the newest decision asks for it, is not held by a cooldown, and was not made by a bootstrap."""
    row = one_row(warehouse.query("SELECT * FROM monitoring_audit.retrain_decisions ORDER BY day DESC LIMIT 1"))
    if row is None:
        return dg.SkipReason("nothing was decided yet")
    day, decision = as_date(row["day"]), RetrainDecision(row["decision"])
    if not decision.asks_for_training:
        return dg.SkipReason(f"{day}: {decision}, {row['reason']}")
    if not row["acts"]:
        return dg.SkipReason(f"{day}: {decision}, but it looks back on days before this home began")
    if row["held_until"] is not None:
        return dg.SkipReason(f"{day}: {decision}, held until {as_date(row['held_until'])} by the cooldown")
    return dg.RunRequest(
        run_key=f"retrain-{day}-{decision}-{int(row['champion_version'])}",
        tags={"bike/decision": str(decision), "bike/decided_on": str(day), "bike/reason": row["reason"]},
    )


SENSORS = (retrain_on_decision,)
