"""The embedded warehouse on real Parquet files: what a merge keeps, what a query sees, and what a killed writer leaves.

Concurrency is tested with real processes; the SQL is BigQuery's.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.local_time import hours_of
from bike_assets.core.schemas import (
    COMPTAGE_VELO,
    COUNTERS,
    INGESTIONS,
    PERFORMANCE,
    PREDICTIONS,
    RETRAIN_DECISIONS,
    TABLES,
    Table,
)
from bike_assets.resources.partition_files import KEPT_FOR_READERS_SECONDS
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.warehouse import READ_ATTEMPTS, LocalWarehouse, MergeResult

ZONE = "Europe/Paris"
DAYS = (date(2025, 3, 29), date(2025, 3, 30), date(2025, 3, 31))
ALL_COUNTS = "SELECT * FROM bike_traffic_raw.comptage_velo"
KEY = ["counter_id", "counted_at"]
DEADLINE_SECONDS = 60


@pytest.fixture
def warehouse(tmp_path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


def counts(days=DAYS, counters=("a", "b"), bikes: int = 7, ingested: str = "2025-04-01") -> pd.DataFrame:
    hours = pd.concat([hours_of(day, ZONE).assign(day=pd.Timestamp(day)) for day in days], ignore_index=True)
    rows = hours.merge(pd.DataFrame({"counter_id": list(counters)}), how="cross")
    return rows.assign(
        counter_name="name of " + rows["counter_id"],
        site_id="1",
        site_name=None,
        latitude=48.85,
        longitude=np.nan,
        bike_count=bikes + rows["hour"],
        is_outlier=False,
        ingested_at=pd.Timestamp(ingested, tz="UTC"),
    )


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


def files(warehouse: LocalWarehouse) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in warehouse.folder.rglob("*.parquet")}


def figures(result: MergeResult) -> tuple[int, int, int]:
    return result.added, result.changed, result.count("unchanged")


def until(condition, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"


def test_rows_come_back_as_they_were_merged(warehouse):
    rows = counts()
    warehouse.merge(COMPTAGE_VELO, rows)
    stored = warehouse.query(f"{ALL_COUNTS} ORDER BY counted_at, counter_id")
    assert list(stored.columns) == list(COMPTAGE_VELO.columns)
    expected = rows.sort_values(["counted_at", "counter_id"]).reset_index(drop=True)[stored.columns]
    pd.testing.assert_frame_equal(stored, expected, check_dtype=False, check_like=True)


def test_a_merge_adds_changes_and_leaves(warehouse):
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


def test_the_same_rows_again_rewrite_no_file(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = files(warehouse)
    again = warehouse.merge(COMPTAGE_VELO, counts().sample(frac=1, random_state=1))
    assert figures(again) == (0, 0, len(counts()))
    assert files(warehouse) == before


def test_only_the_partitions_that_change_are_rewritten(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = files(warehouse)
    rows = counts()
    rows.loc[rows["day"] == pd.Timestamp(DAYS[1]), "bike_count"] += 1
    warehouse.merge(COMPTAGE_VELO, rows)
    after = files(warehouse)
    assert [path.parent.name for path in after.keys() - before.keys()] == [f"day={DAYS[1]}"]
    assert {path: after[path] for path in before} == before, "a file was changed under its name"


def one_count(bikes: int) -> pd.DataFrame:
    return counts(days=DAYS[:1], counters=("a",), bikes=bikes)


def names(warehouse: LocalWarehouse) -> list[str]:
    return sorted(path.name for path in files(warehouse))


def age(warehouse: LocalWarehouse, name: str, seconds: float) -> None:
    [path] = warehouse.folder.rglob(name)
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_each_change_is_the_next_file_and_readers_take_the_highest(warehouse):
    for number in (1, 2, 3):
        warehouse.merge(COMPTAGE_VELO, one_count(number * 100))
        assert names(warehouse) == [f"rows-{each:06d}.parquet" for each in range(1, number + 1)]
        stored = warehouse.query(ALL_COUNTS)
        assert len(stored) == 24
        assert stored["bike_count"].min() == number * 100


@pytest.mark.parametrize("highest", [9, 99, 999_999])
def test_the_highest_is_a_number_and_no_text(warehouse, highest):
    warehouse.merge(COMPTAGE_VELO, one_count(1))
    [path] = files(warehouse)
    path.rename(path.with_name(f"rows-{highest:06d}.parquet"))
    warehouse.merge(COMPTAGE_VELO, one_count(500))
    assert f"rows-{highest + 1:06d}.parquet" in names(warehouse)
    assert warehouse.query(ALL_COUNTS)["bike_count"].min() == 500
    assert warehouse.merge(COMPTAGE_VELO, one_count(500)).count("unchanged") == 24


def test_a_superseded_file_stays_for_those_who_read_it_and_goes_at_a_later_write(warehouse):
    for number in (1, 2, 3):
        warehouse.merge(COMPTAGE_VELO, one_count(number))
        age(warehouse, f"rows-{number:06d}.parquet", KEPT_FOR_READERS_SECONDS - 20)
    assert len(names(warehouse)) == 3

    age(warehouse, "rows-000001.parquet", 3600)
    age(warehouse, "rows-000002.parquet", KEPT_FOR_READERS_SECONDS + 20)
    warehouse.merge(COMPTAGE_VELO, one_count(3))
    assert len(names(warehouse)) == 3, "a merge that changes nothing writes and removes nothing"

    warehouse.merge(COMPTAGE_VELO, one_count(4))
    assert names(warehouse) == [f"rows-{each:06d}.parquet" for each in (2, 3, 4)]
    for number in (2, 3, 4):
        age(warehouse, f"rows-{number:06d}.parquet", 3600)
    warehouse.merge(COMPTAGE_VELO, one_count(5))
    assert names(warehouse) == [f"rows-{each:06d}.parquet" for each in (4, 5)]
    assert warehouse.query(ALL_COUNTS)["bike_count"].min() == 5


def test_a_file_that_was_current_for_a_day_stays_when_it_has_just_been_superseded(warehouse):
    warehouse.merge(COMPTAGE_VELO, one_count(1))
    age(warehouse, "rows-000001.parquet", 24 * 3600)
    warehouse.merge(COMPTAGE_VELO, one_count(2))
    assert len(names(warehouse)) == 2


def test_a_write_removes_nothing_of_other_partitions_and_tables(warehouse):
    row = {"counter_id": "a", "hours": 24}
    for number in (1, 2):
        warehouse.merge(COMPTAGE_VELO, counts(days=DAYS[:2], bikes=number))
        warehouse.merge(COUNTERS, frame(COUNTERS, [row | {"hours": number}]))
    for path in files(warehouse):
        os.utime(path, (0, 0))
    warehouse.merge(COMPTAGE_VELO, one_count(3))
    left = sorted(str(path.parent.name) for path in files(warehouse))
    assert left == ["counters"] * 2 + [f"day={DAYS[0]}"] * 2 + [f"day={DAYS[1]}"] * 2


class OvertakenWarehouse(LocalWarehouse):
    """Between the listing of the files and the reading of them, these are superseded and removed."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.times = times

    def _source(self, table: Table) -> str:
        listed = super()._source(table)
        if self.times:
            self.times -= 1
            for path in self._current_files(table):
                number = int(path.stem.rpartition("-")[2])
                path.rename(path.with_name(f"rows-{number + 1:06d}.parquet"))
        return listed


