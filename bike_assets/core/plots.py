"""Plots for the UI's metadata and for MLflow. Numbers come from elsewhere; nothing is computed here."""

import base64
import io
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNTED = "#1f2937"
SERIES = {
    "bike_count": ("counted", COUNTED),
    "predicted_count": ("forecast", "#0d9488"),
    "naive_count": ("seasonal naive", "#f59e0b"),
}


def as_markdown(figure: "Figure", title: str) -> str:
    """Return a figure as Markdown with the picture inside, as Dagster's metadata shows it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def city_by_hour(rows: pd.DataFrame, title: str) -> "Figure":
    """Draw the whole city by hour: what was counted, forecast, and said by the seasonal naive.

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


def rows_by_day(days: pd.DataFrame, title: str) -> "Figure":
    """Draw how many rows of each local day are in the table, and how many its source had.

    Args:
        days: day, rows_kept and rows_reported, one row a day.
        title: of the plot.
    """
    axes, figure = _axes(title, "rows a day")
    axes.plot(days["day"], days["rows_reported"], label="published", color=SERIES["naive_count"][1], linewidth=2.4)
    axes.plot(days["day"], days["rows_kept"], label="in the table", color=COUNTED, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
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
