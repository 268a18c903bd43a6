"""What tests of resources share: a tiny model, trained once; an empty warehouse, a folder for a home, an export."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.families.base import Trained
from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, build_cube, feature_rows
from bike_assets.core.local_time import days_between
from bike_assets.core.training import train_and_score
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.export_files import COUNTRY, ZONE, city_counts, write_export

FIRST, LAST = date(2025, 2, 1), date(2025, 3, 31)
TESTED_FROM = date(2025, 3, 22)
EXPORTED_FROM, EXPORTED_UNTIL = date(2025, 3, 25), date(2025, 4, 2)


@pytest.fixture
def warehouse(tmp_path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where a home may be made."""
    return tmp_path / "home"


@pytest.fixture
def export(tmp_path) -> Path:
    """A portal's export of nine days around the change of clocks."""
    return write_export(tmp_path / "export.csv", city_counts(EXPORTED_FROM, EXPORTED_UNTIL))


@pytest.fixture(scope="session")
def all_rows() -> pd.DataFrame:
    """Features beside counts of the days after the first four weeks, at every horizon."""
    counts = city_counts(FIRST, LAST, counters=10)
    days = days_between(FIRST + timedelta(days=28), LAST)
    parts = [feature_rows(build_cube(counts, ZONE), days, horizon, COUNTRY, ZONE) for horizon in HORIZONS]
    keys = ["counter_id", "counted_at"]
    return pd.concat(parts, ignore_index=True).merge(counts[[*keys, "bike_count"]], on=keys)


@pytest.fixture(scope="session")
def rows(all_rows) -> pd.DataFrame:
    """Rows that the model has not seen."""
    return all_rows[all_rows["day"] >= pd.Timestamp(TESTED_FROM)].reset_index(drop=True)


@pytest.fixture(scope="session")
def trained(all_rows, rows) -> Trained:
    """A small gradient boosting."""
    family = GradientBoosting(GradientBoostingConfig(iterations=8, min_rows_in_leaf=20), seed=1, threads=1)
    seen = all_rows[all_rows["day"] < pd.Timestamp(TESTED_FROM)]
    return train_and_score(family, seen, {"test_current": rows}, {}).trained


@pytest.fixture(scope="session")
def served(trained) -> ServedModel:
    """The model as the API runs it."""
    return ServedModel(trained.onnx, trained.sha256, trained.counters)
