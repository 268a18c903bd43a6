"""Ingestion: what is published arrives once, corrections replace, and what cannot be used is counted."""

from datetime import timedelta

import pandas as pd
import pytest

from bike_assets.assets.raw_counts import ingest
from bike_assets.core.splits import Span
from bike_assets.resources.counts_source import CountsBatch
from bike_assets_tests.conftest import FIRST_DAY, City

DAY = FIRST_DAY + timedelta(days=3)


class Corrected:
    """The simulator's days with changes of our own."""

    description = "the simulator, corrected"

    def __init__(self, source, change, incomplete=()):
        self.source, self.change, self.incomplete = source, change, incomplete

    def read(self, first, last) -> CountsBatch:
        batch = self.source.read(first, last)
        incomplete = pd.Series(pd.to_datetime(list(self.incomplete), utc=True), dtype="datetime64[us, UTC]")
        return CountsBatch(self.change(batch.rows.copy()), incomplete)


@pytest.fixture
def young(tmp_path, open_city) -> City:
    city = open_city(tmp_path)
    ingest(Span(DAY, DAY), city.resource("counts_source"), city.resource("warehouse"), "Europe/Paris")
    return city


def again(city: City, change, incomplete=()) -> dict:
    source = Corrected(city.resource("counts_source"), change, incomplete)
    return ingest(Span(DAY, DAY), source, city.resource("warehouse"), "Europe/Paris").iloc[0].to_dict()


def test_a_day_arrives_with_all_its_hours_and_counters(young: City):
    row = young.query("SELECT COUNT(*) AS n, COUNT(DISTINCT counted_at) AS hours FROM bike_traffic_raw.comptage_velo")
    assert row.iloc[0].to_dict() == {"n": 6 * 24, "hours": 24}


def test_the_same_day_again_changes_nothing(young: City):
    audit = again(young, lambda rows: rows)
    assert (audit["rows_read"], audit["rows_added"], audit["rows_changed"]) == (144, 0, 0)


def test_a_corrected_row_replaces_the_old_one_and_a_late_one_is_added(young: City):
    def change(rows):
        rows.loc[0, "bike_count"] = 4321
        late = rows.iloc[[5]].assign(counter_id="late", bike_count=7)
        return pd.concat([rows, late], ignore_index=True)

    audit = again(young, change)
    assert (audit["rows_added"], audit["rows_changed"]) == (1, 1)
    counts = young.query("SELECT bike_count FROM bike_traffic_raw.comptage_velo WHERE bike_count IN (4321, 7)")
    assert 4321 in set(counts["bike_count"])


def test_rows_without_a_counter_are_counted_and_left_out(young: City):
    audit = again(young, lambda rows: rows, incomplete=[f"{DAY}T10:00:00Z", f"{DAY}T11:00:00Z"])
    assert (audit["rows_without_counter"], audit["rows_read"]) == (2, 146)
    assert len(young.query("SELECT 1 FROM bike_traffic_raw.comptage_velo")) == 144


def test_a_day_on_which_nothing_was_published_has_its_audit_row(young: City):
    audit = again(young, lambda rows: rows.iloc[:0])
    assert (audit["rows_read"], audit["hours"]) == (0, 0)


def test_the_first_ingestion_claims_its_home(tmp_path, open_city):
    young = open_city(tmp_path)
    (tmp_path / "home.json").unlink()
    assert young.run("daily", FIRST_DAY, asset_selection=[_key("raw_counts")]).success
    assert (tmp_path / "home.json").exists()


def test_the_counters_are_as_last_published(city: City):
    assert city.run("daily", FIRST_DAY, asset_selection=[_key("counters")]).success
    counters = city.query("SELECT counter_id, first_day, hours FROM bike_traffic_raw.counters")
    assert len(counters) == 6
    assert counters["first_day"].min() == pd.Timestamp(FIRST_DAY)


def _key(name: str):
    import dagster as dg

    return dg.AssetKey(name)
