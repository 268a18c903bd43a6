"""Recorded drift and retrain decisions."""

from datetime import date
from typing import Any

from bike_assets.core.splits import Span
from bike_assets.resources.queries.performance import reference_scores
from bike_assets.resources.table_rows import one_row, plain_rows
from bike_assets.resources.warehouse import Warehouse

NEWEST_DECISION = "SELECT * FROM monitoring_audit.newest_retrain_decisions ORDER BY day DESC LIMIT 1"
NUMBER_BY_DECISION = (
    "SELECT decision, COUNT(*) AS number FROM monitoring_audit.newest_retrain_decisions GROUP BY decision"
)
NEWEST_DRIFT = "SELECT * FROM monitoring_audit.newest_drift_metrics ORDER BY day DESC LIMIT 1"


def newest_decision(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the decision of the newest day."""
    return one_row(warehouse.query(NEWEST_DECISION))


def decision_of(warehouse: Warehouse, day: date) -> dict[str, Any] | None:
    """Return the newest decision of a day."""
    return one_row(warehouse.query("SELECT * FROM monitoring_audit.newest_retrain_decisions WHERE day = @day", day=day))


def newest_drift(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the drift of the newest day."""
    return one_row(warehouse.query(NEWEST_DRIFT))


def drift_of(warehouse: Warehouse, day: date) -> dict[str, Any] | None:
    """Return the newest drift of a day."""
    return one_row(warehouse.query("SELECT * FROM monitoring_audit.newest_drift_metrics WHERE day = @day", day=day))


def decided_days(warehouse: Warehouse, span: Span) -> list[dict]:
    """Return the newest decision of each day of a span, with the R² of the seasonal naive and of the first champion.

    Returns:
        Oldest first: day, decision, reason, r2, drift_share, held_until, first_r2 and naive_r2 (both over 7 days, a
        day ahead).
    """
    return plain_rows(
        warehouse.query(
            "SELECT d.day, d.decision, d.reason, d.r2, d.drift_share, d.held_until, first.r2 AS first_r2, "
            "naive.r2 AS naive_r2 FROM monitoring_audit.newest_retrain_decisions AS d "
            f"{reference_scores('d')} "
            "WHERE d.day BETWEEN @first AND @last ORDER BY d.day",
            first=span.first,
            last=span.last,
        )
    )
