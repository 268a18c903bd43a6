"""Forecasts, issued day by day. `core.forecasting` computes them; `monitoring` scores them."""

from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd

from bike_assets.core.features import HORIZONS, forecast_days
from bike_assets.core.forecasting import forecast
from bike_assets.core.local_time import as_date, days_between
from bike_assets.core.plots import as_markdown, city_by_hour
from bike_assets.core.schemas import PREDICTIONS
from bike_assets.core.splits import Span
from bike_assets.core.summary import ModelEntry
from bike_assets.core.weather_cube import WeatherCube
from bike_assets.partitions import days_of
from bike_assets.resources.queries.counts import read_cube, whole_days
from bike_assets.resources.queries.predictions import forecast_days_of
from bike_assets.resources.queries.weather import read_weather_cube
from bike_assets.resources.registry import Registry
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

ISSUED, HINDCAST = "issued", "hindcast"
HINDCAST_DAYS = 6 + max(HORIZONS)
"""Days before a day whose forecasts its 7-day scores compare."""


@dg.asset(
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["champion", "raw_counts", "weather"],
    kinds={"onnx", "parquet"},
)
def predictions(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Forecasts of the three days after each day of counts, by the champion and by the first, never retrained one."""
    summary, days = registry.read(), days_of(context)
    if summary.champion is None:
        raise dg.Failure("there is no champion to forecast with: run the retrain job", allow_retries=False)
    newest = whole_days(warehouse, settings.timezone)
    first = days[0] - timedelta(days=HINDCAST_DAYS)
    cube = read_cube(warehouse, Span(first, days[-1]), settings.timezone)
    weather = read_weather_cube(warehouse, Span(first, forecast_days(days[-1])[-1]), settings.timezone)
    written, rows = 0, pd.DataFrame()
    for entry in _forecasters(summary.champion, summary.first_champion):
        model = registry.load(entry)
        for day in _days_to_forecast(warehouse, entry, first, days):
            kind = ISSUED if entry is summary.champion and _is_newest(day, newest) else HINDCAST
            rows = forecast(cube, day, model, settings.place, weather)
            rows = rows.assign(kind=kind, model_version=entry.version, family=entry.family)
            written += warehouse.merge(PREDICTIONS, rows).added
            context.log.info(f"version {entry.version}: forecast as of {day}")
    metadata = {"weather": _describe_weather(weather, days[-1]), **_metadata(summary.champion, rows, written)}
    return dg.MaterializeResult(metadata=metadata)


def _days_to_forecast(warehouse: Warehouse, entry: ModelEntry, first: date, days: list[date]) -> list[date]:
    """Return the days of the run, and earlier days for which a newly promoted version has no hindcast yet.

    A version never forecasts days that it was trained on.
    """
    known = forecast_days_of(warehouse, Span(first, days[-1]), entry.version) - set(days)
    begin = max(first, date.fromisoformat(entry.trained_until))
    return [day for day in days_between(begin, days[-1]) if day not in known]


def _describe_weather(weather: WeatherCube | None, issued_on: date) -> str:
    """Return how much of the weather of its days the newest forecast knew."""
    ahead = forecast_days(issued_on)
    shares = [weather.shares([day], lead) for lead, day in enumerate(ahead, 1)] if weather else []
    known, as_forecast = (np.sum(shares, axis=0) / len(ahead)) if shares else (0.0, 0.0)
    if not known:
        return "unknown: the forecast is made without it"
    return f"known for {known:.0%} of the hours: {as_forecast:.0%} as forecast, the rest as observed afterwards"


def _forecasters(champion: ModelEntry, first: ModelEntry | None) -> list[ModelEntry]:
    """Return the versions that forecast. The first champion always does: it shows what retraining is worth."""
    return [champion] if first is None or first.version == champion.version else [first, champion]


def _is_newest(day: date, newest: Span | None) -> bool:
    """Whether no later counts were known. A forecast made later is a hindcast, and is marked as one."""
    return newest is None or newest.last <= day


def _metadata(champion: ModelEntry, rows: pd.DataFrame, written: int) -> dict:
    if rows.empty:
        return {"model_version": champion.version, "dagster/partition_row_count": 0}
    ahead = rows[rows["horizon_days"] == 1]
    busiest = ahead.groupby("counter_id")["predicted_count"].sum().nlargest(3)
    return {
        "model_version": champion.version,
        "family": champion.family,
        "kind": str(rows["kind"].iloc[0]),
        "dagster/partition_row_count": len(rows),
        "rows_added": written,
        "forecast_day": str(as_date(ahead["day"].iloc[0])),
        "unknown_counters": int(rows.loc[~rows["known_counter"], "counter_id"].nunique()),
        "busiest_counters": dg.MetadataValue.json({str(name): round(float(v)) for name, v in busiest.items()}),
        "next_three_days": dg.MetadataValue.md(as_markdown(city_by_hour(rows, "The next three days"), "forecast")),
    }
