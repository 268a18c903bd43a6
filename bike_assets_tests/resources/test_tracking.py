"""Tracking against a real MLflow on SQLite: one run and one version a training, and the model that it keeps."""

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from bike_assets.core.families.base import Trained, model_inputs_of
from bike_assets.core.features import SEASONAL
from bike_assets.core.model_report import ModelReport
from bike_assets.resources.tracking import (
    CHALLENGER,
    CHAMPION,
    EXPERIMENT,
    FINGERPRINT,
    MODEL,
    Tracking,
    TrainingIdentity,
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """An MLflow database with its tables and nothing in them; making one takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking(tmp_path, empty_database) -> Tracking:
    before = mlflow.get_tracking_uri()
    folder = tmp_path / "mlflow"
    folder.mkdir()
    shutil.copyfile(empty_database, folder / "mlflow.db")
    yield Tracking(folder)
    mlflow.set_tracking_uri(before)


@pytest.fixture
def client(tracking) -> MlflowClient:
    return MlflowClient(tracking.uri, tracking.uri)


def identity(fingerprint: str = "first", family: str = "gradient_boosting") -> TrainingIdentity:
    return TrainingIdentity(family, fingerprint, {"dagster/run_id": "run-of-dagster", "data/train_baseline": "abc"})


REPORT = ModelReport(
    metrics={"r2_test_current_h1": 0.75},
    curves={"rmse_by_hour": {0: 3.5, 8: 41.0}},
    tables={"scores_by_counter.json": pd.DataFrame({"counter_id": ["a", "b"], "r2": [0.9, float("nan")]})},
    figures={},
)
PARAMETERS = {"iterations": 8, "rows": 3000}


def record(
    tracking: Tracking, trained: Trained, training: TrainingIdentity | None = None, report: ModelReport = REPORT
) -> tuple[str, int]:
    """Begin a training and record it; its run and its version."""
    training = training or identity()
    run_id = tracking.begin(training)
    return run_id, tracking.record(run_id, training, trained, PARAMETERS, report)


def runs_of(client: MlflowClient) -> list:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_a_training_is_one_run_with_its_facts_and_one_version(tracking, client, trained):
    run_id, version = record(tracking, trained, report=replace(REPORT, figures={"newest_week.png": Figure()}))
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"iterations": "8", "rows": "3000"}
    assert run.data.metrics == {"r2_test_current_h1": 0.75, "rmse_by_hour": 41.0}
    curve = client.get_metric_history(run_id, "rmse_by_hour")
    assert {point.step: point.value for point in curve} == {0: 3.5, 8: 41.0}
    assert {point.timestamp for point in curve} == {run.info.start_time}
    assert run.data.tags["dagster/run_id"] == "run-of-dagster"
    assert [each.path for each in client.list_artifacts(run_id)] == [
        "newest_week.png",
        "scores_by_counter.json",
    ]
    table = client.load_table(run.info.experiment_id, "scores_by_counter.json", [run_id])
    assert list(table["counter_id"]) == ["a", "b"]
    registered = client.get_model_version(MODEL, str(version))
    assert (version, registered.run_id) == (1, run_id)
    assert registered.tags == {
        FINGERPRINT: "first",
        "family": "gradient_boosting",
        "dagster/run_id": "run-of-dagster",
        "data/train_baseline": "abc",
    }


def test_the_same_training_twice_is_one_run_and_one_version(tracking, client, trained):
    first = record(tracking, trained)
    assert record(Tracking(tracking.folder), trained) == first
    assert len(runs_of(client)) == 1
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 1


def test_every_family_and_every_training_is_a_version_of_the_one_model(tracking, client, trained):
    versions = [
        record(tracking, trained)[1],
        record(tracking, trained, identity("second", "blend"))[1],
        record(tracking, trained, identity("third"))[1],
    ]
    assert versions == [1, 2, 3]
    assert len({run.info.run_id for run in runs_of(client)}) == 3
    assert [model.name for model in client.search_registered_models()] == [MODEL]
    assert client.get_model_version(MODEL, "2").tags["family"] == "blend"


def test_an_unfinished_run_is_continued(tracking, client, trained):
    experiment = client.create_experiment(EXPERIMENT, tracking.artifacts)
    begun = client.create_run(experiment, tags={FINGERPRINT: "first"})
    client.log_param(begun.info.run_id, "iterations", "8")
    run_id, version = record(tracking, trained)
    assert run_id == begun.info.run_id
    assert [run.info.run_id for run in runs_of(client)] == [run_id]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"iterations": "8", "rows": "3000"}
    assert client.get_model_version(MODEL, str(version)).run_id == run_id


def test_another_trainings_unfinished_run_stays_unchanged(tracking, client, trained):
    experiment = client.create_experiment(EXPERIMENT, tracking.artifacts)
    begun = client.create_run(experiment, tags={FINGERPRINT: "another"})
    run_id, _ = record(tracking, trained)
    assert run_id != begun.info.run_id
    assert client.get_run(begun.info.run_id).info.status == "RUNNING"


def test_setting_the_alias_returns_whether_it_changed(tracking, client, trained):
    for fingerprint in ("first", "second"):
        record(tracking, trained, identity(fingerprint))
    assert [tracking.set_alias(CHAMPION, version) for version in (1, 1, 2, 2, 1)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert int(client.get_model_version_by_alias(MODEL, CHAMPION).version) == 1


def test_a_removed_alias_is_set_again(tracking, client, trained):
    record(tracking, trained)
    tracking.set_alias(CHAMPION, 1)
    client.delete_registered_model_alias(MODEL, CHAMPION)
    assert tracking.set_alias(CHAMPION, 1)
    assert int(client.get_model_version_by_alias(MODEL, CHAMPION).version) == 1


def test_the_alias_cannot_follow_a_version_that_mlflow_does_not_have(tracking, client, trained):
    record(tracking, trained)
    tracking.set_alias(CHAMPION, 1)
    with pytest.raises(MlflowException, match="not found"):
        tracking.set_alias(CHAMPION, 9)
    assert int(client.get_model_version_by_alias(MODEL, CHAMPION).version) == 1


def test_the_logged_model_predicts_what_the_served_file_predicts(tracking, trained, served, rows):
    record(tracking, trained)
    tracking.set_alias(CHAMPION, 1)
    mlflow.set_tracking_uri(tracking.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}@{CHAMPION}")
    base = rows[SEASONAL].to_numpy(dtype=np.float32)[:, None]
    answer = loaded.predict({"features": model_inputs_of(rows, trained.counters), "base": base})
    predicted = np.asarray(answer["bike_count"], dtype=np.float32).ravel()
    expected = served.predict(rows).astype(np.float32)
    assert expected.std() > 1
    np.testing.assert_array_equal(predicted, expected)


def test_the_logged_model_refuses_inputs_of_another_width(tracking, trained, rows):
    record(tracking, trained)
    mlflow.set_tracking_uri(tracking.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    features = model_inputs_of(rows, trained.counters)
    with pytest.raises(MlflowException, match="shape"):
        loaded.predict({"features": features[:, 1:], "base": features[:, :1]})


def test_everything_is_stored_below_the_folder(tracking, client, trained, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run_id, version = record(tracking, trained)
    folder = tracking.folder.as_uri()
    assert client.get_run(run_id).info.artifact_uri.startswith(folder)
    assert client.get_model_version_download_uri(MODEL, str(version)).startswith(("models:/", folder))
    assert list((tracking.folder / "artifacts").rglob("model.onnx"))
    assert not list(elsewhere.iterdir())


def test_a_run_is_open_during_the_training_and_a_failure_is_recorded(tracking, client, trained):
    run_id = tracking.begin(identity())
    assert client.get_run(run_id).info.status == "RUNNING"
    tracking.end_run("FAILED")
    assert client.get_run(run_id).info.status == "FAILED"
    tracking.end_run()
    assert client.get_run(run_id).info.status == "FAILED"
    assert record(tracking, trained)[0] == run_id
    assert client.get_run(run_id).info.status == "FINISHED"


def test_an_alias_without_a_version_is_removed_once(tracking, client, trained):
    record(tracking, trained)
    assert [tracking.set_alias(CHALLENGER, version) for version in (None, 1, None, None)] == [
        False,
        True,
        True,
        False,
    ]
    assert client.get_registered_model(MODEL).aliases == {}


def test_a_version_records_its_requirements_and_inputs(tracking, client, trained):
    _, version = record(tracking, trained)
    mlflow.set_tracking_uri(tracking.uri)
    model = mlflow.models.get_model_info(f"models:/{MODEL}/{version}")
    assert model.metadata["counters"] == trained.counters
    assert len(model.metadata["inputs"]) == model.signature.inputs.inputs[0].shape[1]
    requirements = mlflow.pyfunc.get_model_dependencies(f"models:/{MODEL}/{version}")
    lines = Path(requirements).read_text().split()
    assert any(line.startswith("onnxruntime==") for line in lines)
    assert all("==" in line or line.startswith("mlflow") for line in lines)


def test_the_url_of_a_run_is_its_page_in_mlflow(tracking, client, trained):
    run_id, _ = record(tracking, trained)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    found = tracking.run_url(run_id, "http://127.0.0.1:5000")
    assert found == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{run_id}"
