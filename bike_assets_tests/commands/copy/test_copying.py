"""`bike copy` on the emulators: both sides are equal afterwards, or what differs is named; nothing is mixed."""

import json
import re
import shutil
import uuid
from dataclasses import replace

import dagster as dg
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from bike_assets.commands.copy import tables
from bike_assets.commands.copy.run import run_copy
from bike_assets.core.schemas import (
    COMPTAGE_VELO,
    COUNTERS,
    HOURLY_FEATURES,
    INGESTIONS,
    PREDICTIONS,
    TABLES,
    TRAINING_RUNS,
)
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.home.lock import hold_lock
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets.resources.gcs import folder_of
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.profiles import open_registry, open_tracking
from bike_assets.resources.table_digest import unordered_digest
from bike_assets.resources.table_rows import frame
from bike_assets.resources.tracking import MODEL
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.commands.copy.conftest import FILLED, READ_AT, forecasts
from bike_assets_tests.resources.engines import states
from bike_assets_tests.resources.merged_counts import DAYS, counts

TABLES_READ_WHOLE = [table for table in TABLES if table is not HOURLY_FEATURES]


@pytest.fixture
def there(settings) -> BigQueryWarehouse:
    return BigQueryWarehouse(settings.gcp)


@pytest.fixture
def here(home) -> LocalWarehouse:
    return LocalWarehouse(home.warehouse, threads=1)


@pytest.fixture
def cloud(settings):
    """The settings of a platform that runs on the target."""
    return settings.model_copy(update={"profile": "gcp"})


def contents(warehouse, tables=FILLED) -> dict[str, tuple[int, int]]:
    """Rows and digest of tables."""
    read = [(table, warehouse.query(f"SELECT * FROM {table.full_name}")) for table in tables]
    return {table.full_name: (len(rows), unordered_digest(table, rows)) for table, rows in read}


def sent(printed: str) -> dict[str, int]:
    """What was sent of each table and kind of file."""
    numbers = re.findall(r"^. (.+): [\d,]+, of which ([\d,]+) were sent now$", printed, re.MULTILINE)
    return {what: int(number.replace(",", "")) for what, number in numbers}


def test_a_copy_sends_everything_and_a_second_copy_sends_nothing(settings, cloud, home, here, there, capsys):
    run_copy(settings)
    assert contents(there) == contents(here)
    summary = LocalRegistry(home.registry).read()
    assert open_registry(cloud).read() == summary
    assert open_registry(cloud).trained(summary.champion).onnx == b"first"
    assert folder_of(settings.gcp, "reports").read(f"drift-{DAYS[-1]}.html") == b"<html>drifted</html>"
    assert folder_of(settings.gcp, "home").read("home.json") == (home.folder / "home.json").read_bytes()
    first = sent(capsys.readouterr().out)
    assert first["bike_traffic_raw.comptage_velo"] == len(counts())
    assert (first["model files"], first["versions"], first["reports"]) == (2, 2, 1)
    before = states(there)
    run_copy(settings)
    printed = capsys.readouterr().out
    assert set(sent(printed).values()) == {0}
    assert states(there) == before
    assert "Not copied: Dagster's runs" in printed


@pytest.mark.parametrize("merges", [2, 5])
def test_an_interrupted_copy_continues_and_ends_equal(settings, here, there, monkeypatch, merges):
    monkeypatch.setattr(tables, "ROWS_PER_PART", 60)
    as_usual, left = BigQueryWarehouse.merge, [merges]

    def merge_or_stop(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return as_usual(*arguments)

    monkeypatch.setattr(BigQueryWarehouse, "merge", merge_or_stop)
    with pytest.raises(KeyboardInterrupt):
        run_copy(settings)
    assert contents(there) != contents(here)
    left[0] = 1000
    run_copy(settings)
    assert contents(there) == contents(here)
    assert 1000 - left[0] == 10 - merges  # three days of counts and of forecasts, and four small tables


def test_a_changed_row_in_the_target_is_found_by_the_digest_and_repaired_by_the_next_copy(settings, here, there):
    run_copy(settings)
    rows = forecasts()
    rows.loc[17, "predicted_count"] += 1e-9
    there.merge(replace(PREDICTIONS, write_once=False), rows)
    before = states(there)
    with pytest.raises(
        StepFailedError, match=r"Not equal on both sides: \S+\.predictions \(2025-03-29 to 2025-03-31\)\."
    ):
        run_copy(settings, only_compare=True)
    assert states(there) == before
    run_copy(settings)
    assert contents(there) == contents(here)


def test_the_next_copy_adds_changes_and_withdraws_what_the_home_did(settings, here, there):
    run_copy(settings)
    later = counts(counters=("a",), days=DAYS[:1], bikes=9, ingested="2025-04-02")
    here.merge(COMPTAGE_VELO, later, complete_days=DAYS[:1])
    reading = {"day": DAYS[0], "ingested_at": READ_AT + pd.Timedelta(days=1), "rows_read": 24}
    here.merge(INGESTIONS, frame(INGESTIONS, [reading]))
    run_copy(settings)
    assert contents(there) == contents(here)
    assert contents(there)[COMPTAGE_VELO.full_name][0] == len(counts()) - 24


def test_an_extra_row_and_a_broken_model_in_the_target_are_reported_and_left(settings, home, there, capsys):
    run_copy(settings)
    there.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "theirs"}]))
    objects = folder_of(settings.gcp, "registry")
    place = LocalRegistry(home.registry).read().champion.model_file
    objects.replace(place, b"fir", objects.generation(place))
    with pytest.raises(StepFailedError) as refusal:
        run_copy(settings)
    assert "bike_traffic_raw.counters (its rows)" in str(refusal.value)
    assert f"model files ({objects.address(place)} is another file)" in str(refusal.value)
    assert re.search(r"^bike_traffic_raw\.counters +2 +3 +no *$", capsys.readouterr().out, re.MULTILINE)
    assert len(there.query("SELECT * FROM bike_traffic_raw.counters")) == 3
    assert objects.read(place) == b"fir"


