"""Training rows: the features of each counted hour. `core.features` computes them."""

import dagster as dg
import pandas as pd

from bike_assets.core.features import FEATURES, HORIZONS, CountCube, feature_rows
from bike_assets.core.local_time import days_between
from bike_assets.core.place import Place
from bike_assets.core.schemas import HOURLY_FEATURES
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import WEATHER_FEATURES
from bike_assets.partitions import days_of
from bike_assets.resources.queries.counts import read_counts, read_cube
from bike_assets.resources.queries.weather import read_weather_cube
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

CHUNK_DAYS = 31
"""Days whose features are computed at once. This bounds the memory."""


@dg.asset(
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["raw_counts", "weather"],
    kinds={"parquet", "numpy"},
)
def hourly_features(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Features of each counted hour at horizons of 1, 2 and 3 days, from the counts known that many days before."""
    days = days_of(context)
    written, with_weather = 0, 0
    for chunk in Span(days[0], days[-1]).chunks(CHUNK_DAYS):
        rows = training_rows(warehouse, chunk, settings.place)
        warehouse.merge(HOURLY_FEATURES, rows, complete_days=days_between(chunk.first, chunk.last))
        written += len(rows)
        with_weather += int(rows[list(WEATHER_FEATURES)].notna().any(axis=1).sum())
        context.log.info(f"features of {chunk.first} to {chunk.last} made")
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": written,
            "features": len(FEATURES),
            "rows_with_weather": with_weather,
        }
    )


def training_rows(warehouse: Warehouse, span: Span, place: Place) -> pd.DataFrame:
    """Return the features and counts of the counted hours of a span; no rows if nothing was counted."""
    counts = read_counts(warehouse, span)
    if counts.empty:
        return pd.DataFrame(columns=list(HOURLY_FEATURES.columns))
    cube: CountCube = read_cube(warehouse, span, place.timezone)
    days = sorted(set(counts["day"].dt.date))
    weather = read_weather_cube(warehouse, span, place.timezone)
    parts = [feature_rows(cube, days, horizon, place, weather) for horizon in HORIZONS]
    rows = pd.concat(parts, ignore_index=True).merge(
        counts[["counter_id", "counted_at", "bike_count"]], on=["counter_id", "counted_at"]
    )
    return rows.astype({"horizon_days": "int64"})
