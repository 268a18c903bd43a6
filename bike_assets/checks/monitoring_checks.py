"""Checks of the champion and of the data. They read audit rows and compute nothing; the retrain matrix acts.

An unknown figure does not pass: too few forecasts or rows fail a check as a warning, and its metadata says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from operator import ge, gt, le, lt
from typing import Any

import dagster as dg

from bike_assets.assets.monitoring import champion_performance, drift_report, retrain_decision
from bike_assets.core.drift import MIN_CURRENT_ROWS
from bike_assets.partitions import days_of
from bike_assets.resources.queries.decisions import decision_of, drift_of
from bike_assets.resources.queries.performance import champion_scores
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

NOT_KNOWN = "not enough data"
FIGURES: dict[dg.AssetKey, tuple[Callable[[Warehouse, date], dict[str, Any] | None], tuple[str, ...]]] = {
    champion_performance.key: (champion_scores, ("r2", "rmse", "n", "naive_r2")),
    drift_report.key: (drift_of, ("drift_share", "drifted_columns", "rows_current", "reference")),
    retrain_decision.key: (decision_of, ("days_behind_naive",)),
}
"""For each asset, the query of a day and the columns that its checks judge and show."""
Row = dict[str, Any]


@dataclass(frozen=True)
class BoundCheck:
    """A check that compares a figure of the newest day with a bound.

    Attributes:
        name: name of the check.
        asset: the asset that it checks.
        description: what holds when it passes.
        figure: the column that it reads.
        holds: compares figure and bound.
        bound: returns the bound from the settings or the row; None if it is not known.
        is_critical: whether a failure with known figures is an error rather than a warning.
    """

    name: str
    asset: dg.AssetsDefinition
    description: str
    figure: str
    holds: Callable[[float, float], bool]
    bound: Callable[[Settings, Row], float | None]
    is_critical: bool = False

    def judge(self, row: Row, settings: Settings) -> dg.AssetCheckResult:
        """Judge the known figures of a day."""
        value, bound = row.get(self.figure), self.bound(settings, row)
        known = value is not None and bound is not None
        return dg.AssetCheckResult(
            passed=value is not None and bound is not None and bool(self.holds(value, bound)),
            severity=dg.AssetCheckSeverity.ERROR if self.is_critical and known else dg.AssetCheckSeverity.WARN,
            metadata={"bound": NOT_KNOWN if bound is None else float(bound), **{self.figure: NOT_KNOWN}, **row},
        )


BOUND_CHECKS = (
    BoundCheck(
        "r2_is_above_critical",
        champion_performance,
        "Over the newest 7 days the champion's R² a day ahead is not below the bound of a reactive retrain.",
        "r2",
        ge,
        lambda settings, _: settings.r2_critical,
        is_critical=True,
    ),
    BoundCheck(
        "r2_is_above_warning",
        champion_performance,
        "Over the newest 7 days the champion's R² a day ahead is that of a healthy model.",
        "r2",
        ge,
        lambda settings, _: settings.r2_warning,
    ),
    BoundCheck(
        "rmse_is_within_limit",
        champion_performance,
        "Over the newest 7 days the champion's RMSE a day ahead is not above the limit of a reactive retrain.",
        "rmse",
        le,
        lambda settings, _: settings.rmse_limit,
        is_critical=True,
    ),
    BoundCheck(
        "champion_beats_seasonal_naive",
        champion_performance,
        "Over the newest 7 days the champion's day-ahead forecasts are better than no model at all.",
        "r2",
        gt,
        lambda _, row: row.get("naive_r2"),
    ),
    BoundCheck(
        "champion_keeps_up_with_seasonal_naive",
        retrain_decision,
        "The champion was not worse than no model at all for days in a row (BIKE_NAIVE_ALARM_DAYS).",
        "days_behind_naive",
        lt,
        lambda settings, _: settings.naive_alarm_days,
    ),
    BoundCheck(
        "drift_share_is_below_warning",
        drift_report,
        "The share of drifted columns is below the bound at which a healthy model is watched.",
        "drift_share",
        lt,
        lambda settings, _: settings.drift_warning,
    ),
    BoundCheck(
        "drift_share_is_below_critical",
        drift_report,
        "The share of drifted columns is below the bound at which a weak model is retrained.",
        "drift_share",
        lt,
        lambda settings, _: settings.drift_critical,
    ),
    BoundCheck(
        "current_window_is_large_enough",
        drift_report,
        "The newest 7 days have enough rows to measure drift.",
        "rows_current",
        ge,
        lambda *_: MIN_CURRENT_ROWS,
    ),
)


def _check(check: BoundCheck) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=check.asset, name=check.name, description=check.description)
    def evaluate(
        context: dg.AssetCheckExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        settings: dg.ResourceParam[Settings],
    ) -> dg.AssetCheckResult:
        return check.judge(known_figures(check.asset, warehouse, settings, days_of(context)[-1]), settings)

    return evaluate


def known_figures(asset: dg.AssetsDefinition, warehouse: Warehouse, settings: Settings, day: date) -> Row:
    """Return the known figures of a day; none if too few forecasts were compared."""
    read, names = FIGURES[asset.key]
    row = read(warehouse, day) or {}
    known = {name: row[name] for name in names if row.get(name) is not None}
    too_few = asset is champion_performance and known.get("n", 0) < settings.min_scored_rows
    return {} if too_few else known


checks = [_check(each) for each in BOUND_CHECKS]
