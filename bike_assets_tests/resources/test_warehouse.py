"""The warehouse, on each of its engines: what a merge adds, changes, leaves and refuses."""

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.schemas import COMPTAGE_VELO, COUNTERS, PREDICTIONS, RETRAIN_DECISIONS, TABLES, Table
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.warehouse import LocalWarehouse, Warehouse
from bike_assets_tests.resources.engines import states
from bike_assets_tests.resources.merged_counts import ALL_COUNTS, DAYS, counts, figures


def forecast(value: float, kind: str = "issued", counters=("a",)) -> pd.DataFrame:
    rows = [
        {
            "issued_on": date(2025, 3, 29),
            "counter_id": counter,
            "counted_at": pd.Timestamp("2025-03-30T10:00Z"),
            "day": date(2025, 3, 30),
            "horizon_days": 1,
            "predicted_count": value,
            "naive_count": 1.0,
            "known_counter": True,
            "kind": kind,
            "model_version": 1,
            "family": "gradient_boosting",
        }
        for counter in counters
    ]
    return frame(PREDICTIONS, rows)


def test_rows_come_back_as_they_were_merged(warehouse):
    rows = counts()
    warehouse.merge(COMPTAGE_VELO, rows)
    stored = warehouse.query(f"{ALL_COUNTS} ORDER BY counted_at, counter_id")
    assert list(stored.columns) == list(COMPTAGE_VELO.columns)
    expected = rows.sort_values(["counted_at", "counter_id"]).reset_index(drop=True)[stored.columns]
    pd.testing.assert_frame_equal(stored, expected, check_dtype=False, check_like=True)


def test_a_merge_adds_changes_and_keeps_rows(warehouse):
    first = counts(days=DAYS[:2])
    warehouse.merge(COMPTAGE_VELO, first)
    later = counts(days=DAYS[1:])
    corrected = (later["day"] == pd.Timestamp(DAYS[1])) & (later["counter_id"] == "a") & (later["hour"] == 12)
    later.loc[corrected, "bike_count"] = 999
    result = warehouse.merge(COMPTAGE_VELO, later)
    new = later["day"] == pd.Timestamp(DAYS[2])
    assert list(result.status) == list(np.select([new, corrected], ["added", "changed"], "unchanged"))
    assert figures(result) == (48, 1, 45)
    stored = warehouse.query(ALL_COUNTS)
    assert len(stored) == (24 + 23 + 24) * 2
    assert stored["bike_count"].sum() == counts()["bike_count"].sum() - (7 + 12) + 999


def test_the_status_of_each_row_follows_the_order_of_the_rows(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(counters=("a",)))
    shuffled = counts().sample(frac=1, random_state=3)
    result = warehouse.merge(COMPTAGE_VELO, shuffled)
    assert list(result.status == "added") == list(shuffled["counter_id"] == "b")


def test_the_same_rows_again_write_nothing(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = states(warehouse)
    again = warehouse.merge(COMPTAGE_VELO, counts().sample(frac=1, random_state=1))
    assert figures(again) == (0, 0, len(counts()))
    assert states(warehouse) == before


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_without_a_key_or_a_partition_is_refused_and_nothing_is_written(warehouse, table):
    before = states(warehouse)
    for name in {*table.key, table.partition} - {None}:
        rows = frame(table, [identifying(table, 1), identifying(table, 2) | {name: None}])
        with pytest.raises(ValueError, match=rf"{table.full_name}: a row has no value in one of .*{name}"):
            warehouse.merge(table, rows)
    assert states(warehouse) == before


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_missing_value_is_null_in_every_type(warehouse, table):
    rows = frame(table, [identifying(table, number) for number in (1, 2, 3)])
    assert figures(warehouse.merge(table, rows)) == (3, 0, 0)
    assert figures(warehouse.merge(table, rows)) == (0, 0, 3)
    stored = warehouse.query(f"SELECT * FROM {table.full_name}")
    known = {*table.key, *([table.partition] if table.partition else [])}
    assert stored[sorted(known)].notna().all(axis=None)
    assert stored.drop(columns=sorted(known)).isna().all(axis=None)
    kinds = {name: kind for name, kind in table.columns.items() if kind in {"DATE", "TIMESTAMP"}}
    assert all(pd.api.types.is_datetime64_any_dtype(stored[name]) for name in kinds)


def test_a_column_of_nulls_accepts_values_later_and_vice_versa(warehouse):
    first = {"day": DAYS[0], "run_id": "run", "decision": "NONE"}
    warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [first]))
    full = first | {"held_until": DAYS[1], "r2": 0.5, "rows": 7, "acts": True}
    assert figures(warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [full]))) == (0, 1, 0)
    sql = "SELECT held_until, r2, `rows`, acts FROM monitoring_audit.retrain_decisions"
    assert one_row(warehouse.query(sql)) == {
        "held_until": pd.Timestamp(DAYS[1]),
        "r2": 0.5,
        "rows": 7,
        "acts": True,
    }
    assert figures(warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [first]))) == (0, 1, 0)
    assert set(one_row(warehouse.query(sql)).values()) == {None}


