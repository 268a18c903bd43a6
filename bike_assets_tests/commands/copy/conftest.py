"""What tests of a copy share: a small home that no pass made, and an empty project and bucket to copy it to."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.commands.copy import refusals, run
from bike_assets.core.schemas import COMPTAGE_VELO, COUNTERS, INGESTIONS, PREDICTIONS, REJECTED_COUNTS, WEATHER
from bike_assets.core.schemas import RETRAIN_DECISIONS as DECISIONS
from bike_assets.home.record import Home
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.reports import LocalReports
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim, recorded
from bike_assets_tests.resources.merged_counts import DAYS, counts
from bike_assets_tests.resources.test_registry import entry

FILLED = (COMPTAGE_VELO, REJECTED_COUNTS, COUNTERS, WEATHER, PREDICTIONS, INGESTIONS, DECISIONS)
MODELS = {1: b"first", 2: b"second"}
READ_AT = pd.Timestamp("2025-04-01T08:00Z")


@pytest.fixture
def home(tmp_path) -> Home:
    """A home of three days, two counters, two versions and a report."""
    home = claim(tmp_path / "home")
    warehouse = LocalWarehouse(home.warehouse, threads=1)
    warehouse.merge(COMPTAGE_VELO, counts())
    readings = [{"day": day, "ingested_at": READ_AT, "source": "a test", "rows_read": 48} for day in DAYS]
    warehouse.merge(INGESTIONS, frame(INGESTIONS, readings))
    rejected = [{"day": DAYS[0], "position": n, "problem": "negative", "ingested_at": READ_AT} for n in (1, 2)]
    warehouse.merge(REJECTED_COUNTS, frame(REJECTED_COUNTS, rejected))
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": name, "hours": 71} for name in "ab"]))
    warehouse.merge(PREDICTIONS, forecasts())
    decisions = [recorded({"day": day, "decision": "WAIT", "r2": 0.1 + 0.2}, n) for n, day in enumerate(DAYS)]
    warehouse.merge(DECISIONS, frame(DECISIONS, decisions))
    registry = LocalRegistry(home.registry)
    for version, content in MODELS.items():
        sha256 = hashlib.sha256(content).hexdigest()
        place = registry.write_model("gradient_boosting", content, sha256)
        registry.add(entry(version, model_file=place, sha256=sha256))
    registry.promote(1, "2025-03-31")
    with LocalReports(home.reports).writing(DAYS[-1]) as path:
        path.write_text("<html>drifted</html>")
    return home


def forecasts() -> pd.DataFrame:
    """Forecasts of the next day, issued on each day."""
    known = {"horizon_days": 1, "known_counter": True, "kind": "issued", "model_version": 1, "family": "blend"}
    rows = [
        {
            "issued_on": day,
            "counter_id": name,
            "counted_at": pd.Timestamp(day + timedelta(days=1), tz="UTC") + pd.Timedelta(hours=hour),
            "day": day + timedelta(days=1),
            "predicted_count": hour / 3,
            "naive_count": None,
            **known,
        }
        for day in DAYS
        for name in "ab"
        for hour in range(24)
    ]
    return frame(PREDICTIONS, rows)


@pytest.fixture
def make_target(bigquery, gcs) -> Callable[[Path], Settings]:
    """Makes settings of a home that name a project and a bucket of their own, with all tables and nothing in them."""

    def make(folder: Path) -> Settings:
        gcp = bigquery.new_warehouse(bucket=gcs.make_bucket(), storage_endpoint=gcs.endpoint).settings
        return Settings(home=folder, quick=True, gcp=gcp)

    return make


@pytest.fixture
def settings(home, make_target, monkeypatch) -> Settings:
    """Settings of the small home; only the tables that it has rows of are copied, and an empty one."""
    for module in (run, refusals):
        monkeypatch.setattr(module, "TABLES", FILLED)
    return make_target(home.folder)
