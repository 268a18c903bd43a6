"""What tests of resources share: a tiny model, trained once; an empty warehouse, a folder for a home, an export.

And where things can be stored: tests that ask for a storage are run for each kind of it.
"""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.families.base import Trained
from bike_assets.core.families.gradient_boosting import GradientBoosting, GradientBoostingConfig
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, build_cube, feature_rows
from bike_assets.core.local_time import days_between
from bike_assets.core.place import Place
from bike_assets.core.training import train_and_score
from bike_assets.resources.warehouse import Warehouse
from bike_assets_tests.emulators.gcs import GcsEmulator
from bike_assets_tests.export_files import COUNTRY, ZONE, city_counts, write_export
from bike_assets_tests.resources.engines import Embedded, Engine, MakeEngine, OnBigQuery
from bike_assets_tests.resources.storages import Folder, InBucket, MakeStorage, Storage

FIRST, LAST = date(2025, 2, 1), date(2025, 3, 31)
TESTED_FROM = date(2025, 3, 22)
EXPORTED_FROM, EXPORTED_UNTIL = date(2025, 3, 25), date(2025, 4, 2)


@pytest.fixture(scope="session", params=["embedded", "bigquery"])
def make_engine(request, tmp_path_factory) -> MakeEngine:
    """Makes engines with an empty warehouse; the tests that ask for it run once for each kind."""
    if request.param == "embedded":
        return lambda: Embedded(tmp_path_factory.mktemp("engine") / "warehouse")
    emulator = request.getfixturevalue("bigquery")
    return lambda: OnBigQuery(emulator.new_warehouse().settings)


@pytest.fixture
def engine(make_engine, monkeypatch) -> Engine:
    """An engine with an empty warehouse."""
    made = make_engine()
    if isinstance(made, OnBigQuery):
        monkeypatch.setattr("bike_assets.resources.bigquery_lease.POLL_SECONDS", 0.05)
    return made


@pytest.fixture
def warehouse(engine) -> Warehouse:
    return engine.warehouse()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where a home may be made."""
    return tmp_path / "home"


@pytest.fixture
def export(tmp_path) -> Path:
    """A portal's export of nine days around the change of clocks."""
    return write_export(tmp_path / "export.csv", city_counts(EXPORTED_FROM, EXPORTED_UNTIL))


@pytest.fixture(params=["folder", "bucket"])
def make_storage(request, tmp_path_factory) -> MakeStorage:
    """Make empty storages of a kind."""
    if request.param == "folder":
        return lambda: Folder(tmp_path_factory.mktemp("storage") / "stored")
    emulator: GcsEmulator = request.getfixturevalue("gcs")
    return lambda: InBucket(emulator.make_bucket(), emulator.endpoint)


@pytest.fixture
def storage(make_storage) -> Storage:
    """An empty storage."""
    return make_storage()


@pytest.fixture(scope="session")
def all_rows() -> pd.DataFrame:
    """Features beside counts of the days after the first four weeks, at every horizon."""
    counts = city_counts(FIRST, LAST, counters=10)
    days = days_between(FIRST + timedelta(days=28), LAST)
    parts = [feature_rows(build_cube(counts, ZONE), days, horizon, Place(COUNTRY, ZONE)) for horizon in HORIZONS]
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
