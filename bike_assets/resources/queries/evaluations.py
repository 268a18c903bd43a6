"""Recorded trainings and double evaluations."""

from datetime import date
from typing import Any

from bike_assets.core.decisions import Verdict
from bike_assets.core.local_time import as_date
from bike_assets.core.promotion import Evaluated
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import Trigger

NEWEST_EVALUATIONS = "SELECT * FROM monitoring_audit.evaluations ORDER BY recorded_at DESC LIMIT @number"
NEWEST_CHALLENGE = (
    "SELECT * FROM monitoring_audit.evaluations WHERE challenger_version != champion_version "
    "ORDER BY recorded_at DESC LIMIT 1"
)
"""A retrain without new training data evaluates the champion against itself; that is not a challenge."""
NEWEST_OF_VERSION = (
    "SELECT * FROM monitoring_audit.evaluations WHERE challenger_version = @version OR champion_version = @version "
    "ORDER BY recorded_at DESC LIMIT 1"
)
NUMBER_BY_DECISION = (
    "SELECT decision, COUNT(*) AS number, MAX(recorded_at) AS newest FROM monitoring_audit.evaluations "
    "GROUP BY decision"
)
TRAININGS_BY_FAMILY = (
    "SELECT family, status, trigger, COUNT(*) AS number, MAX(recorded_at) AS newest "
    "FROM monitoring_audit.training_runs GROUP BY family, status, trigger"
)
LAST_TRAININGS = (
    "SELECT family, seconds FROM monitoring_audit.training_runs WHERE status = 'trained' "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY family ORDER BY recorded_at DESC) = 1"
)


def newest_evaluation(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the newest evaluation."""
    return one_row(warehouse.query(NEWEST_EVALUATIONS, number=1))


def all_evaluations(warehouse: Warehouse) -> list[Evaluated]:
    """Return what every evaluation decided, newest first."""
    rows = warehouse.query(
        "SELECT COALESCE(challenger_version, 0) AS challenger, COALESCE(champion_version, 0) AS champion, "
        "decision, reason FROM monitoring_audit.evaluations ORDER BY recorded_at DESC"
    )
    return [Evaluated(*row) for row in rows.itertuples(index=False)]


def newest_between(warehouse: Warehouse, challenger: int, champion: int) -> dict[str, Any] | None:
    """Return the newest evaluation of a version against another."""
    return one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.evaluations WHERE challenger_version = @version "
            "AND champion_version = @before ORDER BY recorded_at DESC LIMIT 1",
            version=challenger,
            before=champion,
        )
    )


def first_of_version(warehouse: Warehouse, version: int) -> dict[str, Any] | None:
    """Return the first evaluation of a version as the challenger."""
    return one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.evaluations WHERE challenger_version = @version "
            "ORDER BY recorded_at LIMIT 1",
            version=version,
        )
    )


def rejection_of_run(warehouse: Warehouse, run_id: str) -> dict[str, Any] | None:
    """Return the evaluation of a run that ended with a REJECT."""
    return one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.evaluations WHERE decision = @reject AND run_id = @run_id",
            reject=str(Verdict.REJECT),
            run_id=run_id,
        )
    )


def failed_challenges(warehouse: Warehouse, champion: int, until: date) -> list[date]:
    """Return the days on which a challenge of a champion failed, up to a day; evaluations on request do not count."""
    failed = warehouse.query(
        "SELECT decided_on FROM monitoring_audit.evaluations WHERE champion_version = @version "
        "AND decided_on <= @day AND decision IN (@skip, @reject) AND trigger <> @evaluate",
        version=champion,
        day=until,
        skip=str(Verdict.SKIP),
        reject=str(Verdict.REJECT),
        evaluate=str(Trigger.EVALUATE),
    )
    return [as_date(day) for day in failed["decided_on"]]
