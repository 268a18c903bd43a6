"""The checks of champion and drift: each bound from both sides, and nothing green that is not known."""

import dagster as dg
import pytest

from bike_assets.checks import monitoring_checks as checks
from bike_assets.core.schemas import DRIFT, RETRAIN_DECISIONS
from bike_assets.core.schemas import PERFORMANCE as SCORES
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, recorded

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def warehouse(tmp_path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path)


CHECKS = {spec.name: check for check in checks.checks for spec in check.check_specs}


def judge(name: str, warehouse: LocalWarehouse, monkeypatch, **settings) -> dg.AssetCheckResult:
    """Evaluate a check for LAST_DAY as a run of that day would."""
    monkeypatch.setattr(checks, "days_of", lambda _: [LAST_DAY])
    return CHECKS[name](
        dg.build_asset_check_context(resources={"warehouse": warehouse, "settings": Settings(**settings)})
    )


def score(warehouse: LocalWarehouse, role: str = "champion", **figures) -> None:
    row = {"day": LAST_DAY, "role": role, "horizon_days": 1, "model_version": 1, "mae": 5.0, "n": 5000}
    warehouse.merge(SCORES, frame(SCORES, [recorded({**row, "r2": 0.9, "rmse": 20.0, **figures})]))


@pytest.mark.parametrize(
    ("check", "figures", "passed", "severity"),
    [
        ("r2_is_above_critical", {"r2": 0.65}, True, ERROR),
        ("r2_is_above_critical", {"r2": 0.6499}, False, ERROR),
        ("r2_is_above_warning", {"r2": 0.70}, True, WARN),
        ("r2_is_above_warning", {"r2": 0.6999}, False, WARN),
        ("rmse_is_within_limit", {"rmse": 60.0}, True, ERROR),
        ("rmse_is_within_limit", {"rmse": 60.01}, False, ERROR),
        ("champion_beats_seasonal_naive", {"r2": 0.8801}, True, WARN),
        ("champion_beats_seasonal_naive", {"r2": 0.88}, False, WARN),
    ],
)
def test_each_bound_of_the_performance_from_both_sides(warehouse, monkeypatch, check, figures, passed, severity):
    score(warehouse, **figures)
    score(warehouse, "seasonal_naive", r2=0.88)
    found = judge(check, warehouse, monkeypatch)
    assert (found.passed, found.severity) == (passed, severity)


@pytest.mark.parametrize(
    "check", ["r2_is_above_critical", "r2_is_above_warning", "rmse_is_within_limit", "champion_beats_seasonal_naive"]
)
@pytest.mark.parametrize("n", [None, 999])
def test_too_few_forecasts_are_not_green_and_no_alarm_either(warehouse, monkeypatch, check, n):
    if n is not None:
        score(warehouse, n=n)
        score(warehouse, "seasonal_naive", r2=0.1)
    found = judge(check, warehouse, monkeypatch)
    assert (found.passed, found.severity) == (False, WARN)
    assert "not enough data" in {value.value for value in found.metadata.values()}


@pytest.mark.parametrize(
    ("check", "share", "passed"),
    [
        ("drift_share_is_below_warning", 0.2999, True),
        ("drift_share_is_below_warning", 0.30, False),
        ("drift_share_is_below_critical", 0.4999, True),
        ("drift_share_is_below_critical", 0.50, False),
        ("drift_share_is_below_critical", None, False),
        ("current_window_is_large_enough", None, True),
    ],
)
def test_each_bound_of_the_drift_from_both_sides(warehouse, monkeypatch, check, share, passed):
    row = {"day": LAST_DAY, "drift_share": share, "drifted_columns": "base", "rows_current": 1600, "model_version": 1}
    warehouse.merge(DRIFT, frame(DRIFT, [recorded(row)]))
    assert judge(check, warehouse, monkeypatch).passed is passed


def test_a_week_of_too_few_rows_fails_its_check(warehouse, monkeypatch):
    row = {"day": LAST_DAY, "drift_share": None, "rows_current": 1599, "model_version": 1}
    warehouse.merge(DRIFT, frame(DRIFT, [recorded(row)]))
    found = judge("current_window_is_large_enough", warehouse, monkeypatch)
    assert not found.passed
    assert found.metadata["rows_current"].value == 1599


@pytest.mark.parametrize(("behind", "passed"), [(0, True), (2, True), (3, False), (9, False)])
def test_days_behind_the_naive_are_counted_until_they_are_an_alarm(warehouse, monkeypatch, behind, passed):
    row = {"day": LAST_DAY, "decision": "WAIT", "days_behind_naive": behind, "champion_version": 1}
    warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [recorded(row)]))
    assert judge("champion_keeps_up_with_seasonal_naive", warehouse, monkeypatch).passed is passed


def test_the_bounds_are_settings(warehouse, monkeypatch):
    score(warehouse, r2=0.8)
    assert not judge("r2_is_above_critical", warehouse, monkeypatch, r2_critical=0.85, r2_warning=0.9).passed


def test_every_check_is_collected_and_described():
    names = {name for name, check in CHECKS.items() for spec in check.check_specs if spec.description}
    assert names == {
        "r2_is_above_critical", "r2_is_above_warning", "rmse_is_within_limit", "champion_beats_seasonal_naive",
        "drift_share_is_below_warning", "drift_share_is_below_critical", "current_window_is_large_enough",
        "champion_keeps_up_with_seasonal_naive",
    }  # fmt: skip
