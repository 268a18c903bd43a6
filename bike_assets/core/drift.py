"""Drift of a week against a reference of the same season, by Evidently. What follows from it belongs to `decisions`.

What drifts by definition (hours, weekdays, places) is left out, the reference has the season and the weekdays of the
week it is compared with, and its size is fixed: Evidently picks its statistics by the size of the reference.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from bike_assets.core.splits import Span

WINDOW_DAYS = 7
YEAR = timedelta(weeks=52)
WEEKS_AROUND = timedelta(weeks=3)
RECENT_WEEKS = 8
GAP_DAYS = 7
SETTLING_DAYS = 28
"""The first days of a home have no base of their own and are no reference."""
LEAST_REFERENCE_DAYS = 21
SAMPLE_ROWS = 20_000
LEAST_CURRENT_ROWS = 1_600
NUMBERS = (
    "bike_count",
    "base",
    "predicted_count",
    "residual",
    "ratio_last_day",
    "ratio_week_ago",
    "level_7_over_28",
    "log_level_28",
)
CATEGORIES = ("counter_id",)


@dataclass(frozen=True)
class Reference:
    """The days that a week is compared with, and why these."""

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
    """Drift of a week; share is None where there is not enough data to speak of it."""

    share: float | None
    columns: tuple[ColumnDrift, ...]
    rows_current: int
    rows_reference: int

    @property
    def drifted(self) -> list[str]:
        """Names of the drifted columns."""
        return [column.column for column in self.columns if column.drifted]


def week_to(day: date) -> Span:
    """Return the seven days that end with a day."""
    return Span(day - timedelta(days=WINDOW_DAYS - 1), day)


def pick_reference(day: date, first_day: date) -> Reference | None:
    """Pick the reference of the week to a day.

    The same weeks of last year, give or take three, where the home has at least three whole weeks of them; else the
    eight weeks that end seven days before the week. Both hold whole weeks, so the weekdays match. None where the home
    has neither.
    """
    usable = first_day + timedelta(days=SETTLING_DAYS)
    week = week_to(day)
    last_year = Span(max(week.first - YEAR - WEEKS_AROUND, usable), week.last - YEAR + WEEKS_AROUND)
    recent_end = week.first - timedelta(days=GAP_DAYS + 1)
    recent = Span(max(recent_end - timedelta(days=7 * RECENT_WEEKS - 1), usable), recent_end)
    for name, span in (("same weeks last year", last_year), ("the weeks before", recent)):
        whole = Span(span.last - timedelta(days=span.days // 7 * 7 - 1), span.last)
        if whole.days >= LEAST_REFERENCE_DAYS:
            return Reference(whole, name)
    return None


def measure_drift(current: pd.DataFrame, reference: pd.DataFrame, seed: int, html: Path | None = None) -> Drift:
    """Measure the share of drifted columns.

    Args:
        current: the week's rows with NUMBERS and CATEGORIES.
        reference: the reference's rows with the same columns.
        seed: of the samples.
        html: where to save Evidently's report.

    Returns:
        The drift; without a share where the week has fewer than 1,600 rows or the reference none.
    """
    current, reference = (_sample(rows, seed) for rows in (current, reference))
    if len(current) < LEAST_CURRENT_ROWS or reference.empty:
        return Drift(None, (), len(current), len(reference))
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=list(NUMBERS), categorical_columns=list(CATEGORIES))
    snapshot = Report([DataDriftPreset(columns=[*NUMBERS, *CATEGORIES])]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(html))
    columns = tuple(_column(metric) for metric in snapshot.dict()["metrics"] if "column" in metric["config"])
    share = sum(column.drifted for column in columns) / len(columns)
    return Drift(share, columns, len(current), len(reference))


def _column(metric: dict) -> ColumnDrift:
    config, score = metric["config"], float(metric["value"])
    method, threshold = str(config["method"]), float(config["threshold"])
    below = "p_value" in method
    return ColumnDrift(config["column"], method, score, threshold, score < threshold if below else score >= threshold)


def _sample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    rows = rows[[*NUMBERS, *CATEGORIES]].dropna()
    return rows.sample(SAMPLE_ROWS, random_state=seed) if len(rows) > SAMPLE_ROWS else rows
