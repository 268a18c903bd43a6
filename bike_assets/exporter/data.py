"""Metrics of ingested counts and of forecasts: rows, days, counters."""

from collections.abc import Iterator
from datetime import timedelta

from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import COUNTERS, INGESTIONS, PREDICTIONS, WEATHER
from bike_assets.exporter.names import Sample
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries.counts import NUMBER_BY_STATE, reading_totals, whole_days
from bike_assets.resources.queries.predictions import DAY_BY_COUNTER, NEXT_DAY_BY_COUNTER, NUMBER_BY_KIND
from bike_assets.resources.queries.weather import newest_observed

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


def read_data(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the readings of the source."""
    yield Sample("bike_home_info", 1, (sources.home.source or "undecided",))
    for row in sources.rows(reading_totals((*TOTAL_COLUMNS.values(), *REJECTED_COLUMNS.values()))):
        for name, column in TOTAL_COLUMNS.items():
            yield Sample(name, row[column] or 0)
        for problem, column in REJECTED_COLUMNS.items():
            yield Sample("bike_rows_rejected_total", row[column] or 0, (problem,))
        for outcome, column in (("read", "read"), ("unread", "not_read")):
            yield Sample("bike_readings_total", row[column] or 0, (outcome,))
    states = {row["state"]: row["number"] for row in sources.rows(NUMBER_BY_STATE)}
    for state in STATES if states else ():
        yield Sample("bike_counters", states.get(state, 0), (state,))
    span = whole_days(sources.warehouse, sources.home.timezone)
    weather = newest_observed(sources.warehouse, sources.home.first_day)
    ends = {"counts": span.last if span else None, "weather": weather["last_day"] if weather else None}
    for data, day in ends.items():
        if day is not None:
            yield Sample("bike_data_end_timestamp_seconds", sources.end_of(day), (data,))


def read_forecasts(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the forecasts; for the newest forecast also by counter."""
    forecasts, champion = sources.rows(NUMBER_BY_KIND, first=sources.home.first_day), sources.registry.read().champion
    for row in forecasts:
        yield Sample("bike_forecasts_total", row["number"], (row["kind"],))
    day = max((as_date(row["newest"]) for row in forecasts), default=None)
    if day is None or champion is None:
        return
    yield Sample("bike_data_end_timestamp_seconds", sources.end_of(day), ("forecasts",))
    ahead = sources.rows(NEXT_DAY_BY_COUNTER, day=day, version=champion.version)
    yield Sample("bike_forecast_counters", len(ahead))
    yield Sample("bike_forecast_unknown_counters", sum(not row["known"] for row in ahead))
    for row in ahead:
        yield Sample("bike_next_day_bikes", row["bikes"], (row["counter_id"], row["counter_name"]))
    for row in sources.rows(DAY_BY_COUNTER, day=day, eve=day - timedelta(days=1), version=champion.version):
        for kind in ("counted", "forecast", "naive"):
            if row[kind] is not None:
                yield Sample("bike_day_bikes", row[kind], (row["counter_id"], row["counter_name"], kind))
