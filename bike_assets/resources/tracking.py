"""Tracking in MLflow: one experiment, one registered model, a version a training, the alias of the champion.

Which version is champion is decided and committed in the registry; the alias here follows.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bike_assets.core.families.base import INPUTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

EXPERIMENT = "bike-traffic"
MODEL = "bike-traffic"
CHAMPION = "champion"
FINGERPRINT = "bike/fingerprint"
SERVING_REQUIREMENTS = ("onnxruntime", "onnx", "numpy")


@dataclass(frozen=True)
class TrainingRecord:
    """What is told of one training.

    Attributes:
        family: model family.
        fingerprint: identifies the training; the same one again is the same run and version.
        onnx: the served file.
        parameters: hyper-parameters and data bounds.
        metrics: scores by name.
        tags: where it came from (Dagster run, data versions).
        figures: plots by file name.
    """

    family: str
    fingerprint: str
    onnx: bytes
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    figures: Mapping[str, "Figure"] = field(default_factory=dict)


class Tracking:
    """MLflow on SQLite and files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def uri(self) -> str:
        """Tracking address."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> str:
        """Where artifacts of the experiment lie."""
        return (self.folder / "artifacts").as_uri()

    def prepare(self) -> None:
        """Create the database, all of it or none: a migration that is killed half-way cannot be taken up again."""
        database = self.folder / "mlflow.db"
        if database.exists():
            return
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"mlflow.{os.getpid()}.tmp"
        temporary.unlink(missing_ok=True)
        MlflowClient(f"sqlite:///{temporary}", f"sqlite:///{temporary}").search_experiments(max_results=1)
        temporary.replace(database)

    def record(self, training: TrainingRecord) -> tuple[str, int]:
        """Record a training as an MLflow run and a version of the one registered model.

        A training that died half-way is taken up where it was: its run and its version are found by fingerprint.

        Returns:
            The run id and the version.
        """
        import mlflow

        client = self._client()
        run_id = self._run(client, training)
        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=run_id):
            mlflow.log_params(dict(training.parameters))
            mlflow.log_metrics(dict(training.metrics))
            for name, figure in training.figures.items():
                mlflow.log_figure(figure, name)
            version = self._version(client, training, run_id)
        return run_id, version

    def follow_champion(self, version: int) -> bool:
        """Let the alias name the registry's champion; return whether it had to move."""
        from mlflow.exceptions import MlflowException

        client = self._client()
        with suppress(MlflowException):
            if int(client.get_model_version_by_alias(MODEL, CHAMPION).version) == version:
                return False
        client.set_registered_model_alias(MODEL, CHAMPION, str(version))
        return True

    def _client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.prepare()
        return MlflowClient(self.uri, self.uri)

    def _run(self, client: "MlflowClient", training: TrainingRecord) -> str:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        identifier = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, self.artifacts)
        tags = {FINGERPRINT: training.fingerprint, "bike/family": training.family, **training.tags}
        begun = client.search_runs([identifier], f"tags.`{FINGERPRINT}` = '{training.fingerprint}'", max_results=1)
        run = begun[0] if begun else client.create_run(identifier, tags=tags, run_name=training.family)
        return str(run.info.run_id)

    def _version(self, client: "MlflowClient", training: TrainingRecord, run_id: str) -> int:
        import mlflow
        import onnx
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            client.create_registered_model(MODEL)
        for known in client.search_model_versions(f"name = '{MODEL}'"):
            if known.tags.get(FINGERPRINT) == training.fingerprint:
                return int(known.version)
        logged = mlflow.onnx.log_model(
            onnx.load_model_from_string(training.onnx),
            name=training.family,
            signature=_signature(),
            pip_requirements=list(SERVING_REQUIREMENTS),
        )
        tags = {FINGERPRINT: training.fingerprint, "family": training.family, **training.tags}
        return int(client.create_model_version(MODEL, logged.model_uri, run_id, tags=tags).version)


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
