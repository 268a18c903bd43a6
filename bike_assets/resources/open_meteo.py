"""The client of a weather service with Open-Meteo's API: returns hourly weather of UTC days, or raises.

Which weather is plausible belongs to `core.weather`, storing to `ingestion.weather`, the choice of a source to
`weather_source`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from bike_assets.core.service_access import Retries
from bike_assets.errors import UnreliableAnswerError
from bike_assets.resources.web import (
    MAX_BACKOFF_SECONDS,
    get,
    json_object,
    open_client,
    raise_for_reply,
    retry_attempts,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_DAYS = 92
"""The days of one request; also the past days that the forecast service keeps."""
VARIABLES = {
    "temperature": ("temperature_2m", "°C"),
    "rain": ("rain", "mm"),
    "wind": ("wind_speed_10m", "m/s"),
    "cloud": ("cloud_cover", "%"),
}
"""Our columns, each with the service's name and unit."""


class OpenMeteo:
    """The weather of one place.

    Args:
        archive_url: scheme, host and port of the archive, which has observed weather.
        forecast_url: scheme, host and port of the service that has forecasts and the newest days.
        latitude: latitude of the place, in degrees north.
        longitude: longitude of the place, in degrees east.
        retries: how long and how often to ask.
    """

    def __init__(
        self, archive_url: str, forecast_url: str, latitude: float, longitude: float, retries: Retries
    ) -> None:
        self._archive_url, self._forecast_url = archive_url, forecast_url
        self._place = {"latitude": str(latitude), "longitude": str(longitude)}
        self._retries = retries

    def observed(self, first: date, last: date) -> "pd.DataFrame":
        """Return the observed weather of the UTC days from first to last; the archive lacks the newest few days.

        Returns:
            Columns at (UTC), temperature (°C), rain (mm in the hour that ends then), wind (m/s) and cloud (%), each
            missing where the service answers null; one row per hour, in order of time.

        Raises:
            SourceUnavailableError: the service did not answer, refused, or its quota is used up.
            UnreliableAnswerError: its answer does not match the request.
        """
        return self._weather(self._archive_url, "/v1/archive", first, last)

    def forecast(self, first: date, last: date) -> "pd.DataFrame":
        """Return the current forecast for the UTC days from first to last, in the form of `observed`.

        The service also has the weather of the past 92 days.

        Raises:
            SourceUnavailableError: the service did not answer, refused, or its quota is used up.
            UnreliableAnswerError: its answer does not match the request.
        """
        return self._weather(self._forecast_url, "/v1/forecast", first, last)

    def _weather(self, address: str, path: str, first: date, last: date) -> "pd.DataFrame":
        import pandas as pd

        return pd.concat([self._part(address, path, *part) for part in _parts(first, last)], ignore_index=True)

    def _part(self, address: str, path: str, first: date, last: date) -> "pd.DataFrame":
        parameters = {
            **self._place,
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            "hourly": ",".join(name for name, _ in VARIABLES.values()),
            "wind_speed_unit": "ms",
            "timezone": "UTC",
        }
        timeout = self._retries.timeout_seconds
        for attempt in retry_attempts(self._retries.attempts, self._retries.backoff_seconds, MAX_BACKOFF_SECONDS):
            with attempt, open_client(timeout) as client:
                reply = get(client, address, path, parameters, timeout)
                if not reply.is_success:
                    raise_for_reply(address, reply)
                return _read(json_object(reply, address), address, first, last)
        raise AssertionError("the last attempt returns or raises")


def _parts(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Split the days into parts of at most the days of one request."""
    if last < first:
        raise ValueError(f"weather from {first} to {last}")
    while first <= last:
        end = min(last, first + timedelta(days=MAX_DAYS - 1))
        yield first, end
        first = end + timedelta(days=1)


def _read(envelope: Mapping[str, Any], address: str, first: date, last: date) -> "pd.DataFrame":
    """Return the weather of an answer.

    Raises:
        UnreliableAnswerError: the answer lacks a column or some hours, or has other units.
    """
    import pandas as pd

    hourly, units = envelope.get("hourly"), envelope.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        raise UnreliableAnswerError(f"{address} answered without hourly and hourly_units (found: {_names(envelope)}).")
    missing = [name for name in ("time", *_service_names()) if not isinstance(hourly.get(name), list)]
    if missing:
        raise UnreliableAnswerError(f"{address} answered without {', '.join(missing)} (found: {_names(hourly)}).")
    for name, unit in VARIABLES.values():
        if units.get(name) != unit:
            raise UnreliableAnswerError(f"{address} gives {name} in {units.get(name)!r}, expected {unit}.")
    at = pd.date_range(
        pd.Timestamp(first), pd.Timestamp(last) + pd.Timedelta(days=1), freq="h", inclusive="left", tz="UTC"
    ).as_unit("us")
    if hourly["time"] != at.strftime("%Y-%m-%dT%H:%M").tolist():
        raise UnreliableAnswerError(
            f"{address} was asked for each hour (UTC) from {first} to {last}, and answered with "
            f"{_extent(hourly['time'])}."
        )
    columns = {column: _numbers(hourly[name], name, address, len(at)) for column, (name, _) in VARIABLES.items()}
    return pd.DataFrame({"at": at, **columns})


def _numbers(values: Sequence[Any], name: str, address: str, hours: int) -> "pd.Series":
    """Return a column's values; null becomes a missing value."""
    import pandas as pd

    if len(values) != hours:
        raise UnreliableAnswerError(f"{address} gives {len(values):,} values of {name}, expected {hours:,}.")
    for value in values:
        if value is not None and not _is_number(value):
            raise UnreliableAnswerError(f"{address} gives {value!r} as {name}, expected a number or null.")
    return pd.Series(values, dtype="float64")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _service_names() -> list[str]:
    return [name for name, _ in VARIABLES.values()]


def _names(content: Mapping[str, Any]) -> str:
    return ", ".join(content) or "nothing"


def _extent(times: Sequence[Any]) -> str:
    return f"{len(times):,} from {times[0]} to {times[-1]}" if times else "none"
