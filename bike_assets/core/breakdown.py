"""Scores of forecasts by counter, by hour and by weekday, with those of the seasonal naive.

A single score belongs to `scoring`, drawing to `plots`.
"""

import pandas as pd

from bike_assets.core.scoring import score

GROUPINGS = {"counter": "counter_id", "hour": "hour", "weekday": "weekday"}
"""Each grouping of the scores, and the column of the feature rows that defines it."""


def scores_by(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Score forecasts and the seasonal naive within each group.

    Args:
        rows: bike_count, predicted_count, naive_count (bikes an hour) and the column.
        column: the column to group by.

    Returns:
        One row a group, by the column: r2, rmse, mae, n, naive_r2, naive_rmse, naive_mae.
    """
    found = []
    for value, part in rows.groupby(column, sort=True):
        forecast = score(part["bike_count"], part["predicted_count"])
        naive = score(part["bike_count"], part["naive_count"])
        naive_figures = {f"naive_{name}": figure for name, figure in naive.as_row().items() if name != "n"}
        found.append({column: value, **forecast.as_row(), **naive_figures})
    return pd.DataFrame(found)
