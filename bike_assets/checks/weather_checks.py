"""The check of weather. It only warns: forecasts are also made without weather."""

import dagster as dg

from bike_assets.assets.weather import weather
from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.partitions import days_of
from bike_assets.resources.queries.weather import days_without_weather
from bike_assets.resources.warehouse import Warehouse
from bike_assets.resources.weather_source import NoWeather, WeatherSource

WARN = dg.AssetCheckSeverity.WARN
SHOWN_DAYS = 50


@dg.asset_check(asset=weather)
def weather_is_complete(
    context: dg.AssetCheckExecutionContext,
    weather_source: dg.ResourceParam[WeatherSource],
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
) -> dg.AssetCheckResult:
    """Each hour of each day of the run has temperature, rain, wind and cloud. A home without weather passes."""
    if isinstance(weather_source, NoWeather):
        return dg.AssetCheckResult(passed=True, severity=WARN, description=f"none, because {weather_source.why}")
    days = days_of(context)
    missing = days_without_weather(warehouse, Span(days[0], days[-1]), home.timezone)
    shown = ", ".join(map(str, missing[:SHOWN_DAYS]))
    return dg.AssetCheckResult(
        passed=not missing,
        severity=WARN,
        description=f"not whole: {shown}{', ...' if len(missing) > SHOWN_DAYS else ''}" if missing else None,
        metadata={"days": len(days), "bad_days": len(missing)},
    )
