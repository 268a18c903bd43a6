"""Recorded changes of the champion."""

from datetime import datetime
from typing import Any

import pandas as pd

from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse

NEWEST_DEPLOYMENTS = "SELECT * FROM monitoring_audit.deployments ORDER BY recorded_at DESC LIMIT @number"
NUMBER_BY_DECIDER = (
    "SELECT decided_by, COUNT(*) AS number, MAX(recorded_at) AS newest FROM monitoring_audit.deployments "
    "GROUP BY decided_by"
)


def newest_deployment(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the newest deployment."""
    return one_row(warehouse.query(NEWEST_DEPLOYMENTS, number=1))


def deployments_after(warehouse: Warehouse, recorded_at: datetime) -> pd.DataFrame:
    """Return the deployments that were recorded after a time, oldest first."""
    return warehouse.query(
        "SELECT * FROM monitoring_audit.deployments WHERE recorded_at > @after ORDER BY recorded_at", after=recorded_at
    )
