"""One pass of the graph with the profile gcp: BigQuery and Cloud Storage as emulators, PostgreSQL for real.

Beside it the same pass in the embedded home, on the same counts: what they came to has to be the same.
"""

import json
import subprocess
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dagster as dg
import httpx
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.schemas import TABLES, Table
from bike_assets.core.summary import Summary
from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.profiles import open_registry, open_warehouse
from bike_assets.resources.step_bill import BYTES_BILLED
from bike_assets.resources.warehouse import LocalWarehouse, Warehouse
from bike_assets.settings import Settings
from bike_assets_tests.emulators.bigquery import BigQueryEmulator
from bike_assets_tests.emulators.gcs import GcsEmulator
from bike_assets_tests.emulators.postgres import Postgres, installed, running_postgres
from bike_assets_tests.programs import system_program
from bike_assets_tests.servers import free_ports, started
from bike_assets_tests.serving.processes import ServedApi
from bike_assets_tests.whole.conftest import QUICK, REPOSITORY, environment
from bike_assets_tests.whole.test_materialize import BIKE, UNTIL, claim_past_home

pytestmark = pytest.mark.slow

UNIQUE = {"run_id", "mlflow_run_id"}
"""Dagster and MLflow draw them by lot."""
WHEN = {"ingested_at", "recorded_at", "seconds"}
"""The clock's: when a row was written, how long a training took."""
OF_THE_RUN = UNIQUE | WHEN
RUN_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ENOUGH = {"BIKE_MIN_SCORED_ROWS": "500"}
"""Six counters make 576 forecasts of four days, from which a decision can then be made."""
NEXT_NOON = "2021-07-01T12:00:00+02:00"
ASKING = ("raw_counts", "counters", "weather", "hourly_features", "train_baseline", "blend", "predictions",
          "champion_performance", "drift_report", "retrain_decision", "double_evaluation")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A home and the settings of its processes, beside those that every quick pass has."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    gcp: GcpSettings | None = None

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.home, **ENOUGH, **self.settings)

    def start(self, *command: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*BIKE, *command], env=self.environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )

    def start_pass(self) -> subprocess.Popen:
        return self.start("materialize", *UNTIL)

    def serve(self) -> ServedApi:
        return ServedApi(self.home, **QUICK, **ENOUGH, **self.settings)

    @property
    def _opened(self) -> Settings:
        cloud = {"profile": "gcp", "gcp": self.gcp} if self.gcp else {}
        return Settings(home=self.home, **cloud)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self._opened)

    def stored(self, folder: str) -> list[str]:
        """What the bucket has in a folder."""
        return sorted(BucketFolder(self.gcp.bucket, folder, endpoint=self.gcp.storage_endpoint).names())

    @property
    def summary(self) -> Summary:
        return open_registry(self._opened).read()


@pytest.fixture(scope="module")
def postgres():
    """PostgreSQL for this module alone: its event log says what was materialized."""
    with running_postgres(installed() or Path(system_program("postgresql")).parent) as server:
        yield server


@pytest.fixture(scope="module")
def places(tmp_path_factory, bigquery, gcs, postgres) -> tuple[Place, Place]:
    """The embedded home and that of the profile gcp, after a pass each."""
    folder = tmp_path_factory.mktemp("places")
    both = Place(folder / "here"), cloud_place(folder / "cloud", bigquery, gcs, postgres)
    for place in both:
        claim_past_home(place.home)
    passes = [place.start_pass() for place in both]
    said = [each.communicate()[0] for each in passes]
    assert [each.returncode for each in passes] == [0, 0], said
    return both


def cloud_place(home: Path, bigquery: BigQueryEmulator, gcs: GcsEmulator, postgres: Postgres) -> Place:
    """Make tables, a bucket and databases; return the settings that name them."""
    tables = bigquery.new_warehouse().settings
    gcp = tables.model_copy(update={"bucket": gcs.make_bucket(), "storage_endpoint": gcs.endpoint})
    settings = {f"BIKE_GCP__{name.upper()}": str(value) for name, value in gcp.model_dump(exclude_none=True).items()}
    settings |= {
        "BIKE_PROFILE": "gcp",
        "BIKE_POSTGRES_HOST": postgres.host,
        "BIKE_POSTGRES_PORT": str(postgres.port),
        "BIKE_POSTGRES_PASSWORD": postgres.password,
        "BIKE_RUNS_AT_ONCE": "1",
        "BIKE_RUN_LAUNCHER": "bike_assets.instance.run_launcher.WatchedRunLauncher",
        "BIKE_RUN_LAUNCHER_CONFIG": "",
        "MLFLOW_TRACKING_URI": postgres.make_database("mlflow"),
        # MLflow's and Dagster's own clients of the bucket know no other way to an emulator.
        "STORAGE_EMULATOR_HOST": gcs.endpoint,
    }
    return Place(home, settings, gcp)


@pytest.fixture
def instance(places, monkeypatch):
    """The instance of the cloud's pass, as another process opens it."""
    for name, value in places[1].settings.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(places[1].home / "dagster")) as opened:
        yield opened


