"""A home whose champion is weak, so that its newest day asks for a retrain, and a reader of such a home."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from bike_assets.automation.sensors import ACTIVE_STATUSES, SENSORS, metadata_of
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.tracking import CHAMPION, MODEL, Tracking
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.run_tags import TRIGGER_TAG
from bike_assets_tests.conftest import poll
from bike_assets_tests.whole.conftest import REPOSITORY, environment
from serving.routes.operations import SETS

ANY_GAIN_AND_NEVER_GOOD = {
    "BIKE_TRAIN_SHARE": "0.5",
    "BIKE_TEST_SHARE": "0.15",
    "BIKE_MIN_GAIN": "0",
    "BIKE_R2_CRITICAL": "0.99",
    "BIKE_R2_WARNING": "0.995",
}
ONE_OVERFITTED_TREE = {"trees": 1, "min_rows_in_leaf": 5, "rows_share": 0.05, "features_share": 0.2}
"""A champion that any real training beats by far, on every date: by about .05 of R2."""
SENSORS_THAT_START_RUNS = [sensor.name for sensor in SENSORS]
REACTIVE = "RETRAIN_REACTIVE"
NOT_ENDED = [*ACTIVE_STATUSES, dg.DagsterRunStatus.CANCELING]


def materialize(home: Path, *arguments: str, **settings: str) -> None:
    """Do a pass with the settings of these homes."""
    command = [sys.executable, "-m", "bike_assets.cli", "materialize", *arguments]
    env = environment(home, **ANY_GAIN_AND_NEVER_GOOD, **settings)
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def prepare_weak_champion(home: Path, today: date | None = None, **settings: str) -> None:
    """Do the first pass until the day before yesterday, with one overfitted tree in place of the models."""
    today = today or datetime.now(ZoneInfo("Europe/Paris")).date()
    until = str(today - timedelta(days=2))
    materialize(home, "--until", until, BIKE_MIN_TRAINING_DAYS="10000", **settings)
    train_one_tree(home, **settings)
    materialize(home, "--until", until, **settings)


def train_one_tree(home: Path, **settings: str) -> None:
    """Train, judge and promote that tree alone, as a person does it with Dagster's command."""
    dagster = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "bike_assets.definitions"]
    selection = ["--select", ",".join([*SETS, "random_forest", "double_evaluation", "champion"])]
    config = {"ops": {"random_forest": {"config": ONE_OVERFITTED_TREE}}}
    env = environment(home, **ANY_GAIN_AND_NEVER_GOOD, DAGSTER_HOME=str(home / "dagster"), **settings)
    command = [*dagster, *selection, "--config-json", json.dumps(config)]
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class HomeReader:
    """Reads a home's runs, champion and audit while others write."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.registry = LocalRegistry(home / "registry")
        self.warehouse = LocalWarehouse(home / "warehouse")
        self.instance = dg.DagsterInstance.from_config(str(home / "dagster"))

    def query(self, sql: str, **parameters: object) -> pd.DataFrame:
        """Ask the warehouse."""
        return self.warehouse.query(sql, **parameters)

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """All runs of a job, newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job)))

    def retrains(self) -> list[dg.DagsterRun]:
        """Retrains that the decision brought about, re-executions of killed ones among them."""
        wanted = {TRIGGER_TAG: REACTIVE}
        return list(self.instance.get_runs(dg.RunsFilter(job_name="retrain", tags=wanted)))

    def unfinished(self) -> list[dg.DagsterRun]:
        """Runs that have not ended, and those that failed and are about to be run again."""
        failed = self.instance.get_runs(dg.RunsFilter(tags={WILL_RETRY_TAG: "true"}))
        to_come = [run for run in failed if AUTO_RETRY_RUN_ID_TAG not in run.tags]
        return [*self.instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED)), *to_come]

    def made(self, *assets: str) -> bool:
        """Whether a retrain of the decision has materialized one of some assets."""
        ids = {run.run_id for run in self.retrains()}
        events = [self.instance.get_latest_materialization_event(dg.AssetKey(asset)) for asset in assets]
        return any(event is not None and event.run_id in ids for event in events)

    def champion(self) -> int:
        """The version that summary.json lets serve."""
        now = self.registry.read().champion
        assert now is not None
        return now.version

    def champions(self) -> int:
        """How many versions serve by summary.json."""
        return sum(entry.is_champion for entry in self.registry.read().models)

    def alias(self) -> int:
        """The version that MLflow's alias names."""
        from mlflow.tracking import MlflowClient

        uri = Tracking(self.home / "mlflow").uri
        return int(MlflowClient(uri, uri).get_model_version_by_alias(MODEL, CHAMPION).version)

    def materialized(self) -> int:
        """The version of the newest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey("champion"))
        assert event is not None
        return int(metadata_of(event)["version"])

    def deployments(self, replaced: int) -> list[int]:
        """Versions that were deployed in place of one."""
        rows = self.query(
            "SELECT version FROM monitoring_audit.deployments WHERE replaced_version = @replaced", replaced=replaced
        )
        return [int(version) for version in rows["version"]]

    def newest_forecasts_of(self, version: int) -> bool:
        """Whether the forecasts of the newest day and its scores are there for a version."""
        forecasts = self.query(
            "SELECT DISTINCT model_version FROM bike_traffic_predictions.predictions "
            "WHERE issued_on = (SELECT MAX(issued_on) FROM bike_traffic_predictions.predictions)"
        )
        return version in set(forecasts["model_version"]) and self.scored_version() == version

    def scored_version(self) -> int:
        """The champion whose performance was looked at last."""
        rows = self.query(
            "SELECT model_version FROM monitoring_audit.newest_performance_metrics "
            "WHERE role = 'champion' AND horizon_days = 1 ORDER BY day DESC LIMIT 1"
        )
        return int(rows["model_version"].iloc[0])

    def ticked_since(self, moment: float) -> bool:
        """Whether all sensors that start runs have looked since, and could."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        looked = {
            each.instigator_name: data.last_tick_timestamp or 0
            for each in states
            if (data := each.sensor_instigator_data) and data.last_tick_success_timestamp
        }
        return all(looked.get(name, 0) > moment for name in SENSORS_THAT_START_RUNS)

    def wait_until_quiet(self, seconds: float) -> None:
        """Wait until nothing is under way and the sensors, which have looked since, saw no cause for anything."""
        since = time.time()

        def is_quiet() -> bool:
            nonlocal since
            if self.unfinished():
                since = time.time()
            return self.ticked_since(since)

        self.wait_for(is_quiet, seconds, "quiet")

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.1) -> None:
        """Wait until a condition holds; the error lists the home's runs."""
        try:
            poll(condition, seconds, what, pause)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.as_text()}") from None

    def as_text(self) -> str:
        """The home's runs, for the messages of tests that fail."""
        runs = [
            f"{run.job_name} {run.run_id[:8]} {run.status.value} parent={(run.parent_run_id or '-')[:8]} "
            f"trigger={run.tags.get(TRIGGER_TAG)}"
            for run in self.instance.get_runs()
        ]
        return "\n".join(runs)


@contextmanager
def reading(home: Path) -> Iterator[HomeReader]:
    """Read a home for the time of the body."""
    reader = HomeReader(home)
    with reader.instance:
        yield reader
