"""Weather, observed and forecast."""

from datetime import date, timedelta

import pandas as pd

from bike_assets.core.local_time import as_date, days_between, hours_in_days
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import BASE_WEEKS, OBSERVED, WEATHER_COLUMNS, WeatherCube, build_weather
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse


def known_weather(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return the hours of some local days that have weather in the warehouse.

    Returns:
        at (UTC, start of the hour), day, lead_days, issued_on (for a forecast the newest whole day at its issue, else
        the day itself), and known: how many of the four columns have a value.
    """
    return warehouse.query(
        "SELECT `at`, day, lead_days, DATE_SUB(day, INTERVAL lead_days DAY) AS issued_on, "
        "IF(temperature IS NULL, 0, 1) + IF(rain IS NULL, 0, 1) + IF(wind IS NULL, 0, 1) + IF(cloud IS NULL, 0, 1) "
        "AS known "
        "FROM bike_traffic_raw.weather WHERE day BETWEEN @first AND @last",
        first=span.first,
        last=span.last,
    )


def days_without_weather(warehouse: Warehouse, span: Span, timezone: str) -> list[date]:
    """Return the days of a span whose observed weather lacks an hour or a value, oldest first."""
    known = known_weather(warehouse, span)
    whole = known[(known["lead_days"] == OBSERVED) & (known["known"] == len(WEATHER_COLUMNS))]
    days = pd.Series(pd.to_datetime(days_between(span.first, span.last)))
    hours = days.map(whole.groupby("day").size()).fillna(0)
    return [as_date(day) for day in days[hours.to_numpy() < hours_in_days(days, timezone)]]


def read_weather_cube(warehouse: Warehouse, span: Span, timezone: str) -> WeatherCube | None:
    """Return the weather of a span's days and of the weeks before them that the features need."""
    rows = warehouse.query(
        "SELECT `at`, lead_days, temperature, rain, wind, cloud FROM bike_traffic_raw.weather "
        "WHERE day BETWEEN @first AND @last ORDER BY `at`, lead_days",
        first=span.first - timedelta(weeks=max(BASE_WEEKS)),
        last=span.last,
    )
    return build_weather(rows, timezone)


def newest_observed(warehouse: Warehouse, first: date) -> dict | None:
    """Return last_day and source of the newest observed weather since a day."""
    return one_row(
        warehouse.query(
            "SELECT day AS last_day, MAX(source) AS source FROM bike_traffic_raw.weather "
            "WHERE day >= @first AND lead_days = 0 GROUP BY day ORDER BY day DESC LIMIT 1",
            first=first,
        )
    )