def test_a_broken_model_file_of_the_home_is_named_and_nothing_is_sent(settings, home, there):
    (broken,) = [path for path in (home.registry / "models").iterdir() if path.read_bytes() == b"second"]
    broken.write_bytes(b"secund")
    with pytest.raises(BikeError, match=f"version 2: {broken} is not what was registered: nothing was copied"):
        run_copy(settings)
    broken.unlink()
    with pytest.raises(BikeError, match=f"version 2: {broken} cannot be read"):
        run_copy(settings)
    assert folder_of(settings.gcp, "home").names() == []
    assert {rows for rows, _ in contents(there).values()} == {0}


def test_nothing_is_copied_during_a_pass(settings, home):
    with hold_lock(home, "pass"), pytest.raises(BikeError, match="Another pass is running"):
        run_copy(settings)


def test_nothing_is_copied_during_a_run(settings, home, there):
    home.dagster.mkdir(exist_ok=True)
    shutil.copyfile(REPOSITORY / "dagster.yaml", home.dagster / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        run = instance.run_storage.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED))
    with pytest.raises(BikeError, match=f"1 runs are active in .*such as {run.run_id}"):
        run_copy(settings)
    assert {rows for rows, _ in contents(there).values()} == {0}


def test_a_target_without_tables_is_refused_with_the_command_that_makes_them(settings, bigquery, gcs):
    nowhere = bigquery.settings(bucket=settings.gcp.bucket, storage_endpoint=gcs.endpoint)
    with pytest.raises(BikeError, match="type bike warehouse init"):
        run_copy(settings.model_copy(update={"gcp": nowhere}))


def test_a_target_with_another_home_is_refused(settings, home, tmp_path, here):
    run_copy(settings)
    other = tmp_path / "other"
    shutil.copytree(home.folder, other)
    record = json.loads((other / "home.json").read_text())
    (other / "home.json").write_text(json.dumps(record | {"file": "elsewhere.csv"}))
    run_copy(settings.model_copy(update={"home": other}), only_compare=True)
    (other / "home.json").write_text(json.dumps(record | {"seed": 8}))
    with pytest.raises(BikeError, match=r"is the record of another home than .*/other: choose another bucket"):
        run_copy(settings.model_copy(update={"home": other}))


def test_a_target_with_rows_of_no_copy_is_refused(settings, there):
    there.merge(COMPTAGE_VELO, counts(counters=("c",)))
    with pytest.raises(BikeError, match=r"comptage_velo holds data that bike copy did not send"):
        run_copy(settings)


def test_a_target_that_is_newer_than_the_home_is_refused(settings, cloud, there):
    run_copy(settings)
    open_registry(cloud).promote(2, "2025-04-01")
    with pytest.raises(BikeError, match=r"promoted version 2 on 2025-04-01, .* the platform has run there"):
        run_copy(settings)
    trained = {"run_id": "theirs", "family": "blend"}
    read = {"day": DAYS[2], "ingested_at": READ_AT + pd.Timedelta(hours=1)}
    for table, row in ((TRAINING_RUNS, trained), (INGESTIONS, read)):
        there.merge(table, frame(table, [row]))
        with pytest.raises(BikeError, match=f"{table.full_name} in the target has 1 rows that this home lacks"):
            run_copy(settings)
    assert open_registry(cloud).read().champion.version == 2


def test_version_numbers_continue_in_another_mlflow(settings, cloud, postgres, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.make_database(f"mlflow_{uuid.uuid4().hex[:8]}"))
    run_copy(settings)
    run_copy(settings)
    client = MlflowClient(open_tracking(cloud).uri, open_tracking(cloud).uri)
    known = {int(each.version): each for each in client.search_model_versions(f"name = '{MODEL}'")}
    assert {number: each.tags["bike/fingerprint"] for number, each in known.items()} == {
        1: "fingerprint-1",
        2: "fingerprint-2",
    }
    assert known[1].source.startswith(f"gs://{settings.gcp.bucket}/registry/models/")
    assert int(client.create_model_version(MODEL, "gs://new").version) == 3
    with pytest.raises(BikeError, match="MLflow has a version 3"):
        run_copy(settings)


def test_a_home_after_its_first_pass_is_copied_whole(city, make_target):
    settings = make_target(city.home.folder)
    run_copy(settings)
    there = BigQueryWarehouse(settings.gcp)
    totals = "SELECT COUNT(*) AS n, SUM(base) AS base FROM bike_traffic_raw.hourly_features WHERE day > '2021-01-01'"
    assert there.query(totals)["n"].tolist() == city.query(totals)["n"].tolist() != [0]
    everything = contents(there, TABLES_READ_WHOLE)
    assert everything == contents(city.resource("warehouse"), TABLES_READ_WHOLE)
    assert sum(rows > 0 for rows, _ in everything.values()) == 12
    registry = open_registry(settings.model_copy(update={"profile": "gcp"}))
    champion = registry.read().champion
    assert registry.load(champion).counters == champion.counters
