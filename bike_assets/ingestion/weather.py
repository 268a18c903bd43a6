"""Ingests weather: requests the missing hours of local days from a source and merges them into the warehouse.

The asset `weather` uses this. What values mean belongs to `core.weather`, requests to a source to
`resources.weather_source`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from bike_assets.core.features import HORIZONS
from bike_assets.core.local_time import as_date, local_days
from bike_assets.core.schemas import WEATHER
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import OBSERVED, WEATHER_COLUMNS
from bike_assets.errors import BikeError
from bike_assets.resources.home_source import yesterday
from bike_assets.resources.queries.counts import whole_days
from bike_assets.resources.queries.weather import days_without_weather, known_weather
from bike_assets.resources.warehouse import Warehouse
from bike_assets.resources.weather_source import WeatherSource

RETRIED_DAYS = 28
"""A run requests missing weather again for this many days before its own: features look back four weeks."""


@dataclass(frozen=True)
class WeatherReading:
    """The weather in the warehouse after a reading.

    Attributes:
        days: number of requested local days.
        missing: number of these days without all hours and all four columns.
        hours_observed: number of hours of these days with an observed value.
        hours_forecast: number of hours after these days with a forecast issued on the last of them.
        implausible: number of values that this reading skipped as impossible weather.
        failure: why the reading stopped early; the values before that are stored. None if it did not.
    """

    days: int
    missing: int
    hours_observed: int
    hours_forecast: int
    implausible: int
    failure: str | None

    def __str__(self) -> str:
        because = f", because {self.failure}" if self.failure else ""
        if not self.hours_observed:
            return f"none{because or ', because the source has none of these days'}"
        if self.missing:
            return f"{self.missing} of {self.days} days are not whole{because}"
        return f"whole, but not all was read{because}" if because else "whole"


class WeatherIngestion:
    """Ingests weather from one source.

    Args:
        source: the source of weather.
        warehouse: the warehouse to write to.
        timezone: zone of the local days.
        first_day: the home's first local day; no weather before it is requested again.
    """

    def __init__(self, source: WeatherSource, warehouse: Warehouse, timezone: str, first_day: date) -> None:
        self._source, self._warehouse, self._timezone, self._first_day = source, warehouse, timezone, first_day
        self._implausible = 0

    def ingest(self, span: Span) -> WeatherReading:
        """Request missing weather: of the days, of the four weeks before them, and the forecast after the newest day.

        A failure is returned, not raised, because the models also forecast without weather.
        """
        failure = None
        try:
            with self._warehouse.write_lock(WEATHER):
                if self._is_newest(span.last):
                    self._forecast(span.last)
                again = max(min(self._first_day, span.first), span.first - timedelta(days=RETRIED_DAYS))
                self._observed(Span(again, span.last))
        except BikeError as error:
            failure = str(error).rstrip(".")
        known, ahead = known_weather(self._warehouse, span), known_weather(self._warehouse, _ahead(span.last))
        return WeatherReading(
            days=span.days,
            missing=len(days_without_weather(self._warehouse, span, self._timezone)),
            hours_observed=int((known["lead_days"] == OBSERVED).sum()),
            hours_forecast=int((ahead["issued_on"] == pd.Timestamp(span.last)).sum()),
            implausible=self._implausible,
            failure=failure,
        )

    def _observed(self, span: Span) -> None:
        """Request the days from the first to the last incomplete one."""
        missing = days_without_weather(self._warehouse, span, self._timezone)
        if missing:
            for rows in self._source.observed(Span(missing[0], missing[-1])):
                self._merge(rows, None)

    def _forecast(self, issued_on: date) -> None:
        """Request the forecast for the days after the newest one, unless it is already stored for all of them."""
        ahead = _ahead(issued_on)
        known = known_weather(self._warehouse, ahead)
        if known.loc[known["issued_on"] == pd.Timestamp(issued_on), "day"].nunique() < ahead.days:
            self._merge(self._source.forecast(ahead), issued_on)

    def _merge(self, rows: pd.DataFrame, issued_on: date | None) -> None:
        """Add hours with at least one value; an observed hour replaces a stored one that has fewer values."""
        self._implausible += int(rows["implausible"].sum())
        values = rows[rows[list(WEATHER_COLUMNS)].notna().any(axis=1)].reset_index(drop=True)
        if values.empty:
            return
        days = local_days(values["at"], self._timezone)
        leads = (days - pd.Timestamp(issued_on)).dt.days if issued_on else OBSERVED
        values = values.assign(day=days, lead_days=leads)
        known = known_weather(self._warehouse, Span(as_date(days.min()), as_date(days.max())))
        before = values.merge(known[["at", "lead_days", "known"]], on=["at", "lead_days"], how="left")["known"]
        now = values[list(WEATHER_COLUMNS)].notna().sum(axis=1)
        fresh = values[before.isna() if issued_on else now > before.fillna(0)]
        source, ingested_at = self._source.description, datetime.now(UTC)
        self._warehouse.merge(WEATHER, fresh.assign(source=source, ingested_at=ingested_at))

    def _is_newest(self, day: date) -> bool:
        """Whether to request a forecast after this day: no later day is whole, and some forecast days are not over."""
        whole = whole_days(self._warehouse, self._timezone)
        return (whole is None or whole.last <= day) and (yesterday(self._timezone) - day).days < max(HORIZONS)


def _ahead(issued_on: date) -> Span:
    """Return the days that a forecast issued on a day covers."""
    return Span(issued_on + timedelta(days=min(HORIZONS)), issued_on + timedelta(days=max(HORIZONS)))
