"""Tracking in MLflow: one experiment, one registered model, one version per training, and two aliases.

The registry decides which version is champion; the aliases champion and challenger in MLflow follow it.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bike_assets.core.families.base import INPUTS, Trained
from bike_assets.core.model_report import ModelReport
from bike_assets.core.summary import ModelEntry
from bike_assets.errors import BikeError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT = "bike-traffic"
MODEL = "bike-traffic"
CHAMPION, CHALLENGER = "champion", "challenger"
FINGERPRINT = "bike/fingerprint"
SERVING_REQUIREMENTS = ("onnxruntime", "onnx", "numpy")
SESSION = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
"""With more threads, the order of a sum depends on the batch, and so does the last bit of the result."""


@dataclass(frozen=True)
class TrainingIdentity:
    """What is known about a training before it starts.

    Attributes:
        family: model family.
        fingerprint: identifies the training; a repeated training gets the same MLflow run and version.
        tags: origin of the training (Dagster run, data versions).
    """

    family: str
    fingerprint: str
    tags: Mapping[str, str]


class Tracking:
    """MLflow with SQLite and files, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: str | None = None

    @property
    def uri(self) -> str:
        """Tracking URI."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> str:
        """URI of the experiment's artifacts."""
        return (self.folder / "artifacts").as_uri()

    @property
    def is_external(self) -> bool:
        """Whether an external MLflow server or database is used; never here."""
        return False

    def prepare(self) -> None:
        """Create the database under a temporary name and rename it: a killed migration cannot be resumed."""
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        database = self.folder / "mlflow.db"
        if database.exists():
            return
        from mlflow.tracking import MlflowClient

        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"mlflow.{os.getpid()}.tmp"
        temporary.unlink(missing_ok=True)
        MlflowClient(f"sqlite:///{temporary}", f"sqlite:///{temporary}").search_experiments(max_results=1)
        temporary.replace(database)

    def begin(self, training: TrainingIdentity) -> str:
        """Open the MLflow run of a training and return its id.

        A training that is repeated, for example after a failure, reuses its run, found by the fingerprint.
        """
        client = self._client()
        experiment = self._experiment(client)
        tags = {FINGERPRINT: training.fingerprint, "bike/family": training.family, **training.tags}
        condition = f"tags.`{FINGERPRINT}` = '{training.fingerprint}'"
        begun = client.search_runs([experiment], condition, max_results=1)
        run: Run = begun[0] if begun else client.create_run(experiment, tags=tags, run_name=training.family)
        self._open = str(run.info.run_id)
        client.update_run(self._open, status="RUNNING")
        return self._open

    def record(
        self, run_id: str, training: TrainingIdentity, trained: Trained, parameters: Mapping, report: ModelReport
    ) -> int:
        """Log a finished training to its run, register the version, end the run, and return the version number."""
        client = self._client()
        _log(client, run_id, parameters, report)
        version = self._version(client, training, trained, run_id)
        self.end_run()
        return version

    def end_run(self, status: str = "FINISHED") -> None:
        """End the open run, if there is one; the hook in `automation.hooks` calls this after a failure."""
        if self._open is not None:
            self._client().set_terminated(self._open, status)
            self._open = None

    def set_alias(self, alias: str, version: int | None) -> bool:
        """Set an alias to a version, or remove it for None; return whether it changed."""
        from mlflow.exceptions import MlflowException

        client, now = self._client(), None
        with suppress(MlflowException):
            now = int(client.get_model_version_by_alias(MODEL, alias).version)
        if now == version:
            return False
        if version is None:
            client.delete_registered_model_alias(MODEL, alias)
        else:
            client.set_registered_model_alias(MODEL, alias, str(version))
        return True

    def run_url(self, run_id: str, address: str) -> str:
        """Return the URL of a run's page in the MLflow UI at `address`."""
        return f"{address}/#/experiments/{self._experiment(self._client())}/runs/{run_id}"

    def _client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        self.prepare()
        return MlflowClient(self.uri, self.uri)

    def _experiment(self, client: "MlflowClient") -> str:
        known = client.get_experiment_by_name(EXPERIMENT)
        return str(known.experiment_id if known else client.create_experiment(EXPERIMENT, self.artifacts))

    def _version(self, client: "MlflowClient", training: TrainingIdentity, trained: Trained, run_id: str) -> int:
        import mlflow
        import onnx
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            client.create_registered_model(MODEL)
        for known in client.search_model_versions(f"name = '{MODEL}'"):
            if known.tags.get(FINGERPRINT) == training.fingerprint:
                return int(known.version)
        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.onnx.log_model(
                onnx.load_model_from_string(trained.onnx),
                name=training.family,
                signature=_signature(),
                pip_requirements=[f"{name}=={installed(name)}" for name in SERVING_REQUIREMENTS],
                onnx_session_options=SESSION,
                metadata={"inputs": list(INPUTS), "counters": trained.counters, "sha256": trained.sha256},
            )
        tags = {FINGERPRINT: training.fingerprint, "family": training.family, **training.tags}
        made = client.create_model_version(MODEL, logged.model_uri, run_id, tags=tags, model_id=logged.model_id)
        return int(made.version)


