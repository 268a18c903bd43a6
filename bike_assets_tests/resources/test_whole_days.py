"""Whole days, on each engine: what a source no longer has is withdrawn, from them alone, and one writer at a time."""

import multiprocessing
import tempfile
import threading
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.schemas import COMPTAGE_VELO, REJECTED_COUNTS, Table
from bike_assets.errors import StepFailedError
from bike_assets.resources import warehouse as warehouse_module
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse, Warehouse
from bike_assets_tests.conftest import poll
from bike_assets_tests.resources.engines import Engine, states
from bike_assets_tests.resources.merged_counts import DAYS, counts, figures

FRIDAY_BEFORE = date(2025, 3, 28)
EARLIER, LATER = pd.Timestamp("2025-04-01", tz="UTC"), pd.Timestamp("2025-04-02", tz="UTC")


@pytest.fixture
def filled(warehouse) -> Warehouse:
    """Three days of the counters a and b."""
    warehouse.merge(COMPTAGE_VELO, counts(), complete_days=DAYS)
    return warehouse


def stored(warehouse: Warehouse) -> pd.DataFrame:
    return warehouse.query("SELECT * FROM bike_traffic_raw.comptage_velo ORDER BY day, counted_at, counter_id")


def rows_by_day(warehouse: Warehouse) -> dict[date, int]:
    return {day.date(): number for day, number in stored(warehouse).groupby("day").size().items()}


def test_missing_rows_of_a_complete_day_are_withdrawn_and_counted(filled):
    rows = counts()
    gone = (rows["day"] == pd.Timestamp(DAYS[1])) & (rows["counter_id"] == "b")
    result = filled.merge(COMPTAGE_VELO, rows[~gone], complete_days=DAYS)
    assert result.withdrawn == {DAYS[1]: 23}
    assert figures(result) == (0, 0, 48 + 23 + 48)
    assert rows_by_day(filled) == {DAYS[0]: 48, DAYS[1]: 23, DAYS[2]: 48}
    assert set(stored(filled).loc[lambda each: each["day"] == pd.Timestamp(DAYS[1]), "counter_id"]) == {"a"}


def test_without_complete_days_nothing_is_withdrawn(filled):
    result = filled.merge(COMPTAGE_VELO, counts(counters=("a",)))
    assert result.withdrawn == {}
    assert len(stored(filled)) == len(counts())


def test_other_days_lose_nothing_beside_complete_days(filled):
    result = filled.merge(COMPTAGE_VELO, counts(counters=("a",)), complete_days=[DAYS[2]])
    assert result.withdrawn == {DAYS[2]: 24}
    assert rows_by_day(filled) == {DAYS[0]: 48, DAYS[1]: 46, DAYS[2]: 24}


def test_one_merge_adds_changes_and_withdraws_rows(filled):
    rows = counts(days=DAYS[:1], counters=("a", "c"))
    rows.loc[rows["counter_id"] == "a", "bike_count"] += 1
    result = filled.merge(COMPTAGE_VELO, rows, complete_days=DAYS[:1])
    assert figures(result) == (24, 24, 0)
    assert result.withdrawn == {DAYS[0]: 24}
    left = stored(filled).loc[lambda each: each["day"] == pd.Timestamp(DAYS[0])]
    expected = rows.sort_values(["counted_at", "counter_id"])
    assert left["counter_id"].tolist() == expected["counter_id"].tolist()
    assert left["bike_count"].tolist() == expected["bike_count"].tolist()


def test_a_complete_day_without_rows_becomes_empty_and_can_be_filled_again(filled):
    result = filled.merge(COMPTAGE_VELO, counts().iloc[:0], complete_days=[DAYS[1]])
    assert result.withdrawn == {DAYS[1]: 46}
    assert rows_by_day(filled) == {DAYS[0]: 48, DAYS[2]: 48}
    assert filled.merge(COMPTAGE_VELO, counts().iloc[:0], complete_days=[DAYS[1]]).withdrawn == {}
    assert figures(filled.merge(COMPTAGE_VELO, counts(), complete_days=DAYS)) == (46, 0, 96)
    assert len(stored(filled)) == len(counts())


