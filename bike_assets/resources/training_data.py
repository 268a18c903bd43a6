"""The data of a training: the sliding window as the settings cut it, and the test sets. Fitting belongs to `core`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bike_assets.core.features import HORIZONS
from bike_assets.core.local_time import days_between
from bike_assets.core.splits import TEST_BASELINE, TEST_CURRENT, TRAIN_BASELINE, TRAIN_CURRENT, Span, newest_months
from bike_assets.core.weather_cube import WeatherCube
from bike_assets.errors import BikeError
from bike_assets.resources.queries.features import count_features, read_features
from bike_assets.resources.queries.splits import recorded_split
from bike_assets.resources.queries.weather import read_weather_cube
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


@dataclass(frozen=True)
class TrainingData:
    """The recorded sets; their rows are read on first use.

    Attributes:
        warehouse: where the rows are stored.
        spans: days to learn from, by training set.
        test_spans: days to score, by test set.
        hashes: content hashes of the recorded sets and of the weather, by name; also the share if it is below 1.
        cut_on: newest whole local day at the time when test_current was cut.
        left_out: ids of excluded counters.
        share: share of the counted hours to read, in every set; below 1 if all rows would be too many.
        weather: weather of the days to learn from and of the weeks before them; None if there is none.
    """

    warehouse: Warehouse
    spans: dict[str, Span]
    test_spans: dict[str, Span]
    hashes: dict[str, str]
    cut_on: date
    left_out: list[str]
    share: float
    weather: WeatherCube | None

    @property
    def identity(self) -> list[str]:
        """Everything that determines the training rows."""
        learned = [self.hashes[name] for name in (TRAIN_BASELINE, TRAIN_CURRENT)]
        days = [f"{name} {span.first} {span.last}" for name, span in self.spans.items()]
        drawn = [f"share {self.share}"] if self.share < 1 else []
        return [*learned, *days, f"weather {self.hashes['weather']}", *drawn, *self.left_out]

    @property
    def last_day(self) -> date:
        """The newest day to learn from."""
        return max(span.last for span in self.spans.values())

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Training rows of every horizon."""
        return self._read(self.spans.values())

    @cached_property
    def tests(self) -> dict[str, pd.DataFrame]:
        """Test rows of every horizon, by set, oldest set first."""
        return {name: self._read([span]) for name, span in self.test_spans.items()}

    def _read(self, spans: Iterable[Span]) -> pd.DataFrame:
        return read_features(self.warehouse, spans, self.left_out, share=self.share)

    @property
    def facts(self) -> dict[str, Any]:
        """What the model learned from, for the UI."""
        seen = self.rows["counter_id"].nunique()
        return {
            "rows_seen": len(self.rows),
            "share_of_rows": self.share,
            "days_seen": sum(span.days for span in self.spans.values()),
            "counters_seen": seen,
            "first_day": str(min(span.first for span in self.spans.values())),
            "last_day": str(self.last_day),
            "counters_left_out": ", ".join(self.left_out) or "none",
            "weather": self._describe_weather(),
        }

    def _describe_weather(self) -> str:
        days = [day for span in self.spans.values() for day in days_between(span.first, span.last)]
        shares = [self.weather.shares(days, horizon) for horizon in HORIZONS] if self.weather else []
        known, as_forecast = np.mean(shares, axis=0) if shares else (0.0, 0.0)
        if not known:
            return "none is known: learned without it"
        return f"known of {known:.0%} of the hours: {as_forecast:.0%} as forecast, the rest as observed afterwards"


def read_training_data(warehouse: Warehouse, settings: Settings) -> TrainingData:
    """Return the data of a training, from the recorded sets and the settings.

    Raises:
        BikeError: the sets do not exist yet.
    """
    records = {}
    for name in (TRAIN_BASELINE, TRAIN_CURRENT, TEST_BASELINE, TEST_CURRENT):
        record = recorded_split(warehouse, name)
        if record is None:
            raise BikeError(f"{name} was not cut yet: materialize the four sets first (the job retrain does).")
        records[name] = record
    spans = {name: Span(record["first_day"], record["last_day"]) for name, record in records.items()}
    learned = {name: spans[name] for name in (TRAIN_BASELINE, TRAIN_CURRENT) if spans[name].days}
    if settings.training_window_months is not None:
        learned = newest_months(learned, settings.training_window_months)
    weather = read_weather_cube(warehouse, _hull(learned.values()), settings.timezone)
    tests = {name: spans[name] for name in (TEST_BASELINE, TEST_CURRENT)}
    available = count_features(warehouse, [*learned.values(), *tests.values()], settings.left_out)
    share = _share(settings.training_rows, available)
    hashes = {name: record["content_hash"] for name, record in records.items()}
    hashes["weather"] = weather.digest if weather else "none"
    if share < 1:
        hashes["share"] = str(share)
    return TrainingData(
        warehouse,
        learned,
        tests,
        hashes,
        records[TEST_CURRENT]["cut_on"],
        settings.left_out,
        share,
        weather,
    )


def _share(allowed: int, available: int) -> float:
    """Return the share of rows to read, in whole percent: a few rows more or less do not change the selection."""
    return 1.0 if available <= allowed else max(100 * allowed // available, 1) / 100


def _hull(spans: Iterable[Span]) -> Span:
    spans = list(spans)
    return Span(min(span.first for span in spans), max(span.last for span in spans))
