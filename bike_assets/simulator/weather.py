"""The endpoints of the simulated weather service: turns a path and parameters into an answer, without sockets.

The endpoints are Open-Meteo's /v1/archive and /v1/forecast, with the hourly variables of COLUMNS only. The place in a
request is ignored: `core.simulated_weather` draws the weather of the synthetic city.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pandas as pd

from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.simulator.answers import Answer, json_answer
from bike_assets.simulator.refusals import RefusalError, weather_refusal

ARCHIVE, FORECAST = "/v1/archive", "/v1/forecast"
WEATHER_PATHS = (ARCHIVE, FORECAST)
COLUMNS = {"temperature_2m": "temperature", "rain": "rain", "wind_speed_10m": "wind", "cloud_cover": "cloud"}
UNITS = {"temperature_2m": "°C", "rain": "mm", "wind_speed_10m": "m/s", "cloud_cover": "%"}
FIXED_PARAMETERS = {"wind_speed_unit": "ms", "timezone": "UTC"}
PARAMETERS = {"latitude", "longitude", "start_date", "end_date", "hourly", *FIXED_PARAMETERS}
ARCHIVED_FROM = date(1940, 1, 1)
DAY = timedelta(days=1)
ARCHIVE_LAG, FORECAST_PAST, FORECAST_AHEAD = 2 * DAY, 92 * DAY, 15 * DAY


def answer_weather(weather: SimulatedWeather, path: str, params: Mapping[str, str], now: datetime) -> Answer:
    """Answer a request for weather.

    Args:
        weather: of the city.
        path: one of WEATHER_PATHS.
        params: the query parameters.
        now: the time of the service; its UTC day is today.
    """
    today = pd.Timestamp(now).tz_convert("UTC").date()
    try:
        names = _variables(params)
        if path == ARCHIVE:
            first, last = _days(params, ARCHIVED_FROM, today)
            rows = _as_published(weather.hours(first - DAY, last))
            rows.loc[rows["at"] >= pd.Timestamp(today - ARCHIVE_LAG + DAY, tz="UTC"), list(COLUMNS.values())] = None
        else:
            first, last = _days(params, today - FORECAST_PAST, today + FORECAST_AHEAD)
            rows = _as_published(weather.forecast(first - DAY, last, today))
    except RefusalError as refusal:
        return json_answer(refusal.status, refusal.body)
    values = rows.astype(object).where(rows.notna(), None)
    hourly = {name: values[COLUMNS[name]].tolist() for name in names}
    return json_answer(
        200,
        {
            "hourly_units": {"time": "iso8601", **{name: UNITS[name] for name in names}},
            "hourly": {"time": rows["at"].dt.strftime("%Y-%m-%dT%H:%M").tolist(), **hourly},
        },
    )


def _as_published(rows: pd.DataFrame) -> pd.DataFrame:
    """All days but the first. Each hour has the rain of the hour before, as the service reports it."""
    return rows.assign(rain=rows["rain"].shift(1)).iloc[24:].reset_index(drop=True)


def _variables(params: Mapping[str, str]) -> list[str]:
    """The requested hourly variables."""
    for name in params:
        if name not in PARAMETERS:
            raise weather_refusal(f"Unknown parameter '{name}'")
    for name, value in FIXED_PARAMETERS.items():
        if params.get(name) != value:
            raise weather_refusal(f"Parameter '{name}' has to be '{value}' here, not '{params.get(name, '')}'")
    names = [name for name in params.get("hourly", "").split(",") if name]
    for name in names:
        if name not in COLUMNS:
            raise weather_refusal(f"Unknown hourly variable '{name}'")
    if not names:
        raise weather_refusal("Parameter 'hourly' is missing")
    return names


def _days(params: Mapping[str, str], earliest: date, latest: date) -> tuple[date, date]:
    """The first and last requested UTC day."""
    first, last = (_day(params, name, earliest, latest) for name in ("start_date", "end_date"))
    if last < first:
        raise weather_refusal("End-date must be larger or equals than start-date")
    return first, last


def _day(params: Mapping[str, str], name: str, earliest: date, latest: date) -> date:
    text = params.get(name, "")
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise weather_refusal(f"Parameter '{name}' is no date such as 2026-01-31: '{text}'") from None
    if not earliest <= day <= latest:
        raise weather_refusal(f"Parameter '{name}' is out of allowed range from {earliest} to {latest}")
    return day
