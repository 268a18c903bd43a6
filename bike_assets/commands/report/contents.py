"""The contents of the page: tables and pictures of a home, ready for the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bike_assets.core.local_time import as_date
from bike_assets.core.plots import as_picture, city_by_hour, timeline
from bike_assets.core.splits import Span
from bike_assets.core.timeline import TimelineDay
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries.decisions import decided_days
from bike_assets.resources.queries.deployments import NEWEST_DEPLOYMENTS
from bike_assets.resources.queries.evaluations import NEWEST_EVALUATIONS
from bike_assets.resources.queries.performance import SCORES_OF_DAY, city_forecasts_by_hour

DAYS_SHOWN = 90
NEWEST = 12
MAX_DEPLOYMENTS = 10_000
ROLES = {
    "champion": "champion",
    "issued": "as it was issued",
    "first_champion": "first champion, never retrained",
    "seasonal_naive": "seasonal naive",
}
HORIZONS = (1, 2, 3)
FIGURES = (("r2", 3), ("rmse", 1))


@dataclass(frozen=True)
class Listing:
    """A table of the page: headings, and rows of texts. The page shows `empty` if there are no rows."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str


@dataclass(frozen=True)
class Picture:
    """A picture of the page; `text` is its alternative text."""

    title: str
    data: str
    text: str


def scores_of(sources: Sources, day: date) -> Listing:
    """Return R² and RMSE over the 7 days to a day, by role and horizon."""
    found = {(row["role"], row["horizon_days"]): row for row in sources.rows(SCORES_OF_DAY, day=day)}
    heads = ["", *(f"{name}, {days} day{'s' * (days > 1)} ahead" for name in ("R²", "RMSE") for days in HORIZONS)]
    rows = [
        [
            label,
            *(number(found.get((role, days), {}).get(name), digits) for name, digits in FIGURES for days in HORIZONS),
        ]
        for role, label in ROLES.items()
        if (role, 1) in found
    ]
    return Listing(
        f"Forecasts against counts, 7 days to {day}", heads, rows, "No forecasts were compared with counts yet."
    )


def history_of(sources: Sources, day: date) -> Picture | None:
    """Return R², drift, decisions and promotions of the newest days."""
    days = _days(sources, day)
    if not days:
        return None
    bounds = {"warning": sources.settings.r2_warning, "critical": sources.settings.r2_critical}
    title = f"The last {len(days)} days"
    text = (
        f"R² of the champion was {number(days[-1].r2)} on {days[-1].day}, after {number(days[0].r2)} on {days[0].day}."
    )
    return Picture(title, as_picture(timeline(days, bounds, title)), text)


def _days(sources: Sources, last: date) -> list[TimelineDay]:
    deployed = sources.rows(NEWEST_DEPLOYMENTS, number=MAX_DEPLOYMENTS)
    promoted = {as_date(row["deployed_on"]) for row in deployed if row["replaced_version"]}
    return [
        TimelineDay(
            day=(day := as_date(row["day"])),
            r2=row["r2"],
            first_champion_r2=row["first_r2"],
            naive_r2=row["naive_r2"],
            drift_share=row["drift_share"],
            decision=row["decision"],
            promoted=day in promoted,
        )
        for row in decided_days(sources.warehouse, Span(last - timedelta(days=DAYS_SHOWN - 1), last))
    ]


def week_of(sources: Sources, day: date, version: int) -> Picture | None:
    """Return the whole city's last week: counts, forecasts of the day before, and the seasonal naive."""
    rows = city_forecasts_by_hour(sources.warehouse, Span(day - timedelta(days=6), day), version)
    if rows.empty:
        return None
    rows["counted_at"] = rows["counted_at"].dt.tz_convert(sources.home.timezone).dt.tz_localize(None)
    title = "The city's last week, by hour"
    counted, forecast = rows["bike_count"].sum(), rows["predicted_count"].sum()
    text = f"{counted:,.0f} bikes were counted, and {forecast:,.0f} forecast the day before."
    return Picture(title, as_picture(city_by_hour(rows, title)), text)


def decisions_of(sources: Sources, day: date) -> Listing:
    """Return the decisions of the newest days, newest first."""
    decided = decided_days(sources.warehouse, Span(day - timedelta(days=NEWEST - 1), day))[::-1]
    rows = [
        [
            str(as_date(row["day"])),
            row["decision"],
            number(row["drift_share"], 2),
            row["reason"] or "",
            _day(row["held_until"]),
        ]
        for row in decided
    ]
    return Listing(
        "Decisions", ["day", "decision", "drift share", "reason", "held until"], rows, "Nothing was decided yet."
    )


def evaluations_of(sources: Sources) -> Listing:
    """Return the newest double evaluations."""
    rows = [
        [
            _day(row["decided_on"]),
            f"{row['challenger_family']} {row['challenger_version']}",
            str(row["champion_version"] or "none"),
            row["decision"],
            row["trigger"] or "",
            number(row["r2_baseline"]),
            number(row["r2_current"]),
            number(row["champion_r2_current"]),
            number(row["naive_r2_current"]),
            "" if row["gain"] is None else f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})",
        ]
        for row in sources.rows(NEWEST_EVALUATIONS, number=NEWEST)
    ]
    heads = [
        "day",
        "challenger",
        "champion",
        "verdict",
        "trigger",
        "R² baseline",
        "R² current",
        "champion's",
        "naive's",
    ]
    return Listing("Double evaluations", [*heads, "gain (95 %)"], rows, "No challenger was judged yet.")


def deployments_of(sources: Sources) -> Listing:
    """Return the newest changes of the champion."""
    rows = [
        [
            _day(row["deployed_on"]),
            f"{row['family']} {row['version']}",
            str(row["replaced_version"] or ""),
            row["decided_by"],
            row["reason"] or "",
        ]
        for row in sources.rows(NEWEST_DEPLOYMENTS, number=NEWEST)
    ]
    return Listing(
        "Champions", ["day", "version", "in place of", "decided by", "reason"], rows, "There was no champion yet."
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a formatted figure, or a dash if it is not known."""
    return "\u2013" if value is None else f"{value:,.{digits}f}"


def _day(value: Any) -> str:
    return "" if value is None else str(as_date(value))
