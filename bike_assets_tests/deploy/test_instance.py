"""deploy/dagster.yaml opened for real: runs in PostgreSQL, their logs in a bucket, what the environment sets."""

import shutil
import uuid

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import DefaultRunLauncher

from bike_assets.errors import BikeError
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.instance.run_launcher import WatchedRunLauncher
from bike_assets.resources.gcs import BucketFolder
from bike_assets_tests.conftest import poll

DEPLOYED = REPOSITORY / "deploy" / "dagster.yaml"
OURS = "bike_assets.instance.run_launcher.WatchedRunLauncher"


@dg.op
def hello() -> None:
    print("hello from a run")


@dg.job
def greeting() -> None:
    hello()


@pytest.fixture
def environment(postgres, gcs, monkeypatch) -> dict[str, str]:
    """The environment that compose gives to Dagster's processes."""
    given = {
        "BIKE_POSTGRES_HOST": postgres.host,
        "BIKE_POSTGRES_PORT": str(postgres.port),
        "BIKE_POSTGRES_PASSWORD": postgres.password,
        "BIKE_GCP__BUCKET": gcs.make_bucket(),
        "BIKE_RUNS_AT_ONCE": "3",
        "BIKE_RUN_LAUNCHER": OURS,
        "BIKE_RUN_LAUNCHER_CONFIG": "",
        # Dagster's own class for logs knows no endpoint.
        "STORAGE_EMULATOR_HOST": gcs.endpoint,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.fixture
def open_instance(tmp_path, environment):
    """Open the instance, each time as another container would."""
    opened = []

    def open_one() -> dg.DagsterInstance:
        home = tmp_path / uuid.uuid4().hex
        home.mkdir()
        shutil.copyfile(DEPLOYED, home / "dagster.yaml")
        opened.append(dg.DagsterInstance.from_config(str(home)))
        return opened[-1]

    yield open_one
    for instance in opened:
        instance.dispose()


def test_a_run_is_seen_by_every_container_and_its_log_is_in_the_bucket(open_instance, environment, gcs):
    result = greeting.execute_in_process(instance=open_instance())
    assert open_instance().get_run_by_id(result.run_id).status == dg.DagsterRunStatus.SUCCESS
    logs = BucketFolder(environment["BIKE_GCP__BUCKET"], "dagster", endpoint=gcs.endpoint)
    (out,) = poll(lambda: [name for name in logs.names() if name.endswith(".out")], 10, "the log of the run")
    assert result.run_id in out
    assert b"hello from a run" in logs.read(out)


def test_the_environment_sets_the_number_of_parallel_runs(open_instance, monkeypatch):
    for number in (3, 7):
        monkeypatch.setenv("BIKE_RUNS_AT_ONCE", str(number))
        queue = open_instance().get_concurrency_config().run_queue_config
        assert queue.max_concurrent_runs == number
        assert [limit["limit"] for limit in queue.tag_concurrency_limits] == [1, 1]


def test_the_launcher_is_set_by_the_environment(open_instance, monkeypatch):
    assert isinstance(open_instance().run_launcher, WatchedRunLauncher)
    monkeypatch.setenv("BIKE_RUN_LAUNCHER", "dagster._core.launcher.DefaultRunLauncher")
    launcher = open_instance().run_launcher
    assert isinstance(launcher, DefaultRunLauncher)
    assert not isinstance(launcher, WatchedRunLauncher)


def test_a_launchers_own_configuration_reaches_it(open_instance, monkeypatch):
    monkeypatch.setenv("BIKE_RUN_LAUNCHER", "dagster._core.launcher.DefaultRunLauncher")
    monkeypatch.setenv("BIKE_RUN_LAUNCHER_CONFIG", '{"run_worker_image": "bikes"}')
    with pytest.raises(dg.DagsterInvalidConfigError, match="run_worker_image"):
        _ = open_instance().run_launcher


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BIKE_RUN_LAUNCHER", "docker", "BIKE_RUN_LAUNCHER=docker is no module and class"),
        ("BIKE_RUN_LAUNCHER_CONFIG", "[1]", "BIKE_RUN_LAUNCHER_CONFIG has to be a JSON object"),
        ("BIKE_RUN_LAUNCHER_CONFIG", "image: bikes", "BIKE_RUN_LAUNCHER_CONFIG has to be a JSON object"),
    ],
)
def test_an_invalid_launcher_is_refused_with_its_setting(open_instance, monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    with pytest.raises(BikeError, match=expected.replace("[", "\\[")):
        _ = open_instance().run_launcher


def test_a_pool_runs_one_at_a_time_as_on_one_machine(open_instance):
    pools = open_instance().get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "op")


def test_all_but_the_storage_is_as_in_the_local_instance():
    local = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    deployed = yaml.safe_load(DEPLOYED.read_text())
    assert set(deployed) == set(local) | {"storage", "compute_logs"}
    own = {"concurrency", "run_coordinator", "run_launcher"}
    assert {name: local[name] for name in set(local) - own} == {name: deployed[name] for name in set(local) - own}
    limits = deployed["run_coordinator"]["config"]["tag_concurrency_limits"]
    assert limits == local["concurrency"]["runs"]["tag_concurrency_limits"]
    assert deployed["concurrency"]["pools"] == local["concurrency"]["pools"]
