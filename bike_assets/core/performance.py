"""Scores of a week's forecasts by role. Joining forecasts with counts belongs to the warehouse."""

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd

from bike_assets.core.features import HORIZONS
from bike_assets.core.scoring import score

ROLES = ("champion", "issued", "seasonal_naive", "first_champion")


def scores_by_role(compared: pd.DataFrame, versions: dict[str, int | None]) -> list[dict]:
    """Score forecasts by role and horizon.

    Args:
        compared: forecasts with counts: counter_id, counted_at, horizon_days, model_version, kind, predicted_count,
            naive_count, bike_count (bikes an hour).
        versions: the versions of `champion` and `first_champion`; None where there is none.

    Returns:
        Rows with role, horizon_days, model_version (0 where a role is not one version), r2, rmse, mae and n, for every
        role and horizon that has forecasts. The seasonal naive is scored on the champion's rows.
    """
    by_version = {role: compared[compared["model_version"] == version] for role, version in versions.items()}
    issued = compared[compared["kind"] == "issued"].sort_values("model_version")
    chosen = {
        "champion": (by_version["champion"], "predicted_count", versions["champion"]),
        "issued": (
            issued.drop_duplicates(["counter_id", "counted_at", "horizon_days"], keep="last"),
            "predicted_count",
            0,
        ),
        "seasonal_naive": (by_version["champion"], "naive_count", 0),
        "first_champion": (by_version["first_champion"], "predicted_count", versions["first_champion"]),
    }
    return [
        {
            "role": role,
            "horizon_days": horizon,
            "model_version": version or 0,
            **score(part["bike_count"], part[column]).as_row(),
        }
        for role in ROLES
        for rows, column, version in [chosen[role]]
        for horizon in HORIZONS
        if len(part := rows[rows["horizon_days"] == horizon])
    ]


def days_behind(worse: Sequence[date], day: date) -> int:
    """Return for how many days in a row, up to a day, the champion was worse than the seasonal naive."""
    known, count = set(worse), 0
    while day - timedelta(days=count) in known:
        count += 1
    return count
