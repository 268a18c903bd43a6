"""`bike doctor`: each thing that is missing is one line that says what to do; nothing is changed."""

import socket
import threading
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.cloud import bigquery as google

from bike_assets.commands.doctor.checks import Check, State, run
from bike_assets.commands.doctor.run import all_checks, run_doctor
from bike_assets.core.schemas import COUNTERS, TABLES
from bike_assets.errors import StepFailedError
from bike_assets.home.record import RECORD
from bike_assets.resources import bigquery_errors
from bike_assets.resources import gcs as storage
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets.resources.gcs import BucketFolder
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim
from bike_assets_tests.resources.engines import states

SECRET = "pass-word-of-nobody"
PORTS = ("dagster", "api", "mlflow", "exporter", "prometheus", "alertmanager", "grafana")


@pytest.fixture
def ports() -> dict[str, int]:
    """Free ports for everything."""
    held = [socket.socket() for _ in PORTS]
    for each in held:
        each.bind(("127.0.0.1", 0))
    found = {f"{name}_port": each.getsockname()[1] for name, each in zip(PORTS, held, strict=True)}
    for each in held:
        each.close()
    return found


@pytest.fixture
def local(tmp_path, ports) -> Settings:
    return Settings(home=claim(tmp_path / "home").folder, **ports)