class CloudTracking(Tracking):
    """MLflow on the server or database that MLFLOW_TRACKING_URI names, with its artifacts in a bucket.

    That variable is MLflow's own setting. Without it, runs stay in SQLite below the folder.

    Args:
        folder: folder of the SQLite database.
        bucket: name of the bucket.
    """

    def __init__(self, folder: Path, bucket: str | None) -> None:
        super().__init__(folder)
        self._bucket = bucket

    @property
    def uri(self) -> str:
        """Tracking URI."""
        return _named_address() or super().uri

    @property
    def artifacts(self) -> str:
        """URI of the experiment's artifacts."""
        return f"gs://{self._bucket}/mlflow"

    @property
    def is_external(self) -> bool:
        """Whether MLFLOW_TRACKING_URI names an external server or database."""
        return _named_address() is not None

    def prepare(self) -> None:
        """Create the local database unless MLFLOW_TRACKING_URI is set; MLflow itself prepares an external database."""
        if not self.is_external:
            super().prepare()
        logging.getLogger("mlflow").setLevel(logging.WARNING)

    def register_versions(self, entries: Sequence[ModelEntry], registry: str) -> int:
        """Register the versions of a registry under the same numbers, without their runs; later numbers continue.

        Args:
            entries: the versions; each gap between their numbers gets a placeholder version.
            registry: address of the folder of their files.

        Returns:
            Number of versions registered by this call, placeholders included.

        Raises:
            BikeError: MLflow has a version that differs from these.
        """
        from mlflow.exceptions import MlflowException

        client = self._client()
        with suppress(MlflowException):
            client.create_registered_model(MODEL)
        wanted = {entry.version: entry for entry in entries}
        known = {int(each.version): each for each in client.search_model_versions(f"name = '{MODEL}'")}
        for number, version in known.items():
            if number not in wanted or version.tags.get(FINGERPRINT) not in {None, wanted[number].fingerprint}:
                raise BikeError(f"MLflow has a version {number} of {MODEL} that differs from the registry's.")
        missing = [number for number in range(1, max(wanted, default=0) + 1) if number not in known]
        for number in missing:
            entry = wanted.get(number)
            tags = {FINGERPRINT: entry.fingerprint, "family": entry.family} if entry else {}
            note = "Carried from another MLflow, without its run." if entry else "This number was never registered."
            source = f"{registry}/{entry.model_file}" if entry else registry
            made = client.create_model_version(MODEL, source, tags=tags, description=note)
            if int(made.version) != number:
                raise BikeError(f"MLflow registered version {number} of {MODEL} as version {made.version}.")
        return len(missing)


def _named_address() -> str | None:
    from mlflow.environment_variables import MLFLOW_TRACKING_URI

    return MLFLOW_TRACKING_URI.get() or None


def _log(client: "MlflowClient", run_id: str, parameters: Mapping, report: ModelReport) -> None:
    from mlflow.entities import Metric, Param

    # The run's own start time: a repeated training then overwrites its points instead of adding new ones.
    time = client.get_run(run_id).info.start_time
    metrics = [Metric(name, value, time, 0) for name, value in report.metrics.items()]
    curves = [Metric(name, value, time, step) for name, curve in report.curves.items() for step, value in curve.items()]
    client.log_batch(run_id, metrics + curves, [Param(name, str(value)) for name, value in parameters.items()])
    logged = {each.path for each in client.list_artifacts(run_id)}
    for name, table in report.tables.items():
        if name not in logged:  # Otherwise MLflow would append to the table.
            client.log_table(run_id, table, name)
    for name, figure in report.figures.items():
        client.log_figure(run_id, figure, name)


def _signature() -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.float32), (-1, len(INPUTS)), "features"),
        TensorSpec(np.dtype(np.float32), (-1, 1), "base"),
    ]
    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype(np.float32), (-1, 1), "bike_count")]
    return ModelSignature(Schema(inputs), Schema(outputs))
