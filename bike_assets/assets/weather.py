"""Weather by local day, an optional input. `ingestion.weather` requests and merges it."""

import dagster as dg

from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.ingestion.weather import WeatherIngestion
from bike_assets.partitions import days_of
from bike_assets.resources.warehouse import Warehouse
from bike_assets.resources.weather_source import NoWeather, WeatherSource


@dg.asset(deps=["published_weather"], backfill_policy=dg.BackfillPolicy.single_run(), kinds={"parquet"})
def weather(
    context: dg.AssetExecutionContext,
    weather_source: dg.ResourceParam[WeatherSource],
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
) -> dg.MaterializeResult:
    """Hourly temperature, rain, wind and cloud: observed for past days, forecast for days after the newest one.

    Missing weather never fails a run. Forecasts are then made from counts alone.
    """
    days = days_of(context)
    span = Span(days[0], days[-1])
    if isinstance(weather_source, NoWeather):
        context.log.info(f"There is no weather, because {weather_source.why}.")
        return dg.MaterializeResult(metadata={"weather": f"none, because {weather_source.why}"})
    reading = WeatherIngestion(weather_source, warehouse, home.timezone, home.first_day).ingest(span)
    if reading.failure or reading.missing:
        context.log.warning(f"Weather of {span.first} to {span.last}: {reading}.")
    return dg.MaterializeResult(
        metadata={
            "weather": str(reading),
            "source": weather_source.description,
            "hours_observed": reading.hours_observed,
            "hours_forecast": reading.hours_forecast,
            "implausible_values": reading.implausible,
        }
    )