@pytest.fixture
def cloud(local, bigquery, gcs, postgres, monkeypatch) -> Settings:
    """The profile gcp with all that it needs."""
    monkeypatch.setattr(bigquery_errors, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(storage, "RETRY_SECONDS", 0.5)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    gcp = bigquery.new_warehouse(bucket=gcs.make_bucket(), storage_endpoint=gcs.endpoint).settings
    of_postgres = {
        "postgres_host": postgres.host,
        "postgres_port": postgres.port,
        "postgres_password": postgres.password,
    }
    return Settings(
        **local.model_dump(include={"home", *(f"{name}_port" for name in PORTS)}), profile="gcp", gcp=gcp, **of_postgres
    )


def findings(settings: Settings) -> dict[str, str]:
    """What each check found."""
    found = [run(check) for check in all_checks(settings)]
    assert all("\n" not in each.text for each in found)
    return {each.name: f"{each.state}: {each.text}" for each in found}


def missing(settings: Settings) -> dict[str, str]:
    return {name: text for name, text in findings(settings).items() if text.startswith(State.MISSING)}


def test_a_check_that_hangs_or_fails_is_one_line_and_the_next_one_runs():
    never = threading.Event()
    assert run(Check("slow", never.wait), 0.1).text == "No answer within 0.1 s."
    found = run(Check("broken", lambda: {}["key"]))
    assert (found.state, found.text) == (State.MISSING, "KeyError: 'key'")
    assert run(Check("optional", lambda: {}["key"], needed=False)).state is State.NOTE
    never.set()


def test_a_complete_machine_passes_and_nothing_is_changed(local, capsys):
    before = {path: path.stat().st_mtime_ns for path in local.home.rglob("*")}
    run_doctor(local)
    assert {path: path.stat().st_mtime_ns for path in local.home.rglob("*")} == before
    printed = capsys.readouterr().out
    assert f"ok: home: {local.home}: the simulator" in printed
    assert "note: Discord: BIKE_DISCORD_WEBHOOK_URL is not set" in printed
    assert all(line.startswith(("ok: ", "note: ")) for line in printed.splitlines())


def test_an_unreadable_home_is_named_and_the_other_checks_run(local):
    (local.home / RECORD).write_text("{}")
    found = missing(local)
    assert set(found) == {"home", "source of counts"}
    assert f"{local.home / RECORD} is not the record of a home" in found["home"]


def test_a_portal_that_does_not_answer_is_reported(tmp_path, ports, deaf_address):
    settings = Settings(home=tmp_path / "home", source="paris", portal_url=deaf_address, **ports)
    assert deaf_address in missing(settings)["source of counts"]
    auto = settings.model_copy(update={"source": "auto"})
    assert "a home that is made now has the simulator" in findings(auto)["source of counts"]
    assert not settings.home.exists()


def test_a_changed_export_is_reported(local, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("another")
    home = replace(claim(tmp_path / "other"), folder=tmp_path / "of_file", source="file", file=path, digest="0" * 64)
    replace(home, last_day=date(2021, 2, 1)).claim()
    found = missing(local.model_copy(update={"home": home.folder}))
    assert f"{path} is no longer the file" in found["source of counts"]


def test_a_port_is_free_or_answers_as_ours_or_is_reported_with_its_setting(local):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        found = findings(local.model_copy(update={"api_port": port}))
        assert found["port of API"] == f"ok: API answers on 127.0.0.1:{port}"
        busy = missing(local.model_copy(update={"exporter_port": port}))
        assert list(busy) == ["port of Exporter"]
        assert "choose another with BIKE_EXPORTER_PORT" in busy["port of Exporter"]
        server.shutdown()


def test_a_complete_cloud_passes_and_nothing_is_written_there(cloud):
    warehouse = BigQueryWarehouse(cloud.gcp)
    before = states(warehouse)
    found = findings(cloud)
    assert not [text for text in found.values() if text.startswith("missing")], found
    assert found["credentials"].startswith("ok: not needed")
    assert "has its 5 tables" in found["bike_traffic_raw"]
    assert found["Dagster's database"] == f"ok: PostgreSQL at 127.0.0.1:{cloud.postgres_port}: bike may use dagster"
    assert "MLFLOW_TRACKING_URI is not set" in found["MLflow"]
    assert states(warehouse) == before
    assert BucketFolder(cloud.gcp.bucket, "", endpoint=cloud.gcp.storage_endpoint).names() == []
    with warehouse.jobs.connection.get_client() as client:
        assert sum(len(list(client.list_tables(each))) for each in datasets(cloud)) == len(TABLES) + 1


def datasets(settings: Settings) -> list[str]:
    return [
        f"{settings.gcp.project}.{settings.gcp.dataset_prefix}{name}" for name in sorted({t.dataset for t in TABLES})
    ]


def test_each_wrong_table_dataset_and_location_is_reported(cloud):
    predictions, raw, audit = datasets(cloud)
    with BigQueryWarehouse(cloud.gcp).jobs.connection.get_client() as client:
        client.delete_dataset(predictions, delete_contents=True)
        client.delete_table(f"{raw}.{COUNTERS.name}")
        client.delete_table(f"{audit}.splits")
        client.create_table(google.Table(f"{audit}.splits", [google.SchemaField("name", "STRING")]))
    found = missing(cloud)
    assert found["bike_traffic_raw"] == f"missing: {raw} has no counters: type bike warehouse init."
    assert "bike warehouse init creates datasets and tables" in found["bike_traffic_predictions"]
    assert "splits is of an older version" in found["monitoring_audit"]
    assert "counters" in found["Storage Read API"]
    elsewhere = cloud.gcp.model_copy(update={"location": "US", "bucket": "nobodys"})
    found = missing(cloud.model_copy(update={"gcp": elsewhere}))
    assert f"{raw} is in EU, and BIKE_GCP__LOCATION is US" in found["bike_traffic_raw"]
    assert "The bucket gs://nobodys does not exist" in found["bucket"]


def test_missing_permissions_are_reported_by_role(cloud, bigquery, gcs):
    with bigquery.fault(403, "accessDenied", message="no jobs for you", text="/jobs"):
        found = missing(cloud)
    assert {"BigQuery", "writing bike_traffic_raw"} <= set(found)
    assert "no jobs for you: the account needs the roles BigQuery Data Editor, Job User" in found["BigQuery"]
    with gcs.fault(403, message="not yours", path="testPermissions"):
        found = missing(cloud)
    assert list(found) == ["bucket"]
    assert "Storage Object User (roles/storage.objectUser)" in found["bucket"]


def test_missing_permissions_on_the_bucket_are_named(cloud, monkeypatch):
    monkeypatch.setattr("google.cloud.storage.Bucket.test_iam_permissions", lambda *_, **__: ["storage.objects.get"])
    text = missing(cloud)["bucket"]
    assert "does not permit storage.objects.create, storage.objects.delete, storage.objects.list" in text


def test_a_database_that_refuses_access_is_reported_without_its_password(cloud, monkeypatch, postgres):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://bike:{SECRET}@127.0.0.1:{postgres.port}/dagster")
    settings = Settings(
        **cloud.model_dump(exclude={"postgres_password", "gcp"}), gcp=cloud.gcp, postgres_password=SECRET
    )
    found = missing(settings)
    assert set(found) == {"Dagster's database", "MLflow"}
    assert "check BIKE_POSTGRES_HOST, BIKE_POSTGRES_PORT and BIKE_POSTGRES_PASSWORD" in found["Dagster's database"]
    assert "MLFLOW_TRACKING_URI" in found["MLflow"]
    assert SECRET not in str(found)


def test_an_address_without_mlflow_is_reported_without_its_password(cloud, monkeypatch, deaf_address, gcs):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", deaf_address.replace("://", f"://bike:{SECRET}@"))
    assert "does not answer (ConnectError)" in missing(cloud)["MLflow"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gcs.endpoint.replace("://", f"://bike:{SECRET}@"))
    assert f"{gcs.endpoint}/health answers" in missing(cloud)["MLflow"]
    assert SECRET not in str(findings(cloud))


def test_what_is_missing_decides_the_exit_code(local):
    (local.home / RECORD).write_text("{}")
    with pytest.raises(StepFailedError, match="2 of 13 things are missing: home, source of counts") as refusal:
        run_doctor(local)
    assert refusal.value.exit_code == 1
