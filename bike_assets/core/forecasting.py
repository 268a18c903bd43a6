"""The daily forecast: every active counter and hour of the next days. Storing and scoring do not belong here."""

from datetime import date

import numpy as np
import pandas as pd

from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import SEASONAL, CountCube, feature_rows, forecast_days
from bike_assets.core.place import Place
from bike_assets.core.weather_cube import WeatherCube

ACTIVE_DAYS = 28
"""A counter that published no count for this long gets no forecast until it publishes again."""


def active_counters(cube: CountCube, day: date) -> set[str]:
    """Return the counters that published a count, even zero, in the four weeks that end with a day."""
    end = (day - cube.first_day).days + 1
    recent = cube.values[max(0, end - ACTIVE_DAYS) : max(0, end)]
    seen = ~np.isnan(recent).all(axis=(0, 1))
    return {counter for counter, active in zip(cube.counters, seen, strict=True) if active}


def forecast(
    cube: CountCube,
    issued_on: date,
    model: ServedModel,
    place: Place,
    weather: WeatherCube | None = None,
) -> pd.DataFrame:
    """Forecast the days after `issued_on` from the counts up to it.

    Args:
        cube: counts; those after `issued_on` are not used.
        issued_on: the last local day with counts.
        model: the version that forecasts.
        place: the holidays and the zone of the local days.
        weather: of the days to forecast and of the weeks before them, if any.

    Returns:
        One row a counter and hour of the next three local days: issued_on, counter_id, counted_at (UTC), day,
        horizon_days, predicted_count and naive_count (bikes an hour), known_counter (seen in training).
    """
    known = cube.until(issued_on)
    parts = [
        feature_rows(known, [day], horizon, place, weather)
        for horizon, day in enumerate(forecast_days(issued_on), start=1)
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["counter_id"].isin(active_counters(known, issued_on))].reset_index(drop=True)
    out = rows[["counter_id", "counted_at", "day"]].copy()
    out.insert(0, "issued_on", np.datetime64(issued_on, "s"))
    out["horizon_days"] = rows["horizon_days"].astype("int64")
    out["predicted_count"] = model.predict(rows)
    out["naive_count"] = rows[SEASONAL].astype("float64")
    out["known_counter"] = rows["counter_id"].isin(model.counters)
    return out
