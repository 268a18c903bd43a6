"""Metrics of ingested counts and of forecasts: rows, days, counters."""

from collections.abc import Iterator
from datetime import timedelta

from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import COUNTERS, INGESTIONS, PREDICTIONS, WEATHER
from bike_assets.exporter.names import Sample
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries import whole_days

DATA_TABLES, FORECAST_TABLES = (COUNTERS, INGESTIONS, WEATHER), (INGESTIONS, PREDICTIONS)
REJECTED_COLUMNS = {
    "no_counter": "rows_without_counter",
    "negative": "rows_negative",
    "in_future": "rows_in_future",
    "unreadable": "rows_unreadable",
    "duplicated": "rows_duplicated",
}
TOTAL_COLUMNS = {
    "bike_rows_ingested_total": "rows_added",
    "bike_rows_corrected_total": "rows_changed",
    "bike_rows_withdrawn_total": "rows_withdrawn",
    "bike_rows_outlying_total": "outliers",
}
STATES = ("active", "new", "silent", "gone")
_READINGS = (
    f"SELECT {', '.join(f'SUM({name}) AS {name}' for name in (*TOTAL_COLUMNS.values(), *REJECTED_COLUMNS.values()))}, "
    "COUNTIF(unread IS NULL) AS `read`, COUNTIF(unread IS NOT NULL) AS not_read FROM monitoring_audit.ingestions"
)
_COUNTERS = "SELECT state, COUNT(*) AS number FROM bike_traffic_raw.counters GROUP BY state"
_WEATHER = "SELECT MAX(day) AS day FROM bike_traffic_raw.weather WHERE day >= @first AND lead_days = 0"
_FORECASTS = (
    "SELECT kind, COUNT(*) AS number, MAX(issued_on) AS newest FROM bike_traffic_predictions.predictions "
    "WHERE issued_on >= @first GROUP BY kind"
)
_NEXT_DAY = (
    "SELECT p.counter_id, MAX(c.counter_name) AS counter_name, MAX(IF(p.known_counter, 1, 0)) AS known, "
    "SUM(p.predicted_count) AS bikes FROM bike_traffic_predictions.predictions AS p "
    "JOIN bike_traffic_raw.counters AS c ON c.counter_id = p.counter_id "
    "WHERE p.issued_on = @day AND p.model_version = @version AND p.horizon_days = 1 GROUP BY p.counter_id"
)
_DAY = (
    "SELECT c.counter_id, MAX(c.counter_name) AS counter_name, SUM(c.bike_count) AS counted, "
    "SUM(p.predicted_count) AS forecast, SUM(p.naive_count) AS naive FROM bike_traffic_raw.comptage_velo AS c "
    "LEFT JOIN (SELECT counter_id, counted_at, predicted_count, naive_count FROM bike_traffic_predictions.predictions "
    "WHERE issued_on = @eve AND day = @day AND model_version = @version) AS p "
    "ON p.counter_id = c.counter_id AND p.counted_at = c.counted_at "
    "WHERE c.day = @day AND NOT c.is_outlier GROUP BY c.counter_id"
)


def read_data(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the readings of the source."""
    yield Sample("bike_home_info", 1, (sources.home.source or "undecided",))
    for row in sources.rows(_READINGS):
        for name, column in TOTAL_COLUMNS.items():
            yield Sample(name, row[column] or 0)
        for problem, column in REJECTED_COLUMNS.items():
            yield Sample("bike_rows_rejected_total", row[column] or 0, (problem,))
        for outcome, column in (("read", "read"), ("unread", "not_read")):
            yield Sample("bike_readings_total", row[column] or 0, (outcome,))
    states = {row["state"]: row["number"] for row in sources.rows(_COUNTERS)}
    for state in STATES if states else ():
        yield Sample("bike_counters", states.get(state, 0), (state,))
    span = whole_days(sources.warehouse, sources.home.timezone)
    ends = {"counts": span and span.last, "weather": sources.rows(_WEATHER, first=sources.home.first_day)[0]["day"]}
    for data, day in ends.items():
        if day is not None:
            yield Sample("bike_data_end_timestamp_seconds", sources.end_of(day), (data,))


def read_forecasts(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the forecasts; for the newest forecast also by counter."""
    forecasts, champion = sources.rows(_FORECASTS, first=sources.home.first_day), sources.registry.read().champion
    for row in forecasts:
        yield Sample("bike_forecasts_total", row["number"], (row["kind"],))
    day = max((as_date(row["newest"]) for row in forecasts), default=None)
    if day is None or champion is None:
        return
    yield Sample("bike_data_end_timestamp_seconds", sources.end_of(day), ("forecasts",))
    ahead = sources.rows(_NEXT_DAY, day=day, version=champion.version)
    yield Sample("bike_forecast_counters", len(ahead))
    yield Sample("bike_forecast_unknown_counters", sum(not row["known"] for row in ahead))
    for row in ahead:
        yield Sample("bike_next_day_bikes", row["bikes"], (row["counter_id"], row["counter_name"]))
    for row in sources.rows(_DAY, day=day, eve=day - timedelta(days=1), version=champion.version):
        for kind in ("counted", "forecast", "naive"):
            if row[kind] is not None:
                yield Sample("bike_day_bikes", row[kind], (row["counter_id"], row["counter_name"], kind))
