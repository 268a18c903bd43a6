"""What should hold of weather; a warning stops nothing, since forecasts are made without it, too."""

import dagster as dg

from bike_assets.assets.weather import weather
from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.partitions import days_of
from bike_assets.resources.queries import days_without_weather
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
    """Every day of the run has all its hours with temperature, rain, wind and cloud, where the home has weather."""
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
