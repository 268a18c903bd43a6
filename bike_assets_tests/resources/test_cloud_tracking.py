"""MLflow with artifacts in a bucket: on PostgreSQL, named by its address or behind the server that compose starts."""

import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
import yaml
from mlflow.tracking import MlflowClient

from bike_assets.commands.run.everything import services
from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.profiles import open_tracking
from bike_assets.resources.tracking import CHAMPION, MODEL, Tracking
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim
from bike_assets_tests.resources.test_tracking import identity, record
from bike_assets_tests.servers import free_ports, started


@pytest.fixture(scope="module")
def bucket(gcs) -> str:
    return gcs.make_bucket()


@pytest.fixture(scope="module")
def server(postgres, gcs, bucket, tmp_path_factory) -> Iterator[str]:
    """MLflow as compose.yaml starts it, on a port of this machine; its address."""
    service = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())["services"]["mlflow"]
    [port] = free_ports(1)
    instead = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}
    command = [re.sub(r"\$\{BIKE_GCP__BUCKET\}", bucket, instead.get(part, part)) for part in service["command"]]
    command[0] = str(Path(sys.executable).parent / command[0])
    given = {
        "MLFLOW_BACKEND_STORE_URI": postgres.make_database(f"mlflow_{uuid.uuid4().hex[:8]}"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "STORAGE_EMULATOR_HOST": gcs.endpoint,
    }
    folder = tmp_path_factory.mktemp("server")
    with started(f"http://127.0.0.1:{port}", folder, *command, ready="/health", **given) as mlflow_server:
        yield mlflow_server.address


@pytest.fixture(params=["database", "server"])
def tracking(request, tmp_path, gcs, bucket, monkeypatch) -> Iterator[Tracking]:
    """The tracking of the profile gcp, with MLflow elsewhere."""
    if request.param == "database":
        address = request.getfixturevalue("postgres").make_database(f"mlflow_{uuid.uuid4().hex[:8]}")
    else:
        address = request.getfixturevalue("server")
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    # MLflow's own client of the bucket knows no endpoint.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.endpoint)
    yield open_tracking(settings_of(tmp_path, bucket))
    mlflow.set_tracking_uri(before)


def settings_of(folder: Path, bucket: str) -> Settings:
    return Settings(home=folder, profile="gcp", gcp=GcpSettings(project="bikes", bucket=bucket))


def test_a_training_is_recorded_on_the_server_with_its_model_in_the_bucket(
    tracking, trained, rows, served, gcs, bucket, tmp_path
):
    run_id, version = record(tracking, trained, identity(f"only-{uuid.uuid4().hex}"))
    client = MlflowClient(tracking.uri, tracking.uri)
    assert client.get_run(run_id).info.status == "FINISHED"
    stored = BucketFolder(bucket, "mlflow", endpoint=gcs.endpoint).names()
    assert any(name.endswith("model.onnx") for name in stored)
    assert any(name.startswith(f"{run_id}/") or f"/{run_id}/" in name for name in stored)
    kept = mlflow.onnx.load_model(f"models:/{MODEL}/{version}")
    assert kept.SerializeToString() == trained.onnx
    assert list(tmp_path.iterdir()) == []


def test_the_same_training_twice_is_one_version_and_the_alias_follows(tracking, trained):
    training = identity(f"twice-{uuid.uuid4().hex}")
    first = record(tracking, trained, training)
    assert record(tracking, trained, training) == first
    tracking.set_alias(CHAMPION, first[1])
    client = MlflowClient(tracking.uri, tracking.uri)
    assert int(client.get_model_version_by_alias(MODEL, CHAMPION).version) == first[1]
    assert not tracking.set_alias(CHAMPION, first[1])


def test_the_server_answers_to_the_host_name_of_the_other_containers(server):
    address = f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert httpx.get(address, headers={"Host": "mlflow:5000"}, timeout=60).is_success
    foreign = httpx.get(address, headers={"Host": "evil.example"}, timeout=60)
    assert foreign.status_code == 403


def test_make_run_starts_no_mlflow_beside_an_external_one(tmp_path, monkeypatch):
    home, settings = claim(tmp_path), settings_of(tmp_path, "bikes")
    assert "mlflow" in [service.name for service in services(home, settings)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5999")
    assert "mlflow" not in [service.name for service in services(home, settings)]
    assert "mlflow" in [service.name for service in services(home, Settings(home=tmp_path))]


def test_without_an_address_runs_stay_in_the_home_and_the_local_profile_ignores_the_address(tmp_path, monkeypatch):
    settings = settings_of(tmp_path, "bikes")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert open_tracking(settings).uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5999")
    assert open_tracking(settings).uri == "http://127.0.0.1:5999"
    assert open_tracking(Settings(home=tmp_path)).uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