def test_complete_days_that_never_had_rows_write_nothing(filled):
    before = states(filled)
    result = filled.merge(COMPTAGE_VELO, counts().iloc[:0], complete_days=[FRIDAY_BEFORE])
    assert result.withdrawn == {}
    assert states(filled) == before


def test_a_first_merge_of_complete_days_withdraws_nothing(warehouse):
    result = warehouse.merge(COMPTAGE_VELO, counts(), complete_days=[*DAYS, FRIDAY_BEFORE])
    assert (figures(result), result.withdrawn) == ((len(counts()), 0, 0), {})


def test_the_same_complete_days_again_write_nothing(filled):
    before = states(filled)
    result = filled.merge(
        COMPTAGE_VELO, counts(ingested="2025-05-01").sample(frac=1, random_state=2), complete_days=DAYS
    )
    assert (figures(result), result.withdrawn) == ((0, 0, len(counts())), {})
    assert states(filled) == before


def test_rows_that_stay_keep_when_they_were_ingested(filled):
    rows = counts(ingested="2025-04-02")
    rows = rows[(rows["counter_id"] == "a") | (rows["hour"] != 5)]
    rows.loc[rows["hour"] == 7, "bike_count"] = 500
    filled.merge(COMPTAGE_VELO, rows, complete_days=DAYS)
    found = stored(filled)
    changed = found["bike_count"] == 500
    assert set(found.loc[changed, "ingested_at"]) == {LATER}
    assert set(found.loc[~changed, "ingested_at"]) == {EARLIER}


def rejected(*places: tuple[date, int], problem: str = "negative count") -> pd.DataFrame:
    return frame(
        REJECTED_COUNTS,
        [{"day": day, "position": each, "problem": problem, "ingested_at": EARLIER} for day, each in places],
    )


def places(warehouse: Warehouse) -> list[tuple[date, int]]:
    rows = warehouse.query("SELECT day, position FROM bike_traffic_raw.rejected_counts ORDER BY day, position")
    return [(row.day.date(), row.position) for row in rows.itertuples()]


def test_missing_rows_of_a_table_without_partitions_are_withdrawn(warehouse):
    warehouse.merge(REJECTED_COUNTS, rejected((DAYS[0], 0), (DAYS[0], 1), (DAYS[1], 0)), complete_days=DAYS[:2])
    result = warehouse.merge(REJECTED_COUNTS, rejected((DAYS[0], 0), (DAYS[2], 0)), complete_days=[DAYS[0], DAYS[2]])
    assert result.withdrawn == {DAYS[0]: 1}
    assert figures(result) == (1, 0, 1)
    assert places(warehouse) == [(DAYS[0], 0), (DAYS[1], 0), (DAYS[2], 0)]


def test_a_table_without_partitions_may_become_empty_and_the_same_rows_write_nothing(warehouse):
    rows = rejected((DAYS[0], 0), (DAYS[1], 0))
    warehouse.merge(REJECTED_COUNTS, rows, complete_days=DAYS)
    before = states(warehouse)
    warehouse.merge(REJECTED_COUNTS, rows, complete_days=DAYS)
    assert states(warehouse) == before
    assert warehouse.merge(REJECTED_COUNTS, rejected(), complete_days=DAYS).withdrawn == {DAYS[0]: 1, DAYS[1]: 1}
    assert places(warehouse) == []


HOURS = {hour: pd.Timestamp("2025-03-29T00:00Z") + pd.Timedelta(hours=hour) for hour in range(20, 52)}
BATCHES = st.lists(
    st.tuples(
        st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from([20, 21, 24, 30, 50])), st.integers(0, 2)),
        st.sets(st.sampled_from([date(2025, 3, 29), date(2025, 3, 30), date(2025, 3, 31)])),
    ),
    min_size=1,
    max_size=5,
)


MERGED = pytest.mark.parametrize("table", [COMPTAGE_VELO, REJECTED_COUNTS], ids=["partitioned", "in one piece"])


@MERGED
@given(batches=BATCHES)
@settings(max_examples=25, deadline=None)
def test_a_sequence_of_complete_days_equals_a_dict_with_replaced_days(table: Table, batches):
    with tempfile.TemporaryDirectory() as folder:
        merge_as_a_dict(LocalWarehouse(Path(folder)), table, batches)