def rows_of(warehouse: Warehouse, table: Table) -> pd.DataFrame:
    """All rows of a table in the order of their key, without what no two passes have alike."""
    days = f" WHERE {table.partition} >= @first" if table.partition else ""
    given = {"first": date(2000, 1, 1)} if table.partition else {}
    rows = warehouse.query(f"SELECT * FROM {table.full_name}{days}", **given)
    if "data_versions" in rows:  # A decision names the runs that made its figures.
        rows["data_versions"] = rows["data_versions"].str.replace(RUN_ID, "a run", regex=True)
    columns = [name for name in table.columns if name not in OF_THE_RUN]
    key = [name for name in table.key if name not in OF_THE_RUN]
    return rows.sort_values(key)[columns].reset_index(drop=True)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.full_name)
def test_a_table_has_the_same_rows_as_the_embedded_one(places, table):
    here, cloud = (rows_of(place.warehouse, table) for place in places)
    assert len(here) or table.name == "rejected_counts"
    pd.testing.assert_frame_equal(cloud, here, check_exact=True)


def test_the_champion_is_of_the_same_family_with_the_same_scores_and_the_very_same_files_serve(places):
    here, cloud = ([entry.model_dump(exclude={"run_id"}) for entry in place.summary.models] for place in places)
    assert cloud == here
    assert [entry["is_champion"] for entry in cloud].count(True) == 1


def test_nothing_of_the_pass_is_left_on_the_machine_but_who_claimed_the_home(places):
    cloud = places[1]
    left = {path.relative_to(cloud.home).as_posix() for path in cloud.home.rglob("*") if path.is_file()}
    kept = {path for path in left if not path.startswith("cache/")}  # Of libraries, for themselves.
    assert kept == {"home.json", ".pass.lock", "dagster/dagster.yaml"}


def test_runs_are_on_postgres_and_their_logs_and_mlflows_artifacts_in_the_bucket(places, instance):
    runs = instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    logs = places[1].stored("dagster")
    assert all(any(run.run_id in name for name in logs) for run in runs)
    champion = places[1].summary.champion
    assert any(champion.run_id in name for name in places[1].stored("mlflow"))


@pytest.mark.parametrize("asset", ASKING)
def test_an_asset_that_asks_the_warehouse_says_what_that_was_billed(instance, asset):
    made = instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization
    assert made.metadata[BYTES_BILLED].value > 0


def test_a_second_pass_changes_nothing(places):
    cloud = places[1]
    before = state_of(cloud)
    second = cloud.start_pass()
    said = second.communicate()[0]
    assert second.returncode == 0, said
    assert "Nothing to do" in said
    assert state_of(cloud) == before


def state_of(place: Place) -> str:
    """When each table was last changed, what the registry says, and what the bucket has of models."""
    warehouse = place.warehouse
    tables = {table.full_name: warehouse.state(table) for table in TABLES}
    return json.dumps([tables, place.summary.model_dump(mode="json"), place.stored("registry")])


def test_the_api_of_both_answers_the_same(places):
    counters = LocalWarehouse(places[0].home / "warehouse").query("SELECT counter_id FROM bike_traffic_raw.counters")
    asked = {"records": [{"counter_id": name, "at": NEXT_NOON} for name in sorted(counters["counter_id"])]}
    here, cloud = (answer_of(place, asked) for place in places)
    assert len(here["predictions"]) == len(asked["records"]) == 6
    assert min(here["predictions"]) > 0
    assert here["model_metadata"].pop("run_id") != cloud["model_metadata"].pop("run_id")
    assert cloud == here


def test_the_exporter_of_both_returns_the_same(places, tmp_path):
    here, cloud = (figures_of(place, tmp_path) for place in places)
    assert here.keys() == cloud.keys()
    assert {value for (name, _), value in cloud.items() if name == "bike_exporter_part_readable"} == {1.0}
    assert without_the_clock(cloud) == pytest.approx(without_the_clock(here))
    assert len(without_the_clock(cloud)) > 100


def figures_of(place: Place, folder: Path) -> dict[tuple[str, str], float]:
    """What a scrape of a place's exporter returns, by name and labels."""
    [port] = free_ports(1)
    command = (*BIKE, "exporter", "--port", str(port))
    with started(f"http://127.0.0.1:{port}", folder, *command, ready="/metrics", **place.environment) as exporter:
        metrics = httpx.get(f"{exporter.address}/metrics", timeout=60).text
    samples = [each for family in text_string_to_metric_families(metrics) for each in family.samples]
    return {(each.name, str(sorted(each.labels.items()))): each.value for each in samples}


def without_the_clock(figures: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The figures that do not say when something happened, or how long it took."""
    return {(name, of): value for (name, of), value in figures.items() if not name.endswith("_seconds")}


def test_the_status_of_both_is_the_same(places):
    here, cloud = (place.start("status", "--json") for place in places)
    status = [json.loads(each.communicate()[0]) for each in (here, cloud)]
    assert status[0]["champion"].pop("run_id") != status[1]["champion"].pop("run_id")
    assert status[0] == status[1]


def answer_of(place: Place, asked: dict) -> dict:
    with place.serve() as api:
        answer = httpx.post(f"{api.address}/predict", json=asked, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()
