"""Plots for the UI's metadata and for MLflow. Computing the numbers does not belong here."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bike_assets.core.timeline import TimelineDay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNTED_COLOUR = "#1f2937"
MAX_WORST_COUNTERS = 10
SERIES = {
    "bike_count": ("counted", COUNTED_COLOUR),
    "predicted_count": ("forecast", "#0d9488"),
    "naive_count": ("seasonal naive", "#f59e0b"),
}
LINES = {
    "naive_r2": SERIES["naive_count"],
    "first_champion_r2": ("first champion,\nnever retrained", "#9333ea"),
    "r2": ("champion", SERIES["predicted_count"][1]),
}
DECISION_COLOURS = {
    "ALL_GOOD": "#86efac",
    "WAIT": "#fcd34d",
    "RETRAIN_PROACTIVE": "#fb923c",
    "RETRAIN_REACTIVE": "#ef4444",
    "NOT_ENOUGH_DATA": "#d1d5db",
}


def as_picture(figure: "Figure") -> str:
    """Return a figure as a data URL with a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def as_markdown(figure: "Figure", title: str) -> str:
    """Return a figure as Markdown with the picture inside; Dagster's UI shows it as metadata."""
    return f"![{title}]({as_picture(figure)})"


def city_by_hour(rows: pd.DataFrame, title: str) -> "Figure":
    """Draw the whole city by hour: counts, forecasts and the seasonal naive.

    Args:
        rows: counted_at and any of bike_count, predicted_count, naive_count (bikes an hour), one row a counter.
        title: of the plot.
    """
    axes, figure = _axes(title, "bikes an hour, all counters")
    totals = rows.groupby("counted_at")[[name for name in SERIES if name in rows]].sum()
    for name in totals:
        label, colour = SERIES[str(name)]
        axes.plot(totals.index, totals[name], label=label, color=colour, linewidth=1.4)
    axes.legend(frameon=False)
    return figure


def error_by_hour(scores: pd.DataFrame, title: str) -> "Figure":
    """Draw the error of each local hour beside that of the seasonal naive.

    Args:
        scores: hour, rmse and naive_rmse (bikes an hour), one row an hour.
        title: of the plot.
    """
    axes, figure = _axes(title, "RMSE, bikes an hour")
    axes.bar(scores["hour"], scores["rmse"], label="forecast", color=SERIES["predicted_count"][1])
    naive_label, naive_colour = SERIES["naive_count"]
    axes.step(scores["hour"], scores["naive_rmse"], where="mid", label=naive_label, color=naive_colour, linewidth=1.8)
    axes.set_xticks(range(0, 24, 2))
    axes.tick_params(axis="x", labelrotation=0)
    axes.legend(frameon=False)
    return figure


def worst_counters(scores: pd.DataFrame, title: str) -> "Figure":
    """Draw the ten counters with the lowest R², beside the seasonal naive.

    Args:
        scores: counter_id, r2 and naive_r2, one row a counter; rows without an R² are left out.
        title: of the plot.
    """
    worst = scores.dropna(subset=["r2"]).nsmallest(MAX_WORST_COUNTERS, "r2").iloc[::-1]
    axes, figure = _axes(title, "")
    axes.barh(worst["counter_id"], worst["r2"], label="forecast", color=SERIES["predicted_count"][1])
    naive_label, naive_colour = SERIES["naive_count"]
    axes.plot(worst["naive_r2"], worst["counter_id"], "D", label=naive_label, color=naive_colour, markersize=5)
    axes.set_xlabel("R²")
    axes.tick_params(axis="x", labelrotation=0)
    axes.grid(axis="x", alpha=0.25)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def rows_by_day(days: pd.DataFrame, title: str) -> "Figure":
    """Draw the rows of each local day: in the table, and in the source.

    Args:
        days: day, rows_kept and rows_reported, one row a day.
        title: of the plot.
    """
    axes, figure = _axes(title, "rows a day")
    axes.plot(days["day"], days["rows_reported"], label="published", color=SERIES["naive_count"][1], linewidth=2.4)
    axes.plot(days["day"], days["rows_kept"], label="in the table", color=COUNTED_COLOUR, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def timeline(days: Sequence[TimelineDay], bounds: Mapping[str, float], title: str) -> "Figure":
    """Draw a replay: R² of champion, first champion and naive; below it the drift share, coloured by decision.

    Args:
        days: the days of the replay.
        bounds: R² levels to mark, by name.
        title: of the plot.
    """
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    scores, shares = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    dates = [day.day for day in days]
    for name, (label, colour) in LINES.items():
        figures = [np.nan if (r2 := getattr(day, name)) is None else r2 for day in days]
        scores.plot(dates, figures, label=label, color=colour, linewidth=1.6)
    for name, level in bounds.items():
        scores.axhline(level, color="#9ca3af", linewidth=0.8, linestyle=":")
        scores.annotate(name, (dates[0], level), fontsize=8, color="#6b7280", va="bottom")
    for number, day in enumerate(each for each in days if each.promoted):
        scores.axvline(day.day, color="#2563eb", linewidth=1, label=None if number else "promotion")
    for decision, colour in DECISION_COLOURS.items():
        if not (chosen := [day for day in days if day.decision == decision]):
            continue
        shares.bar(
            [day.day for day in chosen], [day.drift_share or 0.02 for day in chosen], color=colour, label=decision
        )
    shares.xaxis.set_major_formatter(ConciseDateFormatter(shares.xaxis.get_major_locator()))
    scores.set_title(title, loc="left", fontsize=11)
    scores.set_ylabel("R², 7 days, a day ahead")
    shares.set_ylabel("drift share")
    shares.set_ylim(0, 1)
    for axes in (scores, shares):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _axes(title: str, unit: str) -> tuple:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.tick_params(axis="x", labelrotation=30)
    return axes, figure
