"""The files of the embedded warehouse: what is written where, what stays for readers, and which file is current."""

import os
import time
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from bike_assets.core.schemas import COMPTAGE_VELO, COUNTERS, TABLES, Table
from bike_assets.resources.partition_files import KEPT_FOR_READERS_SECONDS
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.warehouse import READ_ATTEMPTS, LocalWarehouse
from bike_assets_tests.resources.merged_counts import ALL_COUNTS, DAYS, counts, figures, files


@pytest.fixture
def warehouse(tmp_path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_query_writes_nothing(warehouse, table):
    assert warehouse.query(f"SELECT * FROM {table.full_name}").empty
    assert not warehouse.folder.exists()


def test_only_the_partitions_that_change_are_rewritten(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = files(warehouse)
    rows = counts()
    rows.loc[rows["day"] == pd.Timestamp(DAYS[1]), "bike_count"] += 1
    warehouse.merge(COMPTAGE_VELO, rows)
    after = files(warehouse)
    assert [path.parent.name for path in after.keys() - before.keys()] == [f"day={DAYS[1]}"]
    assert {path: after[path] for path in before} == before, "a file was changed under its name"


def test_only_the_days_that_lost_rows_are_rewritten(warehouse):
    warehouse.merge(COMPTAGE_VELO, counts(), complete_days=DAYS)
    before = files(warehouse)
    rows = counts()
    warehouse.merge(
        COMPTAGE_VELO, rows[(rows["day"] != pd.Timestamp(DAYS[1])) | (rows["hour"] != 5)], complete_days=DAYS
    )
    after = files(warehouse)
    assert [path.parent.name for path in after.keys() - before.keys()] == [f"day={DAYS[1]}"]
    assert {path: after[path] for path in before} == before


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
def test_the_highest_file_is_found_by_number_not_by_text(warehouse, highest):
    warehouse.merge(COMPTAGE_VELO, one_count(1))
    [path] = files(warehouse)
    path.rename(path.with_name(f"rows-{highest:06d}.parquet"))
    warehouse.merge(COMPTAGE_VELO, one_count(500))
    assert f"rows-{highest + 1:06d}.parquet" in names(warehouse)
    assert warehouse.query(ALL_COUNTS)["bike_count"].min() == 500
    assert warehouse.merge(COMPTAGE_VELO, one_count(500)).count("unchanged") == 24


def test_a_superseded_file_stays_for_its_readers_and_a_later_write_removes_it(warehouse):
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


class SupersededWarehouse(LocalWarehouse):
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
    found = SupersededWarehouse(warehouse.folder, READ_ATTEMPTS - 1).query(ALL_COUNTS)
    assert len(found) == len(counts())
    with pytest.raises(duckdb.IOException, match=r"rows-00000\d\.parquet"):
        SupersededWarehouse(warehouse.folder, READ_ATTEMPTS).query(ALL_COUNTS)


def test_the_state_is_the_files_of_the_table(warehouse):
    assert warehouse.state(COMPTAGE_VELO) == ()
    warehouse.merge(COMPTAGE_VELO, counts())
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a"}]))
    assert len(warehouse.state(COMPTAGE_VELO)) == len(DAYS)
    assert len(warehouse.state(COUNTERS)) == 1


@pytest.mark.parametrize(
    "name", ["it's", "''", "[draft]", "[a-z]", "a]b", "what?", "*", "{a,b}", "ü 100%20", "a;b", "$x", 'quo"te', "-- x"]
)
def test_the_path_of_a_home_may_have_special_characters(tmp_path, name):
    (tmp_path / "a").mkdir()
    warehouse = LocalWarehouse(tmp_path / name / "warehouse")
    for bikes, expected in ((7, (142, 0, 0)), (7, (0, 0, 142)), (8, (0, 142, 0))):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts(bikes=bikes))) == expected
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a", "hours": 1}]))
    assert figures(warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a", "hours": 2}]))) == (0, 1, 0)
    sql = f"SELECT COUNT(*) AS n, MIN(day) AS day, MIN(bike_count) AS least FROM ({ALL_COUNTS} WHERE day > @day)"
    assert one_row(warehouse.query(sql, day=DAYS[0])) == {"n": 94, "day": pd.Timestamp(DAYS[1]), "least": 8}
    assert warehouse.query("SELECT hours FROM bike_traffic_raw.counters")["hours"].tolist() == [2]


def test_the_order_of_the_rows_does_not_change_the_files(tmp_path):
    contents = []
    for seed in (1, 2):
        warehouse = LocalWarehouse(tmp_path / str(seed))
        warehouse.merge(COMPTAGE_VELO, counts().sample(frac=1, random_state=seed))
        contents.append(
            {path.relative_to(warehouse.folder): content for path, (_, content) in files(warehouse).items()}
        )
    assert contents[0] == contents[1]
