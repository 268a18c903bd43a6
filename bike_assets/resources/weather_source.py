"""The sources of weather behind one interface: a service, a file or the simulator; or the reason why there is none.

Requests to a service belong to `open_meteo`, what values mean to `core.weather`, storing to `ingestion.weather`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.simulation import CENTRE
from bike_assets.core.splits import Span
from bike_assets.core.weather import arrange_weather, read_weather_file
from bike_assets.home.record import PORTALS, Home
from bike_assets.resources.counts_source import simulator_of
from bike_assets.resources.home_source import yesterday
from bike_assets.resources.open_meteo import OpenMeteo
from bike_assets.settings import Settings

ARCHIVE_LAG_DAYS = 6
"""A service's archive lacks the newest days; its forecast service has their observed weather."""
REQUEST_DAYS = 90


class WeatherSource(Protocol):
    """The interface of every source. Rows have the form that `core.weather.arrange_weather` returns."""

    description: str

    def observed(self, span: Span) -> Iterator[pd.DataFrame]:
        """Yield the observed weather of some local days, newest first, up to three months at a time.

        Raises:
            BikeError: the source did not answer, refused, or its answer cannot be read.
        """
        ...

    def forecast(self, span: Span) -> pd.DataFrame:
        """Return the current forecast for some local days; no rows if the source has no forecasts.

        Raises:
            BikeError: the source did not answer, refused, or its answer cannot be read.
        """
        ...


@dataclass(frozen=True)
class NoWeather:
    """The home has no weather, which is not an error.

    Attributes:
        why: the reason, as the second half of a sentence.
    """

    why: str


class ServiceWeather:
    """A service's weather, by local days.

    Args:
        service: the client of the service.
        timezone: zone of the local days.
        description: text for the user.
    """

    def __init__(self, service: OpenMeteo, timezone: str, description: str) -> None:
        self._service, self._timezone, self.description = service, timezone, description

    def observed(self, span: Span) -> Iterator[pd.DataFrame]:
        """Get the newest days from the forecast service and the others from the archive."""
        archived = yesterday(self._timezone) - timedelta(days=ARCHIVE_LAG_DAYS)
        newest = Span(max(span.first, archived + timedelta(days=1)), span.last)
        if newest.days:
            yield self._days(self._service.forecast, newest)
        for part in reversed(Span(span.first, min(span.last, archived)).chunks(REQUEST_DAYS)):
            yield self._days(self._service.observed, part)

    def forecast(self, span: Span) -> pd.DataFrame:
        """Return the current forecast for some local days."""
        return self._days(self._service.forecast, span)

    def _days(self, ask: Callable[[date, date], pd.DataFrame], span: Span) -> pd.DataFrame:
        """Get the UTC days around some local days; the hour after them has the rain of their last hour."""
        start, end = utc_bounds(span.first, self._timezone)[0], utc_bounds(span.last, self._timezone)[1]
        rows = arrange_weather(ask(start.date(), end.date()), rain_fell_before=True)
        return rows[(rows["at"] >= start) & (rows["at"] < end)]


class FileWeather:
    """A file's weather, read once per process; a file has no forecasts.

    Args:
        path: the file.
        timezone: zone of the local days.
    """

    def __init__(self, path: Path, timezone: str) -> None:
        self.description = f"the file {path} (as observed; it has no forecasts)"
        self._path, self._timezone = path, timezone

    def observed(self, span: Span) -> Iterator[pd.DataFrame]:
        """Yield the file's rows of the days.

        Raises:
            BikeError: the file cannot be read, or is not a weather file.
        """
        start, end = utc_bounds(span.first, self._timezone)[0], utc_bounds(span.last, self._timezone)[1]
        yield self._rows[(self._rows["at"] >= start) & (self._rows["at"] < end)]

    def forecast(self, span: Span) -> pd.DataFrame:
        """Return no rows."""
        return self._rows.iloc[:0]

    @cached_property
    def _rows(self) -> pd.DataFrame:
        return read_weather_file(self._path)


def open_weather(home: Home, settings: Settings) -> WeatherSource | NoWeather:
    """Return the weather source of a claimed home, as BIKE_WEATHER names it; auto follows the source of the counts."""
    if settings.weather == "off":
        return NoWeather("BIKE_WEATHER is off")
    if settings.weather_file is not None:
        return FileWeather(settings.weather_file, home.timezone)
    if settings.weather == "simulator" and home.source != "simulator":
        return NoWeather("BIKE_WEATHER is simulator, and the counts of this home are not the simulator's")
    if home.source == "simulator" and settings.weather in {"auto", "simulator"}:
        description = "the simulator (synthetic weather, of a kind with its counts; nothing here was measured)"
        address = simulator_of(home, settings).url
        return ServiceWeather(OpenMeteo(address, address, *CENTRE, settings.retries), home.timezone, description)
    if settings.weather == "auto" and home.source not in PORTALS:
        return NoWeather("the counts are those of a file, and BIKE_WEATHER_FILE is not set")
    if settings.weather_latitude is None or settings.weather_longitude is None:
        return NoWeather("BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE are not set")
    place = settings.weather_latitude, settings.weather_longitude
    archive, forecast = settings.weather_archive_url, settings.weather_forecast_url
    description = f"Open-Meteo at {place[0]}, {place[1]} ({archive}, {forecast})"
    return ServiceWeather(OpenMeteo(archive, forecast, *place, settings.retries), home.timezone, description)
