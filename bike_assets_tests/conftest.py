"""What every test shares: a small home after its first pass, servers on this machine, and the real data if any."""

import atexit
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bike_assets.simulator.publication import Publication
    from bike_assets.simulator.server import PortalSimulator
    from bike_assets_tests.emulators.bigquery import BigQueryEmulator
    from bike_assets_tests.emulators.gcs import GcsEmulator
    from bike_assets_tests.emulators.postgres import Postgres
    from bike_assets_tests.fake_discord import Channel

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
RUN_DAGSTER = {
    "assets", "automation", "checks", "copy", "materialize", "replay", "whole",
}  # fmt: skip
SLOW_FIXTURES = {"bootstrapped_folder", "bigquery", "gcs", "postgres", "chromium"}
PATIENCE = 5
"""So many times as long as on a quiet machine a test waits before it fails: other work may share the cores."""
FIRST_DAY, LAST_DAY = date(2021, 1, 1), date(2021, 10, 7)

for _name in [name for name in os.environ if name.startswith("BIKE_")]:
    del os.environ[_name]
_DEFAULT_HOME = Path(tempfile.mkdtemp(prefix="bike-tests-"))
os.environ["BIKE_HOME"] = str(_DEFAULT_HOME)

import dagster as dg  # noqa: E402

from bike_assets.home.record import Home  # noqa: E402
from bike_assets.settings import Settings  # noqa: E402
from bike_assets_tests.programs import system_program  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """MLflow leaves its last tracking address in the environment, where the next test would find it."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def claim(folder: Path) -> Home:
    """Claim a folder for a city of six counters from FIRST_DAY on."""
    home = Home(folder, "simulator", FIRST_DAY, None, "Europe/Paris", seed=7, counters=6)
    home.claim()
    return home


atexit.register(shutil.rmtree, _DEFAULT_HOME, ignore_errors=True)


@dataclass(frozen=True)
class City:
    """A home with its code location and its Dagster instance."""

    home: Home
    settings: Settings
    instance: dg.DagsterInstance

    @property
    def defs(self) -> dg.Definitions:
        """The code location of this home."""
        from bike_assets.build import build_defs

        return build_defs(settings=self.settings)

    def resource(self, name: str) -> object:
        """A resource of this home; the source of counts is opened, as a run opens it."""
        from bike_assets.build import default_resources

        resource = default_resources(self.home, self.settings)[name]
        return resource(None) if isinstance(resource, dg.ResourceDefinition) else resource

    def query(self, sql: str, **parameters: object):
        """Ask the warehouse."""
        return self.resource("warehouse").query(sql, **parameters)

    def run(self, job: str, day: date | None = None, **options: object) -> dg.ExecuteInProcessResult:
        """Run a job in this process."""
        definition = self.defs.resolve_job_def(job)
        key = day.isoformat() if day else None
        return definition.execute_in_process(instance=self.instance, partition_key=key, **options)


def recorded(row: dict, minutes: int = 0) -> dict:
    """Return an audit row as if a run had written it so many minutes after noon."""
    at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return {**row, "run_id": f"run-{minutes}", "recorded_at": at}


def poll(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.1) -> object:
    """Wait until a condition holds and return its value; `seconds` are those of a quiet machine."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds * PATIENCE:.0f} s"
        time.sleep(pause)
    return value


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole processes, which take minutes each: no worker should run one of them alone at the end.

    Tests that run Dagster or stand on a whole pass or an emulator are slow. Those that run Dagster are not traced for
    the branch coverage, which would take a quarter of all processor time: the coverage is that of the other tests, and
    of the first pass that they stand on.
    """
    items.sort(key=lambda item: "whole" not in item.path.parts)
    for item in items:
        if RUN_DAGSTER & {*item.path.parts}:
            item.add_marker(pytest.mark.no_cover)
        if RUN_DAGSTER & {*item.path.parts} or SLOW_FIXTURES & {*item.fixturenames}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def bootstrapped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after its first pass to LAST_DAY, the same for all processes of a test run; nobody changes it."""
    from filelock import FileLock

    from bike_assets.commands.materialize.full_pass import run_full_pass

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "bootstrapped"
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            claim(folder)
            run_full_pass(Settings(home=folder, quick=True), LAST_DAY)
            done.touch()
    return folder


@pytest.fixture
def open_city() -> Iterator[Callable[..., City]]:
    """Open homes with their instances, and close these afterwards."""
    from bike_assets.instance.home_instance import dagster_instance

    # The last to open is the first to close: Dagster remembers which instance was there before.
    with ExitStack() as opened:

        def open_one(folder: Path, **settings: object) -> City:
            home = claim_or_read(folder)
            chosen = Settings(home=folder, quick=True, **settings)
            return City(home, chosen, opened.enter_context(dagster_instance(home, chosen)))

        yield open_one


def claim_or_read(folder: Path) -> Home:
    """Return the test home of a folder."""
    from bike_assets.home.record import recorded_home

    return recorded_home(Settings(home=folder)) or claim(folder)


@pytest.fixture
def city(bootstrapped_folder: Path, tmp_path: Path, open_city: Callable[..., City]) -> City:
    """A copy of the home after its first pass, to do with as one likes."""
    shutil.copytree(bootstrapped_folder, tmp_path / "home")
    return open_city(tmp_path / "home")


PORTAL_DATASET = "counts"


@pytest.fixture
def serve_portal() -> "Iterator[Callable[..., PortalSimulator]]":
    """Serve publications over HTTP as the dataset PORTAL_DATASET until the test is over."""
    from bike_assets.simulator.clock import Clock
    from bike_assets.simulator.server import PortalSimulator

    portals = []

    def serve(publication: "Publication", now: datetime | None = None) -> PortalSimulator:
        portals.append(PortalSimulator(publication, PORTAL_DATASET, clock=Clock(now)))
        portals[-1].start()
        return portals[-1]

    yield serve
    for portal in portals:
        portal.stop()


@pytest.fixture
def serve_answer() -> "Iterator[Callable[..., str]]":
    """Serve one JSON answer to every request until the test is over; return the address."""
    from bike_assets_tests.one_answer import one_answer

    with ExitStack() as servers:
        yield lambda *answer, **options: servers.enter_context(one_answer(*answer, **options))


@pytest.fixture
def channel() -> "Iterator[Channel]":
    """A webhook of Discord's kind on this machine."""
    from bike_assets_tests.fake_discord import Channel

    channel = Channel()
    yield channel
    channel.server.shutdown()
    channel.server.server_close()


@pytest.fixture(scope="session")
def gcs() -> "Iterator[GcsEmulator]":
    """Cloud Storage on this machine, of this test process."""
    from bike_assets_tests.emulators.gcs import running_gcs

    with running_gcs() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Postgres]":
    """PostgreSQL on this machine, of this test process."""
    from bike_assets_tests.emulators.postgres import installed, running_postgres

    with running_postgres(installed() or Path(system_program("postgresql")).parent) as server:
        yield server


@pytest.fixture
def deaf_address() -> str:
    """The address of a portal on this machine that nobody runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="session")
def bigquery() -> "Iterator[BigQueryEmulator]":
    """An emulator of BigQuery on this machine; each test has datasets of its own in it."""
    from bike_assets_tests.emulators.bigquery import running_bigquery

    with running_bigquery() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is."""
    return system_program("chromium")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Where Prometheus's own tool is."""
    return system_program("prometheus", "promtool")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real counts, which stays outside of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real counts are not beside this repository (../shared/data)")
    return SHARED_DATA