@MERGED
@given(batches=BATCHES)
@settings(max_examples=4, deadline=None)
def test_a_sequence_of_complete_days_equals_a_dict_on_bigquery(bigquery, table: Table, batches):
    merge_as_a_dict(bigquery.new_warehouse(), table, batches)


def merge_as_a_dict(warehouse: Warehouse, table: Table, batches: list[tuple[dict, set]]) -> None:
    model: dict[tuple[str, int], int] = {}
    for batch, whole in batches:
        gone = [key for key in model if HOURS[key[1]].date() in whole and key not in batch]
        withdrawn = pd.Series([HOURS[hour].date() for _, hour in gone], dtype=object).value_counts().to_dict()
        statuses = [
            "added" if key not in model else "changed" if model[key] != value else "unchanged"
            for key, value in batch.items()
        ]
        rows = [_row(table, counter, hour, value) for (counter, hour), value in batch.items()]
        result = warehouse.merge(table, frame(table, rows), complete_days=whole)
        assert list(result.status) == statuses
        assert result.withdrawn == withdrawn
        model = {key: value for key, value in model.items() if key not in gone} | batch
    found = warehouse.query(f"SELECT counter_id, counted_at, bike_count FROM {table.full_name}")
    hours = ((found["counted_at"] - HOURS[20]) // pd.Timedelta(hours=1) + 20).tolist()
    assert len(found) == len(model)
    assert dict(zip(zip(found["counter_id"], hours, strict=True), found["bike_count"].tolist(), strict=True)) == model


def _row(table: Table, counter: str, hour: int, value: int) -> dict:
    row = {"counter_id": counter, "counted_at": HOURS[hour], "bike_count": value, "ingested_at": EARLIER}
    if table is REJECTED_COUNTS:
        row["position"] = 100 * hour + ord(counter)
    return {**row, "day": HOURS[hour].date()}


def test_a_second_writer_waits_until_the_first_one_is_done(engine, warehouse):
    order, inside = [], threading.Event()

    def second() -> None:
        inside.wait(120)
        with engine.warehouse().write_lock(COMPTAGE_VELO):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with warehouse.write_lock(COMPTAGE_VELO):
        inside.set()
        thread.join(0.3)
        order.append("first")
    thread.join(120)
    assert order == ["first", "second"]


def test_the_write_lock_blocks_neither_readers_nor_its_own_merges(engine, filled):
    with filled.write_lock(COMPTAGE_VELO):
        assert filled.merge(COMPTAGE_VELO, counts(bikes=8), complete_days=DAYS).changed == len(counts())
        assert len(stored(engine.warehouse())) == len(counts())


def test_a_failed_writer_blocks_no_other_writer(warehouse):
    with pytest.raises(RuntimeError, match="gone wrong"), warehouse.write_lock(COMPTAGE_VELO):
        raise RuntimeError("gone wrong")
    with warehouse.write_lock(COMPTAGE_VELO):
        pass


def test_a_write_lock_held_for_too_long_is_reported(engine, warehouse, monkeypatch):
    monkeypatch.setattr(warehouse_module, "WRITER_TIMEOUT_SECONDS", 0.1)
    other = engine.warehouse()
    with (
        warehouse.write_lock(COMPTAGE_VELO),
        pytest.raises(StepFailedError, match=r"Another run has been writing bike_traffic_raw\.comptage_velo"),
        other.write_lock(COMPTAGE_VELO),
    ):
        raise AssertionError("two writers at once")


def hold_forever(engine: Engine, holds) -> None:
    """Be the only writer until killed."""
    engine.lose_leases_after(2)
    with engine.warehouse().write_lock(COMPTAGE_VELO):
        holds.set()
        threading.Event().wait()


def test_a_killed_writer_blocks_others_only_briefly(engine, warehouse, monkeypatch):
    spawn = multiprocessing.get_context("spawn")
    holds = spawn.Event()
    writer = spawn.Process(target=hold_forever, args=(engine, holds))
    writer.start()
    try:
        poll(holds.is_set, 60, "the other process writes")
    finally:
        writer.kill()
        writer.join(120)
    monkeypatch.setattr(warehouse_module, "WRITER_TIMEOUT_SECONDS", 10)
    with warehouse.write_lock(COMPTAGE_VELO):
        pass