def test_a_query_whose_files_were_removed_meanwhile_reads_the_newer_ones(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    found = OvertakenWarehouse(warehouse.folder, READ_ATTEMPTS - 1).query(ALL_COUNTS)
    assert len(found) == len(counts())
    with pytest.raises(duckdb.IOException, match=r"rows-00000\d\.parquet"):
        OvertakenWarehouse(warehouse.folder, READ_ATTEMPTS).query(ALL_COUNTS)


def test_the_state_changes_with_the_rows_of_its_table_alone(warehouse):
    assert warehouse.state(COMPTAGE_VELO) == ()
    warehouse.merge(COMPTAGE_VELO, counts())
    states = [warehouse.state(COMPTAGE_VELO)]
    warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-05-01"))
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a"}]))
    assert warehouse.state(COMPTAGE_VELO) == states[0]
    assert LocalWarehouse(warehouse.folder).state(COMPTAGE_VELO) == states[0]
    for rows in (one_count(1), one_count(2), one_count(1), counts(counters=("c",), days=DAYS[2:])):
        warehouse.merge(COMPTAGE_VELO, rows)
        states.append(warehouse.state(COMPTAGE_VELO))
    assert len(set(states)) == 5
    assert len(warehouse.state(COUNTERS)) == 1


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_without_a_key_or_a_partition_is_refused_with_nothing_written(warehouse, table):
    for name in {*table.key, table.partition} - {None}:
        rows = frame(table, [identifying(table, 1), identifying(table, 2) | {name: None}])
        with pytest.raises(ValueError, match=rf"{table.full_name}: a row has no value in one of .*{name}"):
            warehouse.merge(table, rows)
    assert not warehouse.folder.exists()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_what_a_row_leaves_out_is_null_in_every_type(warehouse, table):
    rows = frame(table, [identifying(table, number) for number in (1, 2, 3)])
    assert figures(warehouse.merge(table, rows)) == (3, 0, 0)
    assert figures(warehouse.merge(table, rows)) == (0, 0, 3)
    stored = warehouse.query(f"SELECT * FROM {table.full_name}")
    known = {*table.key, *([table.partition] if table.partition else [])}
    assert stored[sorted(known)].notna().all(axis=None)
    assert stored.drop(columns=sorted(known)).isna().all(axis=None)
    kinds = {name: kind for name, kind in table.columns.items() if kind in {"DATE", "TIMESTAMP"}}
    assert all(pd.api.types.is_datetime64_any_dtype(stored[name]) for name in kinds)


def test_a_column_that_was_all_null_takes_values_later_and_the_other_way_round(warehouse):
    first = {"day": DAYS[0], "decision": "NONE"}
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


@pytest.mark.parametrize(
    "name", ["it's", "''", "[draft]", "[a-z]", "a]b", "what?", "*", "{a,b}", "ü 100%20", "a;b", "$x", 'quo"te', "-- x"]
)
def test_the_path_of_a_home_may_have_any_of_these(tmp_path, name):
    (tmp_path / "a").mkdir()
    warehouse = LocalWarehouse(tmp_path / name / "warehouse")
    for bikes, expected in ((7, (142, 0, 0)), (7, (0, 0, 142)), (8, (0, 142, 0))):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts(bikes=bikes))) == expected
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a", "hours": 1}]))
    assert figures(warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a", "hours": 2}]))) == (0, 1, 0)
    sql = f"SELECT COUNT(*) AS n, MIN(day) AS day, MIN(bike_count) AS least FROM ({ALL_COUNTS} WHERE day > @day)"
    assert one_row(warehouse.query(sql, day=DAYS[0])) == {"n": 94, "day": pd.Timestamp(DAYS[1]), "least": 8}
    assert warehouse.query("SELECT hours FROM bike_traffic_raw.counters")["hours"].tolist() == [2]


def test_the_order_of_the_rows_does_not_show_in_the_files(tmp_path):
    contents = []
    for seed in (1, 2):
        warehouse = LocalWarehouse(tmp_path / str(seed))
        warehouse.merge(COMPTAGE_VELO, counts().sample(frac=1, random_state=seed))
        contents.append(
            {path.relative_to(warehouse.folder): content for path, (_, content) in files(warehouse).items()}
        )
    assert contents[0] == contents[1]


def test_a_difference_in_ignored_columns_alone_is_no_change(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-04-01"))
    before = files(warehouse)
    result = warehouse.merge(COMPTAGE_VELO, counts(ingested="2025-04-02"))
    assert figures(result) == (0, 0, len(counts()))
    assert files(warehouse) == before


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
    before = files(warehouse)
    assert figures(warehouse.merge(PREDICTIONS, forecast(99.0, kind="hindcast"))) == (0, 0, 1)
    assert files(warehouse) == before
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
    assert figures(warehouse.merge(COMPTAGE_VELO, counts().iloc[:0])) == (0, 0, 0)
    assert not files(warehouse)


def test_two_rows_of_one_key_are_refused_with_nothing_written(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(days=DAYS[:1]))
    before = files(warehouse)
    twice = pd.concat([counts(), counts().iloc[-1:].assign(bike_count=1)])
    with pytest.raises(ValueError, match=r"comptage_velo.*counter_id, counted_at"):
        warehouse.merge(COMPTAGE_VELO, twice)
    assert files(warehouse) == before


def test_missing_columns_are_named_and_nothing_is_written(warehouse):
    with pytest.raises(ValueError, match=r"comptage_velo.*bike_count, site_id"):
        warehouse.merge(COMPTAGE_VELO, counts().drop(columns=["site_id", "bike_count"]))
    assert not files(warehouse)


def test_rows_of_another_type_are_refused_with_the_old_ones_kept(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = files(warehouse)
    with pytest.raises((ValueError, TypeError)):
        warehouse.merge(COMPTAGE_VELO, counts(bikes=9).assign(bike_count="many"))
    assert files(warehouse) == before


BATCHES = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.integers(20, 50)),
        st.tuples(st.integers(0, 2), st.sampled_from([None, "x", "y"])),
        max_size=12,
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("table", [COMPTAGE_VELO, PREDICTIONS], ids=["last wins", "first wins"])
@given(batches=BATCHES)
@settings(max_examples=25, deadline=None)
def test_a_sequence_of_merges_is_a_dict_by_key(table: Table, batches):
    start = pd.Timestamp("2025-03-29T00:00Z")
    expected: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        warehouse = LocalWarehouse(Path(folder))
        for batch in batches:
            told = [
                "added" if key not in expected else "changed" if expected[key] != value else "unchanged"
                for key, value in batch.items()
            ]
            rows = [
                _row(table, counter, start + pd.Timedelta(hours=hour), value)
                for (counter, hour), value in batch.items()
            ]
            result = warehouse.merge(table, frame(table, rows))
            assert list(result.status) == [("unchanged" if table.write_once and t == "changed" else t) for t in told]
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


WRITERS, MERGES = 4, 8


def write_overlapping(folder: Path, writer: int) -> None:
    """Merge batches of which every row is its writer's own or shared by all; each writer counts up in its own way."""
    warehouse = LocalWarehouse(folder, threads=1)
    for number in range(MERGES):
        own = counts(counters=(f"own-{writer}-{number}",), bikes=number)
        shared = counts(counters=(f"shared-{number}", "every-time"), bikes=writer)
        warehouse.merge(COMPTAGE_VELO, pd.concat([own, shared], ignore_index=True))


def read_all_the_time(folder: Path, ready, stop, seen) -> None:
    """Count rows and keys until told to stop, then send what was seen."""
    warehouse = LocalWarehouse(folder, threads=1)
    found: list[tuple[int, int]] = []
    try:
        while not stop.is_set():
            rows = warehouse.query(f"SELECT counter_id, counted_at FROM ({ALL_COUNTS})")
            found.append((len(rows), len(rows.drop_duplicates())))
            ready.set()
    except Exception as error:
        seen.put(repr(error))
        ready.set()
        raise
    seen.put(found)


def test_four_writers_and_a_reader_lose_no_row(warehouse):
    spawn = multiprocessing.get_context("spawn")
    ready, stop, seen = spawn.Event(), spawn.Event(), spawn.Queue()
    reader = spawn.Process(target=read_all_the_time, args=(warehouse.folder, ready, stop, seen))
    writers = [spawn.Process(target=write_overlapping, args=(warehouse.folder, each)) for each in range(WRITERS)]
    reader.start()
    try:
        assert ready.wait(DEADLINE_SECONDS)
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(DEADLINE_SECONDS)
        stop.set()
        found = seen.get(timeout=DEADLINE_SECONDS)
        reader.join(DEADLINE_SECONDS)
    finally:
        for process in (reader, *writers):
            if process.is_alive():
                process.kill()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert isinstance(found, list), f"the reader failed: {found}"
    rows = [each for each, _ in found]
    assert rows == sorted(rows), "rows that were there were gone for a reader"
    assert all(each == keys for each, keys in found), "a reader saw a key twice"

    stored = warehouse.query(ALL_COUNTS)
    hours = 24 + 23 + 24
    assert len(stored) == hours * (WRITERS * MERGES + MERGES + 1)
    assert not stored.duplicated(KEY).any()
    own = stored[stored["counter_id"].str.startswith("own-")]
    number = own["counter_id"].str.rpartition("-")[2].astype(int)
    assert (own["bike_count"] - number == own["counted_at"].dt.tz_convert(ZONE).dt.hour).all()
    shared = stored[~stored["counter_id"].str.startswith("own-")]
    writer_of_row = shared["bike_count"] - shared["counted_at"].dt.tz_convert(ZONE).dt.hour
    assert set(writer_of_row) <= set(range(WRITERS))


ENDLESS_MERGES = """
import sys
from pathlib import Path
from bike_assets.core.schemas import COMPTAGE_VELO
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.resources.test_warehouse import MANY, counts

warehouse, bikes = LocalWarehouse(Path(sys.argv[1])), 0
while True:
    bikes += 1
    warehouse.merge(COMPTAGE_VELO, counts(counters=MANY, bikes=bikes))
    print(bikes, flush=True)
"""
MANY = tuple(f"counter-{number:04}" for number in range(400))


def test_a_killed_writer_leaves_old_or_new_and_the_next_merge_mends(warehouse):
    """Stops the writer where a temporary file lies about, and kills it there."""
    root = str(Path(__file__).parents[2])
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_MERGES, str(warehouse.folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    )
    try:
        assert writer.stdout.readline() == "1\n", "the first merge came to its end"
        until(lambda: _stopped_in_a_write(writer.pid, warehouse.folder), "a half-written file")
    finally:
        writer.kill()
        rest = writer.communicate()[0]
    bikes = max([1, *(int(line) for line in rest.split())])
    assert list(warehouse.folder.rglob("*.tmp"))

    stored = warehouse.query(ALL_COUNTS)
    assert len(stored) == len(counts(counters=MANY))
    assert not stored.duplicated(KEY).any()
    merge_of_row = stored["bike_count"] - stored["counted_at"].dt.tz_convert(ZONE).dt.hour
    assert set(merge_of_row) <= {bikes, bikes + 1}
    assert (merge_of_row.groupby(stored["day"]).nunique() == 1).all(), "a partition is half old and half new"

    final = counts(counters=MANY, bikes=1_000_000)
    assert warehouse.merge(COMPTAGE_VELO, final).changed == len(final)
    assert not list(warehouse.folder.rglob("*.tmp"))
    assert warehouse.query(ALL_COUNTS)["bike_count"].sum() == final["bike_count"].sum()


def _stopped_in_a_write(pid: int, folder: Path) -> bool:
    if not list(folder.rglob("*.tmp")):
        return False
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    if list(folder.rglob("*.tmp")):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


@pytest.fixture
def filled(warehouse) -> LocalWarehouse:
    warehouse.merge(COMPTAGE_VELO, counts())
    return warehouse


def test_countif_and_safe_divide(filled):
    row = one_row(
        filled.query(
            "SELECT COUNTIF(bike_count > @least) AS busy, SAFE_DIVIDE(COUNT(*), COUNTIF(bike_count < 0)) AS none, "
            "SAFE_DIVIDE(COUNTIF(counter_id = 'a'), COUNT(*)) AS half FROM bike_traffic_raw.comptage_velo",
            least=7 + 22,
        )
    )
    assert row == {"busy": 6, "none": None, "half": 0.5}


def test_date_arithmetic_with_a_date_parameter(filled):
    days = filled.query(
        "SELECT DISTINCT day FROM bike_traffic_raw.comptage_velo "
        "WHERE day > DATE_SUB(@day, INTERVAL 2 DAY) AND day <= DATE_ADD(@day, INTERVAL 1 MONTH) ORDER BY day",
        day=DAYS[2],
    )
    assert [each.date() for each in days["day"]] == [DAYS[1], DAYS[2]]


def test_qualify_keeps_the_newest_row_of_each_counter(filled):
    newest = filled.query(
        "SELECT counter_id, counted_at FROM bike_traffic_raw.comptage_velo WHERE TRUE "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY counter_id ORDER BY counted_at DESC) = 1 ORDER BY counter_id"
    )
    assert newest["counter_id"].tolist() == ["a", "b"]
    assert set(newest["counted_at"]) == {pd.Timestamp("2025-03-31T21:00Z")}


def test_parameters_are_values_and_never_sql(filled):
    counted = filled.query(f"SELECT COUNT(*) AS n FROM ({ALL_COUNTS} WHERE counter_id = @id)", id="a' OR '1'='1")
    assert counted["n"].tolist() == [0]
    some = filled.query(f"SELECT COUNT(*) AS n FROM ({ALL_COUNTS} WHERE counter_id IN UNNEST(@ids))", ids=["a", "c"])
    assert some["n"].tolist() == [24 + 23 + 24]


def test_local_days_in_sql_know_the_change_of_clocks(filled):
    hours = filled.query(
        "SELECT TIMESTAMP_TRUNC(counted_at, DAY, 'Europe/Paris') AS start, COUNT(*) AS hours "
        "FROM bike_traffic_raw.comptage_velo WHERE counter_id = 'a' GROUP BY start ORDER BY start"
    )
    assert hours["hours"].tolist() == [24, 23, 24]
    assert hours["start"].tolist()[2] == pd.Timestamp("2025-03-30T22:00Z")


def test_tables_are_joined(filled):
    read_at = pd.Timestamp("2025-04-01T08:30Z")
    row = {"day": DAYS[1], "ingested_at": read_at, "source": "here", "rows_read": 5}
    filled.merge(INGESTIONS, frame(INGESTIONS, [row]))
    joined = filled.query(
        "SELECT i.source, COUNT(*) AS n FROM monitoring_audit.ingestions AS i "
        "JOIN bike_traffic_raw.comptage_velo AS c ON c.day = i.day GROUP BY i.source"
    )
    assert joined.to_dict("records") == [{"source": "here", "n": 46}]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_without_files_is_empty_with_its_columns(warehouse, table):
    empty = warehouse.query(f"SELECT * FROM {table.full_name}")
    assert empty.empty
    assert list(empty.columns) == list(table.columns)
    for name, kind in table.columns.items():
        if kind in {"DATE", "TIMESTAMP"}:
            assert pd.api.types.is_datetime64_any_dtype(empty[name])
        assert (kind == "TIMESTAMP") == isinstance(empty[name].dtype, pd.DatetimeTZDtype)
    assert not warehouse.folder.exists(), "a query writes nothing"


def test_aggregates_of_a_table_without_files_are_null(warehouse):
    row = one_row(warehouse.query("SELECT COUNT(*) AS n, MAX(day) AS day FROM monitoring_audit.performance_metrics"))
    assert row == {"n": 0, "day": None}


PRINT_TIMES = """
import sys
from pathlib import Path
from bike_assets.resources.warehouse import LocalWarehouse

rows = LocalWarehouse(Path(sys.argv[1])).query(
    "SELECT MIN(counted_at) AS first, CAST(MIN(counted_at) AS STRING) AS text, "
    "EXTRACT(HOUR FROM MIN(counted_at)) AS hour, MIN(day) AS day FROM bike_traffic_raw.comptage_velo"
)
print(rows["first"].dt.tz, rows["first"][0].isoformat(), rows["text"][0][:13], rows["hour"][0], rows["day"][0].date())
"""


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_come_back_in_utc_whatever_the_machine_thinks(filled, zone):
    root = str(Path(__file__).parents[2])
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_TIMES, str(filled.folder)],
        env={**os.environ, "TZ": zone, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.split() == ["UTC", "2025-03-28T23:00:00+00:00", "2025-03-28", "23", "23", "2025-03-29"]


def test_one_row_turns_what_is_missing_into_none(warehouse):
    warehouse.merge(PERFORMANCE, frame(PERFORMANCE, [{"day": DAYS[0], "role": "champion", "horizon_days": 1, "n": 0}]))
    row = one_row(warehouse.query("SELECT day, r2, n, model_version FROM monitoring_audit.performance_metrics"))
    assert row == {"day": pd.Timestamp(DAYS[0]), "r2": None, "n": 0, "model_version": None}
    assert one_row(pd.DataFrame({"r2": []})) is None
