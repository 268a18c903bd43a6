"""Checks of a challenger: one blocks a promotion, the others warn. They read the newest audit row."""

import dagster as dg

from bike_assets.assets.evaluation import double_evaluation
from bike_assets.core.decisions import Verdict
from bike_assets.resources.queries.evaluations import newest_evaluation
from bike_assets.resources.warehouse import Warehouse


@dg.asset_check(asset=double_evaluation, blocking=True)
def baseline_is_not_regressed(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """The challenger's R² on the frozen test set is not below the floor. A REJECT stops the run here."""
    row = newest_evaluation(warehouse)
    return dg.AssetCheckResult(
        passed=row is not None and row["decision"] != Verdict.REJECT,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=_shown(row, "decision", "reason", "r2_baseline"),
    )


@dg.asset_check(asset=double_evaluation)
def challenger_improves_on_champion(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """The challenger beats the champion by the required gain, or there is no champion yet. A SKIP is normal."""
    row = newest_evaluation(warehouse)
    return dg.AssetCheckResult(
        passed=row is not None and row["decision"] == Verdict.DEPLOY,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_shown(row, "decision", "reason", "gain", "gain_low", "gain_high", "gain_residual_share"),
    )


@dg.asset_check(asset=double_evaluation)
def challenger_beats_seasonal_naive(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """The challenger's R² on test_current is above that of the seasonal naive."""
    row = newest_evaluation(warehouse)
    return dg.AssetCheckResult(
        passed=row is not None and bool(row["r2_current"] > row["naive_r2_current"]),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_shown(row, "r2_current", "naive_r2_current"),
    )


def _shown(row: dict | None, *names: str) -> dict:
    values = {name: row[name] for name in names if row[name] is not None} if row else {}
    return {name: value if isinstance(value, str) else float(value) for name, value in values.items()}