def identifying(table: Table, number: int) -> dict:
    """A row with its key and partition alone."""
    values = {
        "STRING": f"text-{number}",
        "INT64": number,
        "DATE": DAYS[0],
        "TIMESTAMP": pd.Timestamp("2025-03-29T00:00Z") + pd.Timedelta(hours=number),
    }
    row = {name: values[table.columns[name]] for name in (*table.key, table.partition) if name}
    only_days = all(table.columns[name] == "DATE" for name in table.key)
    return row | {name: date(2025, 3, number) for name in table.key if only_days}


def test_a_difference_in_ignored_columns_alone_is_no_change(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-04-01"))
    before = states(warehouse)
    result = warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-04-02"))
    assert figures(result) == (0, 0, len(counts()))
    assert states(warehouse) == before


def test_a_changed_row_brings_its_ignored_columns(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-04-01"))
    warehouse.merge(COMPTAGE_VELO, counts(bikes=8, ingested="2025-04-02"))
    assert set(warehouse.query(ALL_COUNTS)["ingested_at"]) == {pd.Timestamp("2025-04-02", tz="UTC")}


def test_a_value_that_appears_or_vanishes_is_a_change(warehouse):
    rows = counts(days=DAYS[:1])
    warehouse.merge(COMPTAGE_VELO, rows)
    assert figures(warehouse.merge(COMPTAGE_VELO, rows.assign(longitude=2.35))) == (0, len(rows), 0)
    assert figures(warehouse.merge(COMPTAGE_VELO, rows.assign(counter_name=None, longitude=2.35))) == (0, len(rows), 0)
    assert figures(warehouse.merge(COMPTAGE_VELO, rows.assign(counter_name=None, longitude=2.35))) == (0, 0, len(rows))


def test_rows_written_once_never_change(warehouse):
    warehouse.merge(PREDICTIONS, forecast(10.0))
    before = states(warehouse)
    assert figures(warehouse.merge(PREDICTIONS, forecast(99.0, kind="hindcast"))) == (0, 0, 1)
    assert states(warehouse) == before
    assert figures(warehouse.merge(PREDICTIONS, forecast(99.0, counters=("a", "b")))) == (1, 0, 1)
    stored = warehouse.query("SELECT counter_id, predicted_count FROM bike_traffic_predictions.predictions")
    assert dict(stored.itertuples(index=False)) == {"a": 10.0, "b": 99.0}


def test_a_table_without_partitions_is_merged_as_well(warehouse):
    row = {"counter_id": "a", "first_day": DAYS[0], "last_day": DAYS[0], "hours": 24, "mean_count": 3.5}
    warehouse.merge(COUNTERS, frame(COUNTERS, [row, row | {"counter_id": "b"}]))
    result = warehouse.merge(COUNTERS, frame(COUNTERS, [row | {"last_day": DAYS[1], "hours": 47}]))
    assert figures(result) == (0, 1, 0)
    stored = warehouse.query("SELECT counter_id, last_day, hours FROM bike_traffic_raw.counters ORDER BY counter_id")
    assert stored["hours"].tolist() == [47, 24]
    assert stored["last_day"].tolist() == [pd.Timestamp(DAYS[1]), pd.Timestamp(DAYS[0])]


def test_no_rows_are_no_change(warehouse):
    before = states(warehouse)
    assert figures(warehouse.merge(COMPTAGE_VELO, counts().iloc[:0])) == (0, 0, 0)
    assert states(warehouse) == before


def test_two_rows_of_one_key_are_refused_and_nothing_is_written(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(days=DAYS[:1]))
    before = states(warehouse)
    twice = pd.concat([counts(), counts().iloc[-1:].assign(bike_count=1)])
    with pytest.raises(ValueError, match=r"comptage_velo.*counter_id, counted_at"):
        warehouse.merge(COMPTAGE_VELO, twice)
    assert states(warehouse) == before


def test_missing_columns_are_named_and_nothing_is_written(warehouse):
    before = states(warehouse)
    with pytest.raises(ValueError, match=r"comptage_velo.*bike_count, site_id"):
        warehouse.merge(COMPTAGE_VELO, counts().drop(columns=["site_id", "bike_count"]))
    assert states(warehouse) == before


def test_rows_of_another_type_are_refused_and_the_old_ones_stay(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = states(warehouse)
    with pytest.raises((ValueError, TypeError)):
        warehouse.merge(COMPTAGE_VELO, counts(bikes=9).assign(bike_count="many"))
    assert states(warehouse) == before


def test_the_state_changes_with_the_rows_of_its_table_alone(engine, warehouse):
    seen = [warehouse.state(COMPTAGE_VELO)]
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a"}]))
    assert warehouse.state(COMPTAGE_VELO) == seen[0]
    for rows in (counts(bikes=1), counts(bikes=2), counts(bikes=1), counts(counters=("c",), days=DAYS[2:])):
        warehouse.merge(COMPTAGE_VELO, rows)
        seen.append(warehouse.state(COMPTAGE_VELO))
    assert len(set(seen)) == 5
    warehouse.merge(COMPTAGE_VELO, counts(bikes=1, ingested="2025-05-01"))
    assert engine.warehouse().state(COMPTAGE_VELO) == seen[-1]


def test_a_closed_warehouse_opens_again(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    for _ in range(2):
        warehouse.close()
        assert len(warehouse.query(ALL_COUNTS)) == len(counts())


BATCHES = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.integers(20, 50)),
        st.tuples(st.integers(0, 2), st.sampled_from([None, "x", "y"])),
        max_size=12,
    ),
    min_size=1,
    max_size=5,
)


MERGED = pytest.mark.parametrize("table", [COMPTAGE_VELO, PREDICTIONS], ids=["last wins", "first wins"])


@MERGED
@given(batches=BATCHES)
@settings(max_examples=25, deadline=None)
def test_a_sequence_of_merges_equals_a_dict_by_key(table: Table, batches):
    with tempfile.TemporaryDirectory() as folder:
        merge_as_a_dict(LocalWarehouse(Path(folder)), table, batches)


@MERGED
@given(batches=BATCHES)
@settings(max_examples=4, deadline=None)
def test_a_sequence_of_merges_equals_a_dict_by_key_on_bigquery(bigquery, table: Table, batches):
    merge_as_a_dict(bigquery.new_warehouse(), table, batches)


def merge_as_a_dict(warehouse: Warehouse, table: Table, batches: list[dict]) -> None:
    start = pd.Timestamp("2025-03-29T00:00Z")
    expected: dict = {}
    for batch in batches:
        statuses = [
            "added" if key not in expected else "changed" if expected[key] != value else "unchanged"
            for key, value in batch.items()
        ]
        rows = [
            _row(table, counter, start + pd.Timedelta(hours=hour), value) for (counter, hour), value in batch.items()
        ]
        result = warehouse.merge(table, frame(table, rows))
        assert list(result.status) == [("unchanged" if table.write_once and t == "changed" else t) for t in statuses]
        expected = {**expected, **batch} if not table.write_once else {**batch, **expected}
    number, text = ("bike_count", "site_name") if table is COMPTAGE_VELO else ("predicted_count", "family")
    stored = warehouse.query(f"SELECT counter_id, counted_at, {number} AS n, {text} AS t FROM {table.full_name}")
    found = {
        (row.counter_id, int((row.counted_at - start) / pd.Timedelta(hours=1))): (int(row.n), row.t or None)
        for row in stored.astype(object).where(stored.notna(), None).itertuples()
    }
    assert len(stored) == len(expected)
    assert found == expected


def _row(table: Table, counter: str, counted_at: pd.Timestamp, value: tuple) -> dict:
    day = counted_at.date()
    if table is COMPTAGE_VELO:
        stamp = pd.Timestamp("2025-04-01", tz="UTC")
        more = {"bike_count": value[0], "site_name": value[1], "ingested_at": stamp}
    else:
        more = {"issued_on": day, "model_version": 1, "predicted_count": float(value[0]), "family": value[1]}
    return {"counter_id": counter, "counted_at": counted_at, "day": day, **more}
