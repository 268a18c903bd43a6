"""Several processes at one warehouse: real writers and readers at once, and a writer that is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.schemas import COMPTAGE_VELO
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import poll
from bike_assets_tests.resources.engines import Engine
from bike_assets_tests.resources.merged_counts import ALL_COUNTS, ZONE, counts

pytestmark = pytest.mark.slow
KEY = ["counter_id", "counted_at"]
DEADLINE_SECONDS = 300


WRITERS = 4


def write_overlapping(engine: Engine, writer: int) -> None:
    """Merge batches of which every row is its writer's own or shared by all; each writer counts up in its own way."""
    warehouse = engine.warehouse()
    for number in range(engine.merges_at_once):
        own = counts(counters=(f"own-{writer}-{number}",), bikes=number)
        shared = counts(counters=(f"shared-{number}", "every-time"), bikes=writer)
        warehouse.merge(COMPTAGE_VELO, pd.concat([own, shared], ignore_index=True))


def read_until_stopped(engine: Engine, ready, stop, seen) -> None:
    """Count rows and keys until it is stopped, then send what was seen."""
    warehouse = engine.warehouse()
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


def test_four_writers_and_a_reader_lose_no_row(engine):
    spawn = multiprocessing.get_context("spawn")
    ready, stop, seen = spawn.Event(), spawn.Event(), spawn.Queue()
    reader = spawn.Process(target=read_until_stopped, args=(engine, ready, stop, seen))
    writers = [spawn.Process(target=write_overlapping, args=(engine, each)) for each in range(WRITERS)]
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

    stored = engine.warehouse().query(ALL_COUNTS)
    hours = 24 + 23 + 24
    merges = engine.merges_at_once
    assert len(stored) == hours * (WRITERS * merges + merges + 1)
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
from bike_assets_tests.resources.merged_counts import counts
from bike_assets_tests.resources.test_warehouse_processes import MANY

warehouse, bikes = LocalWarehouse(Path(sys.argv[1])), 0
while True:
    bikes += 1
    warehouse.merge(COMPTAGE_VELO, counts(counters=MANY, bikes=bikes))
    print(bikes, flush=True)
"""
MANY = tuple(f"counter-{number:04}" for number in range(400))


def test_a_killed_writer_leaves_old_or_new_rows_and_the_next_merge_repairs_them(tmp_path):
    """Stops the writer where a temporary file lies about, and kills it there."""
    warehouse, root = LocalWarehouse(tmp_path / "warehouse"), str(Path(__file__).parents[2])
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_MERGES, str(warehouse.folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    )
    try:
        assert writer.stdout.readline() == "1\n", "the first merge came to its end"
        poll(lambda: _stopped_in_a_write(writer.pid, warehouse.folder), 60, "a half-written file", pause=0)
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
