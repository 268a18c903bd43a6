"""Drift of a week against a reference of the same season, by Evidently. What follows from it belongs to `decisions`.

The columns compare counts, forecasts and residuals, each relative to the counter's own level, so that season and growth
are no drift. Columns that drift by definition (hours, weekdays, places) are left out. A column has drifted when the
distance of the week from the reference reaches 1.75 times the mean distance of the reference's own weeks from one
another, so that ordinary changes of weather are no drift either.
"""

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.core.features import SEASONAL
from bike_assets.core.splits import Span

WINDOW_DAYS = 7
YEAR = timedelta(weeks=52)
WEEKS_AROUND = timedelta(weeks=3)
RECENT_WEEKS = 8
GAP_DAYS = 7
SETTLING_DAYS = 28
"""The first days of a home have no base of their own; a reference leaves them out."""
MIN_REFERENCE_DAYS = 21
SAMPLE_ROWS = 20_000
MIN_CURRENT_ROWS = 1_600
FEATURES_COMPARED = ("ratio_7_day_hour_mean", "level_7_over_28")
COLUMNS = ("count_to_level", "count_to_base", "predicted_to_level", "residual_to_level", *FEATURES_COMPARED)
MIN_THRESHOLD = 0.1
"""Evidently's default threshold for this statistic."""
ORDINARY_WEEK_FACTOR = 1.75
LEVEL_OFFSET = 10.0
"""Bikes an hour added to a level before dividing by it, so that counters with few bikes weigh little."""


@dataclass(frozen=True)
class Reference:
    """The days that a week is compared with, and the name of that choice."""

    span: Span
    name: str


@dataclass(frozen=True)
class ColumnDrift:
    """One column's statistic."""

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """Drift of a week; share is None where there is not enough data."""

    share: float | None
    columns: tuple[ColumnDrift, ...]
    rows_current: int
    rows_reference: int

    @property
    def drifted(self) -> list[str]:
        """Names of the drifted columns."""
        return [column.column for column in self.columns if column.drifted]


def week_to(day: date) -> Span:
    """Return the seven days up to and including a day."""
    return Span(day - timedelta(days=WINDOW_DAYS - 1), day)


def pick_reference(day: date, first_day: date) -> Reference | None:
    """Pick the reference of the week to a day.

    The first choice is the same week of last year with three weeks on either side, the second the eight weeks that end
    seven days before the week. Either needs at least three whole weeks of the home's days, and holds whole weeks only,
    so that the weekdays match. None where neither is there.
    """
    usable = first_day + timedelta(days=SETTLING_DAYS)
    week = week_to(day)
    last_year = Span(max(week.first - YEAR - WEEKS_AROUND, usable), week.last - YEAR + WEEKS_AROUND)
    recent_end = week.first - timedelta(days=GAP_DAYS + 1)
    recent = Span(max(recent_end - timedelta(days=7 * RECENT_WEEKS - 1), usable), recent_end)
    for name, span in (("same weeks last year", last_year), ("the weeks before", recent)):
        whole = Span(span.last - timedelta(days=span.days // 7 * 7 - 1), span.last)
        if whole.days >= MIN_REFERENCE_DAYS:
            return Reference(whole, name)
    return None


def measure_drift(current: pd.DataFrame, reference: pd.DataFrame, seed: int, html: Path | None = None) -> Drift:
    """Measure the share of drifted columns, over the counters that are in both.

    Args:
        current: the week's rows with counter_id, day, FEATURES, base, bike_count and predicted_count.
        reference: the reference's rows with the same columns.
        seed: of the samples.
        html: where to save Evidently's report, which shows the same share.

    Returns:
        The drift; share is None where either has fewer than 1,600 comparable rows.
    """
    shared = set(current["counter_id"]) & set(reference["counter_id"])
    current, reference = (_sample(_comparable(rows[rows["counter_id"].isin(shared)]), seed)
                          for rows in (current, reference))  # fmt: skip
    if min(len(current), len(reference)) < MIN_CURRENT_ROWS:
        return Drift(None, (), len(current), len(reference))
    with warnings.catch_warnings():
        # Python 3.12 and later warn of escapes in its files when it compiles them.
        warnings.simplefilter("ignore", SyntaxWarning)
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

    preset = DataDriftPreset(
        columns=list(COLUMNS), num_method="wasserstein", per_column_threshold=_thresholds(reference)
    )
    definition = DataDefinition(numerical_columns=list(COLUMNS))
    snapshot = Report([preset]).run(
        *(Dataset.from_pandas(rows[list(COLUMNS)], data_definition=definition) for rows in (current, reference))
    )
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(html))
    total, *each = snapshot.dict()["metrics"]
    return Drift(float(total["value"]["share"]), tuple(map(_column, each)), len(current), len(reference))


def _comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the day and COLUMNS of rows; rows with a missing value are left out."""
    level = np.expm1(rows["log_level_28"]) + LEVEL_OFFSET
    columns = {
        "count_to_level": rows["bike_count"] / level,
        "count_to_base": np.log1p(rows["bike_count"]) - np.log1p(rows[SEASONAL]),
        "predicted_to_level": rows["predicted_count"] / level,
        "residual_to_level": (rows["bike_count"] - rows["predicted_count"]) / level,
    }
    return rows[["day", *FEATURES_COMPARED]].assign(**columns).dropna()


def _thresholds(reference: pd.DataFrame) -> dict[str, float]:
    """Return for each column 1.75 times the mean distance of a reference week from the others, at least 0.1."""
    week = (reference["day"] - reference["day"].min()).dt.days // 7
    return {column: max(MIN_THRESHOLD, ORDINARY_WEEK_FACTOR * _mean_distance(reference[column], week))
            for column in COLUMNS}  # fmt: skip


def _mean_distance(values: pd.Series, week: pd.Series) -> float:
    """Return the mean distance of a week from all other weeks; 0 for a single week."""
    if week.nunique() < 2:
        return 0.0
    return float(np.mean([_distance(values[week == each], values[week != each]) for each in week.unique()]))


def _distance(some: pd.Series, others: pd.Series) -> float:
    """Return the normed Wasserstein distance, as Evidently computes it."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(others, some) / max(float(np.std(others)), 0.001))


def _column(metric: dict) -> ColumnDrift:
    config, score = metric["config"], float(metric["value"])
    threshold = float(config["threshold"])
    return ColumnDrift(config["column"], str(config["method"]), score, threshold, score >= threshold)


def _sample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    return rows.sample(SAMPLE_ROWS, random_state=seed) if len(rows) > SAMPLE_ROWS else rows
