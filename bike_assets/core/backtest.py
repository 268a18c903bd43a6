"""Forecasts of past days, by models that saw only earlier days. Prints nothing.

Every family is fitted on the days before the range, or before each part of the range when it is refitted. It forecasts
each day of the range at each horizon from the counts that were known at that time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from bike_assets.core.calendar import is_holiday
from bike_assets.core.families import FAMILIES, Family, Trained
from bike_assets.core.families.blend import MEMBERS, Blend
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, SEASONAL, build_cube, feature_rows
from bike_assets.core.local_time import days_between
from bike_assets.core.place import Place
from bike_assets.core.scoring import Scores, score
from bike_assets.core.splits import Span
from bike_assets.core.training import validate_training_rows
from bike_assets.core.weather_cube import WeatherCube

NAIVE = "seasonal_naive"
Refit = Literal["never", "monthly", "weekly"]


@dataclass
class FamilyResult:
    """The result of one family.

    Attributes:
        predicted: forecasts (bikes an hour) of the scored rows, in their order.
        fit_cpu_seconds: CPU time of all its fits; a blend's includes its members'.
        predict_seconds: wall time of all its forecasts.
    """

    predicted: np.ndarray
    fit_cpu_seconds: float = 0.0
    predict_seconds: float = 0.0


@dataclass(frozen=True)
class Backtest:
    """A finished backtest.

    Attributes:
        rows: the scored rows: counter_id, counted_at, day, horizon_days, bike_count, base, and is_new: the model
            that forecast the row had no training row of its counter.
        results: by family, including the seasonal naive.
        holidays: local days of the range that are public holidays.
    """

    rows: pd.DataFrame
    results: dict[str, FamilyResult]
    holidays: list[date] = field(default_factory=list)

    def scores(self, family: str, chosen: "pd.Series[bool] | None" = None) -> Scores:
        """Score a family on all rows, or on the chosen ones."""
        mask = np.ones(len(self.rows), dtype=bool) if chosen is None else chosen.to_numpy(dtype=bool)
        return score(self.rows["bike_count"][mask], self.results[family].predicted[mask])

    def slices(self) -> dict[str, "pd.Series[bool]"]:
        """Return the subsets of the rows that get scores of their own."""
        horizons = {f"{horizon} d": self.rows["horizon_days"] == horizon for horizon in HORIZONS}
        return {
            **horizons,
            "new": self.rows["is_new"],
            "holidays": self.rows["day"].isin(pd.to_datetime(self.holidays)),
        }


def run_backtest(
    counts: pd.DataFrame,
    span: Span,
    families: Sequence[str],
    refit: Refit,
    place: Place,
    seed: int,
    threads: int,
    weather: WeatherCube | None = None,
    log_progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Forecast each day of a span from what was known before it.

    Args:
        counts: counter_id, counted_at (UTC) and bike_count of the span and of the months before it.
        span: the local days to forecast.
        families: names of `FAMILIES`; the seasonal naive is always added.
        refit: how often the families are refitted on all earlier days.
        place: the holidays and the zone of the local days.
        seed: of the fits.
        threads: of the fits.
        weather: of the same days, if any.
        log_progress: is called with each progress message.

    Raises:
        ValueError: there are no counts in the span, or none before it to train on.
    """
    log_progress("making features")
    rows = _rows(counts, span, place, weather)
    inside = rows["day"].between(pd.Timestamp(span.first), pd.Timestamp(span.last))
    scored = rows[inside].reset_index(drop=True)
    if scored.empty:
        raise ValueError(f"there are no counts to score from {span.first} to {span.last}")
    scored["is_new"] = False
    results = {name: FamilyResult(np.full(len(scored), np.nan)) for name in families}
    for part in _parts(span, refit):
        before = rows[rows["day"] < pd.Timestamp(part.first)]
        validate_training_rows(before)
        where = scored["day"].between(pd.Timestamp(part.first), pd.Timestamp(part.last)).to_numpy()
        scored.loc[where, "is_new"] = ~scored.loc[where, "counter_id"].isin(before["counter_id"].unique())
        _forecast_part(part, before, scored[where], where, results, seed, threads, log_progress)
    results[NAIVE] = FamilyResult(scored[SEASONAL].to_numpy(dtype=np.float64))
    return Backtest(
        scored, results, [day for day in days_between(span.first, span.last) if is_holiday(day, place.country)]
    )


def _forecast_part(
    part: Span,
    before: pd.DataFrame,
    rows: pd.DataFrame,
    where: np.ndarray,
    results: dict[str, FamilyResult],
    seed: int,
    threads: int,
    log_progress: Callable[[str], None],
) -> None:
    trained: dict[str, Trained] = {}
    seconds: dict[str, float] = {}
    for name in sorted(results, key=list(FAMILIES).index):
        log_progress(f"fitting {name} on {len(before):,} rows before {part.first}")
        family = FAMILIES[name](FAMILIES[name].config_type(), seed, threads)
        family.counters = sorted(before["counter_id"].unique())
        ready = {member.name: trained[member.name] for member in MEMBERS if member.name in trained}
        if isinstance(family, Blend):
            family.adopt(ready)
        trained[name], seconds[name] = _fit(family, before)
        if isinstance(family, Blend):
            seconds[name] += sum(seconds[member] for member in ready)
        results[name].fit_cpu_seconds += seconds[name]
        model = ServedModel(trained[name].onnx, trained[name].sha256, trained[name].counters)
        began = time.perf_counter()
        results[name].predicted[where] = model.predict(rows)
        results[name].predict_seconds += time.perf_counter() - began


def _fit(family: Family, rows: pd.DataFrame) -> tuple[Trained, float]:
    began = time.process_time()
    family.fit(rows)
    seconds = time.process_time() - began
    return Trained(family.to_onnx(), family.counters), seconds


def _rows(counts: pd.DataFrame, span: Span, place: Place, weather: WeatherCube | None) -> pd.DataFrame:
    """Features, base and count of every counted hour up to the end of the span, at every horizon."""
    counts = counts[counts["counted_at"] < pd.Timestamp(span.last, tz=place.timezone) + pd.Timedelta(days=1)]
    if counts.empty:
        raise ValueError(f"there are no counts up to {span.last}")
    cube = build_cube(counts, place.timezone)
    days = days_between(cube.first_day, cube.last_day)
    parts = [feature_rows(cube, days, horizon, place, weather) for horizon in HORIZONS]
    keys = ["counter_id", "counted_at"]
    return pd.concat(parts, ignore_index=True).merge(counts[[*keys, "bike_count"]], on=keys)


def _parts(span: Span, refit: Refit) -> list[Span]:
    """The parts of a span; each is forecast by one fit."""
    if refit == "never":
        return [span]
    days = days_between(span.first, span.last)
    begins = [day for day in days if day == span.first or (day.day == 1 if refit == "monthly" else day.weekday() == 0)]
    ends = [begin - timedelta(days=1) for begin in begins[1:]] + [span.last]
    return [Span(begin, end) for begin, end in zip(begins, ends, strict=True)]
