"""The report of a trained version for MLflow and the UI: metrics by name, tables and plots.

Scoring belongs to `training` and `breakdown`; publishing the report belongs to `resources.tracking` and the assets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from bike_assets.core.breakdown import GROUPINGS
from bike_assets.core.plots import city_by_hour, error_by_hour, worst_counters
from bike_assets.core.scoring import Scores
from bike_assets.core.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("rmse", "r2", "mae", "naive_rmse")


@dataclass(frozen=True)
class ModelReport:
    """The report of a training.

    Attributes:
        metrics: such as `r2_test_current_h1` and `naive_r2_test_current_h1`; NaN is left out.
        curves: such as `rmse_by_hour`, by hour (0 to 23) or weekday (0: Monday), a day ahead on the newest test set.
        tables: scores by counter, hour and weekday, by file name.
        figures: plots by file name.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Mapping[int, float]]
    tables: Mapping[str, pd.DataFrame]
    figures: "Mapping[str, Figure]"


def report_of(training: Training) -> ModelReport:
    """Build the report of a training."""
    return ModelReport(
        metrics={**_named(training.scores), **_named(training.naive_scores, "naive_")},
        curves={
            f"{metric}_by_{grouping}": _curve(training.group_scores[grouping], GROUPINGS[grouping], metric)
            for grouping in ("hour", "weekday")
            for metric in CURVES
        },
        tables={f"scores_by_{grouping}.json": table for grouping, table in training.group_scores.items()},
        figures={
            "newest_week.png": city_by_hour(training.newest_week, "The newest week of test_current, a day ahead"),
            "error_by_hour.png": error_by_hour(
                training.group_scores["hour"], "Error by local hour, test_current, a day ahead"
            ),
            "worst_counters.png": worst_counters(training.group_scores["counter"], "The worst counters, test_current"),
        },
    )


def score_table(training: Training) -> str:
    """Return every score beside that of the seasonal naive, as a Markdown table."""
    lines = [
        "| set | days ahead | R² | RMSE | MAE | naive R² | naive RMSE | rows |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, horizon), ours in training.scores.items():
        naive = training.naive_scores.get((name, horizon))
        beside = f"{naive.r2:.4f} | {naive.rmse:.2f}" if naive else "- | -"
        lines.append(
            f"| {name} | {horizon} | {ours.r2:.4f} | {ours.rmse:.2f} | {ours.mae:.2f} | {beside} | {ours.n:,} |"
        )
    return "\n".join(lines)


def _named(scores: Mapping[tuple[str, int], Scores], prefix: str = "") -> dict[str, float]:
    return {
        f"{prefix}{metric}_{name}_h{horizon}": float(value)
        for (name, horizon), each in scores.items()
        for metric, value in each.as_row().items()
        if pd.notna(value)
    }


def _curve(table: pd.DataFrame, column: str, metric: str) -> dict[int, float]:
    known = table[table[metric].notna()]
    return {int(step): float(value) for step, value in zip(known[column], known[metric], strict=True)}
