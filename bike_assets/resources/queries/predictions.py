"""Stored forecasts."""

from datetime import date
from typing import Any

import pandas as pd

from bike_assets.core.local_time import as_date
from bike_assets.core.splits import Span
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse

NUMBER_BY_KIND = (
    "SELECT kind, COUNT(*) AS number, MAX(issued_on) AS newest FROM bike_traffic_predictions.predictions "
    "WHERE issued_on >= @first GROUP BY kind"
)
NEXT_DAY_BY_COUNTER = (
    "SELECT p.counter_id, MAX(c.counter_name) AS counter_name, MAX(IF(p.known_counter, 1, 0)) AS known, "
    "SUM(p.predicted_count) AS bikes FROM bike_traffic_predictions.predictions AS p "
    "JOIN bike_traffic_raw.counters AS c ON c.counter_id = p.counter_id "
    "WHERE p.issued_on = @day AND p.model_version = @version AND p.horizon_days = 1 GROUP BY p.counter_id"
)
DAY_BY_COUNTER = (
    "SELECT c.counter_id, MAX(c.counter_name) AS counter_name, SUM(c.bike_count) AS counted, "
    "SUM(p.predicted_count) AS forecast, SUM(p.naive_count) AS naive FROM bike_traffic_raw.comptage_velo AS c "
    "LEFT JOIN (SELECT counter_id, counted_at, predicted_count, naive_count FROM bike_traffic_predictions.predictions "
    "WHERE issued_on = @eve AND day = @day AND model_version = @version) AS p "
    "ON p.counter_id = c.counter_id AND p.counted_at = c.counted_at "
    "WHERE c.day = @day AND NOT c.is_outlier GROUP BY c.counter_id"
)


def forecast_days_of(warehouse: Warehouse, span: Span, version: int) -> set[date]:
    """Return the days of a span on which a version has forecasts as of then."""
    made = warehouse.query(
        "SELECT DISTINCT issued_on FROM bike_traffic_predictions.predictions "
        "WHERE issued_on BETWEEN @first AND @last AND model_version = @version",
        first=span.first,
        last=span.last,
        version=version,
    )
    return {as_date(day) for day in made["issued_on"]}


def coverage_by_day(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return issued_on, horizons (how many), least (the smallest forecast) and missing (how many are null)."""
    return warehouse.query(
        "SELECT issued_on, COUNT(DISTINCT horizon_days) AS horizons, MIN(predicted_count) AS least, "
        "COUNTIF(predicted_count IS NULL) AS missing FROM bike_traffic_predictions.predictions "
        "WHERE issued_on BETWEEN @first AND @last GROUP BY issued_on",
        first=span.first,
        last=span.last,
    )


def stored_forecasts(warehouse: Warehouse, first: date) -> dict[str, Any] | None:
    """Return rows and last_issued_on of the forecasts since a day; None without rows."""
    row = one_row(
        warehouse.query(
            "SELECT COUNT(*) AS `rows`, MAX(issued_on) AS last_issued_on FROM bike_traffic_predictions.predictions "
            "WHERE issued_on >= @first",
            first=first,
        )
    )
    return row if row and row["rows"] else None


def newest_issue(warehouse: Warehouse, version: int, first: date) -> date | None:
    """Return the newest day, since a day, as of which a version has forecasts."""
    newest = warehouse.query(
        "SELECT MAX(issued_on) AS day FROM bike_traffic_predictions.predictions "
        "WHERE issued_on >= @first AND model_version = @version HAVING MAX(issued_on) IS NOT NULL",
        first=first,
        version=version,
    )
    return None if newest.empty else as_date(newest["day"].iloc[0])


def busiest_counters(warehouse: Warehouse, issued_on: date, version: int, number: int) -> pd.DataFrame:
    """Return day, counter_name, counter_id, bikes and busiest_hour of the next day's busiest counters."""
    return warehouse.query(
        "SELECT p.day, c.counter_name, p.counter_id, SUM(p.predicted_count) AS bikes, "
        "MAX(p.predicted_count) AS busiest_hour FROM bike_traffic_predictions.predictions AS p "
        "JOIN bike_traffic_raw.counters AS c ON c.counter_id = p.counter_id "
        "WHERE p.issued_on = @issued_on AND p.model_version = @version AND p.horizon_days = 1 "
        "GROUP BY p.day, c.counter_name, p.counter_id ORDER BY bikes DESC LIMIT @number",
        issued_on=issued_on,
        version=version,
        number=number,
    )
