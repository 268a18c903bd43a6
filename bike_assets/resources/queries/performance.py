"""Recorded scores of forecasts, and forecasts beside their counts."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd

from bike_assets.core.features import HORIZONS
from bike_assets.core.local_time import as_date
from bike_assets.core.splits import Span
from bike_assets.resources.queries.features import as_list
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse

NEWEST_SCORES = (
    "SELECT day, role, horizon_days, r2, rmse, mae, n FROM monitoring_audit.newest_performance_metrics "
    "WHERE day = (SELECT MAX(day) FROM monitoring_audit.performance_metrics)"
)
SCORES_OF_DAY = "SELECT role, horizon_days, r2, rmse FROM monitoring_audit.newest_performance_metrics WHERE day = @day"


def reference_scores(of: str) -> str:
    """Return the joins of a day's scores of the seasonal naive and the first champion, as `naive` and `first`.

    Args:
        of: the alias of the table that has the day.
    """
    return " ".join(
        f"LEFT JOIN monitoring_audit.newest_performance_metrics AS {alias} ON {alias}.day = {of}.day "
        f"AND {alias}.horizon_days = 1 AND {alias}.role = '{role}'"
        for alias, role in (("naive", "seasonal_naive"), ("first", "first_champion"))
    )


_CHAMPION = (
    "SELECT champion.day, champion.r2, champion.rmse, champion.mae, champion.n, champion.run_id, "
    "naive.r2 AS naive_r2, first.r2 AS first_champion_r2 FROM monitoring_audit.newest_performance_metrics AS champion "
    f"{reference_scores('champion')} WHERE champion.horizon_days = 1 AND champion.role = 'champion'"
)


def champion_scores(warehouse: Warehouse, day: date) -> dict[str, Any] | None:
    """Return a day's scores of the champion a day ahead: r2, rmse, mae, n, run_id, naive_r2, first_champion_r2."""
    return one_row(warehouse.query(f"{_CHAMPION} AND champion.day = @day", day=day))


def newest_champion_scores(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the same of the newest day, and the day."""
    return one_row(warehouse.query(f"{_CHAMPION} ORDER BY champion.day DESC LIMIT 1"))


def days_worse_than_naive(warehouse: Warehouse, until: date) -> list[date]:
    """Return the days up to a day on which the champion's R² was below that of the seasonal naive."""
    worse = warehouse.query(f"{_CHAMPION} AND champion.day <= @day AND champion.r2 < naive.r2", day=until)
    return [as_date(day) for day in worse["day"]]


def forecasts_and_counts(warehouse: Warehouse, week: Span, left_out: Sequence[str]) -> pd.DataFrame:
    """Return the forecasts for the counted hours of some local days, of every version, with the counts.

    Returns:
        day, counter_id, counted_at (UTC), horizon_days, model_version, kind, predicted_count, naive_count, bike_count.
    """
    return warehouse.query(
        """
        SELECT p.day, p.counter_id, p.counted_at, p.horizon_days, p.model_version, p.kind, p.predicted_count,
          p.naive_count, c.bike_count
        FROM bike_traffic_predictions.predictions AS p
        JOIN bike_traffic_raw.comptage_velo AS c ON c.counter_id = p.counter_id AND c.counted_at = p.counted_at
        WHERE p.issued_on BETWEEN @issued_first AND @issued_last AND p.day BETWEEN @first AND @last
          AND c.day BETWEEN @first AND @last AND NOT c.is_outlier
          AND STRPOS(@left_out, CONCAT(',', c.counter_id, ',')) = 0
        ORDER BY p.counter_id, p.counted_at, p.horizon_days, p.model_version
        """,
        first=week.first,
        last=week.last,
        issued_first=week.first - timedelta(days=max(HORIZONS)),
        issued_last=week.last,
        left_out=as_list(left_out),
    )


def city_forecasts_by_hour(warehouse: Warehouse, week: Span, version: int) -> pd.DataFrame:
    """Return counted_at (UTC), bike_count, predicted_count and naive_count of the whole city, forecast a day ahead."""
    return warehouse.query(
        "SELECT c.counted_at, SUM(c.bike_count) AS bike_count, SUM(p.predicted_count) AS predicted_count, "
        "SUM(p.naive_count) AS naive_count FROM bike_traffic_raw.comptage_velo AS c "
        "JOIN bike_traffic_predictions.predictions AS p ON p.counter_id = c.counter_id "
        "AND p.counted_at = c.counted_at "
        "WHERE c.day BETWEEN @first AND @last AND p.issued_on BETWEEN @issued_first AND @last "
        "AND p.day BETWEEN @first AND @last AND p.horizon_days = 1 AND p.model_version = @version "
        "AND NOT c.is_outlier GROUP BY c.counted_at",
        first=week.first,
        last=week.last,
        issued_first=week.first - timedelta(days=1),
        version=version,
    )
