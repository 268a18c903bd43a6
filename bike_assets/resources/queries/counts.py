"""Counts, their counters, and how the days were read."""

from collections.abc import Sequence
from datetime import date

import pandas as pd

from bike_assets.core.features import CountCube, build_cube, history_start
from bike_assets.core.local_time import as_date, hours_in_days
from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

NEWEST_READINGS = (
    "SELECT * FROM monitoring_audit.ingestions WHERE day BETWEEN @first AND @last "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY ingested_at DESC) = 1 ORDER BY day"
)
NEWEST_SUCCESSFUL_READINGS = (
    "SELECT * FROM monitoring_audit.ingestions WHERE unread IS NULL "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY ingested_at DESC) = 1 ORDER BY day"
)
NUMBER_BY_STATE = "SELECT state, COUNT(*) AS number FROM bike_traffic_raw.counters GROUP BY state"


def reading_totals(columns: Sequence[str]) -> str:
    """Return the query of the sums of some columns over all readings, and of the numbers `read` and `not_read`."""
    sums = ", ".join(f"SUM({name}) AS {name}" for name in columns)
    return (
        f"SELECT {sums}, COUNTIF(unread IS NULL) AS `read`, COUNTIF(unread IS NOT NULL) AS not_read "
        "FROM monitoring_audit.ingestions"
    )


def read_counts(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return counter_id, counted_at (UTC), day and bike_count of some local days, without outliers."""
    return warehouse.query(
        "SELECT counter_id, counted_at, day, bike_count FROM bike_traffic_raw.comptage_velo "
        "WHERE day BETWEEN @first AND @last AND NOT is_outlier",
        first=span.first,
        last=span.last,
    )


def read_cube(warehouse: Warehouse, span: Span, timezone: str) -> CountCube:
    """Return the counts of a span's days and of all earlier days that their features depend on."""
    return build_cube(read_counts(warehouse, Span(history_start(span.first), span.last)), timezone)


def stored_rows_by_day(warehouse: Warehouse, span: Span) -> pd.Series:
    """Return the number of stored rows of each day of a span, by day."""
    known = warehouse.query(
        "SELECT day, COUNT(*) AS n FROM bike_traffic_raw.comptage_velo WHERE day BETWEEN @first AND @last GROUP BY day",
        first=span.first,
        last=span.last,
    )
    return known.set_index("day")["n"]


def busiest_hours(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return day, counter_id and busiest: the most bikes in an hour, by day and counter."""
    return warehouse.query(
        "SELECT day, counter_id, MAX(bike_count) AS busiest FROM bike_traffic_raw.comptage_velo "
        "WHERE day BETWEEN @first AND @last GROUP BY day, counter_id",
        first=span.first,
        last=span.last,
    )


def duplicate_keys(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return day and double_keys: how many pairs of counter and hour have several rows; no row for other days."""
    return warehouse.query(
        "SELECT day, COUNT(*) AS double_keys FROM (SELECT day, counter_id, counted_at "
        "FROM bike_traffic_raw.comptage_velo WHERE day BETWEEN @first AND @last "
        "GROUP BY day, counter_id, counted_at HAVING COUNT(*) > 1) GROUP BY day",
        first=span.first,
        last=span.last,
    )


def counter_summaries(warehouse: Warehouse, first: date) -> pd.DataFrame:
    """Return a row per counter: name and place as last published, first and last day, and its counts, since a day."""
    return warehouse.query(
        """
        SELECT counter_id,
          ANY_VALUE(counter_name HAVING MAX counted_at) AS counter_name,
          ANY_VALUE(site_id HAVING MAX counted_at) AS site_id,
          ANY_VALUE(site_name HAVING MAX counted_at) AS site_name,
          ANY_VALUE(latitude HAVING MAX counted_at) AS latitude,
          ANY_VALUE(longitude HAVING MAX counted_at) AS longitude,
          MIN(day) AS first_day, MAX(day) AS last_day,
          MAX(IF(bike_count > 0, day, NULL)) AS last_counting_day,
          COUNT(*) AS hours, AVG(bike_count) AS mean_count
        FROM bike_traffic_raw.comptage_velo WHERE day >= @first GROUP BY counter_id ORDER BY counter_id
        """,
        first=first,
    )


def counter_places(warehouse: Warehouse) -> pd.DataFrame:
    """Return id, name, place, state and last day of every counter, by name."""
    return warehouse.query(
        "SELECT counter_id, counter_name, latitude, longitude, state, last_day FROM bike_traffic_raw.counters "
        "ORDER BY counter_name, counter_id"
    )


def stored_counts(warehouse: Warehouse, first: date) -> dict | None:
    """Return rows, days, first_day, last_day and counters of the counts since a day; None without rows."""
    row = one_row(
        warehouse.query(
            "SELECT COUNT(*) AS `rows`, COUNT(DISTINCT day) AS days, MIN(day) AS first_day, MAX(day) AS last_day, "
            "COUNT(DISTINCT counter_id) AS counters FROM bike_traffic_raw.comptage_velo WHERE day >= @first",
            first=first,
        )
    )
    return row if row and row["rows"] else None


def row_totals(warehouse: Warehouse) -> dict[str, int]:
    """Return rows_read, rows_kept, rows_summed and rows_duplicated of the newest successful reading of every day."""
    days = warehouse.query(NEWEST_SUCCESSFUL_READINGS)
    return {name: int(days[name].sum()) for name in ("rows_read", "rows_kept", "rows_summed", "rows_duplicated")}


def rejected_rows_by_problem(warehouse: Warehouse) -> dict[str, int]:
    """Return how many published rows cannot be used, by problem, the most frequent first."""
    rows = warehouse.query(
        "SELECT problem, COUNT(*) AS number FROM bike_traffic_raw.rejected_counts "
        "GROUP BY problem ORDER BY number DESC, problem"
    )
    return dict(zip(rows["problem"], rows["number"].astype(int), strict=True))


def whole_days(warehouse: Warehouse, timezone: str) -> Span | None:
    """Return the span from the first to the last local day with a published count in every hour."""
    days = warehouse.query(NEWEST_SUCCESSFUL_READINGS)
    days["whole"] = days["hours"].to_numpy() == hours_in_days(days["day"], timezone)
    whole = days.loc[days["whole"], "day"]
    return Span(as_date(whole.iloc[0]), as_date(whole.iloc[-1])) if len(whole) else None


def days_tried(warehouse: Warehouse, span: Span) -> set[date]:
    """Return the days of a span that were read at least once, successfully or not."""
    readings = warehouse.query(NEWEST_READINGS, first=span.first, last=span.last)
    return {as_date(day) for day in readings["day"]}


def unread_days(warehouse: Warehouse, span: Span) -> dict[date, str]:
    """Return the days of a span whose newest reading failed, each with the reason."""
    readings = warehouse.query(NEWEST_READINGS, first=span.first, last=span.last)
    bad = readings[readings["unread"].notna()]
    return {as_date(day): why for day, why in zip(bad["day"], bad["unread"], strict=True)}


def days_to_read_again(warehouse: Warehouse, home: Home, settings: Settings, last: date) -> list[date]:
    """Return the days up to `last` whose newest reading failed and that lie in the configured history, oldest first."""
    oldest = as_date(pd.Timestamp(last) - pd.DateOffset(months=settings.history_months))
    return sorted(unread_days(warehouse, Span(max(home.first_day, oldest), last)))
