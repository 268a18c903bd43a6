"""Evaluates the code location's schedules and sensors at simulated times, and runs their runs in this process.

It uses Dagster's private code (read in 1.13.27). Choosing the times belongs to `run`.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher

from bike_assets.commands.materialize.full_pass import load_definitions
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.home.record import Home
from bike_assets.instance.home_instance import REPOSITORY, prepare_dagster_home
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext

MAX_ITERATIONS = 20
"""A retrain leads to a refresh, and both to messages. Sensors that request runs for longer would never stop."""
MAX_CATCHUP_RUNS = 1
"""Number of missed ticks to catch up. Dagster takes the last n by a slice, so 0 would be all of them."""
START_MARGIN = timedelta(minutes=1)
OVERRIDES = {
    "run_launcher": {"module": "bike_assets.commands.replay.simulated_time", "class": "InProcessLauncher"},
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}
"""They replace the queue and the run processes. Capturing the output of steps would take four processes a run."""


class InProcessLauncher(SyncInMemoryRunLauncher):
    """Runs each launched run in this process to its end, and stores its id."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self.launched: list[str] = []

    def launch_run(self, context: LaunchRunContext) -> None:
        """Run it. A run that fails is recorded as failed and raises nothing."""
        self.launched.append(context.dagster_run.run_id)
        super().launch_run(context)


class SimulatedDaemon:
    """Does what `dagster-daemon` does for schedules and sensors, at given times in ascending order.

    In a home without earlier ticks, it acts as if it had started a minute before the first of these times. Schedules
    count from there, and the sensor of failed runs misses none.

    Args:
        workspace: the code location, and the instance that stores its runs, ticks and cursors.
        interval: time after which every sensor may be evaluated again.
    """

    def __init__(self, workspace: "WorkspaceProcessContext", interval: timedelta) -> None:
        self.instance = workspace.instance
        self._workspace, self._interval = workspace, interval
        self._logger = logging.getLogger("dagster.daemon.simulated")
        self._logger.setLevel(logging.ERROR)

    @property
    def launched(self) -> list[str]:
        """Ids of all runs launched so far, including those during `settle`."""
        return cast(InProcessLauncher, self.instance.run_launcher).launched

    def tick_schedules(self, now: datetime) -> list[str]:
        """Evaluate the schedules that are due. Each catches up on its newest missed tick only.

        Args:
            now: the simulated time, with its time zone.

        Returns:
            Ids of the launched runs; each has ended, in success or failure.
        """
        return self._start_before(now) + self._schedules(now)

    def tick_sensors(self, now: datetime) -> list[str]:
        """Evaluate once the sensors whose minimum interval has passed; return the ids of the launched runs."""
        return self._start_before(now) + self._sensors(now)

    def settle(self, now: datetime) -> datetime:
        """Evaluate the sensors until they request no more runs, and return the simulated time at the end.

        Raises:
            StepFailedError: they still request runs after MAX_ITERATIONS evaluations.
        """
        self._start_before(now)
        sensed = self._last_sensed()
        now = max(now, sensed + self._interval) if sensed else now
        for _ in range(MAX_ITERATIONS):
            if not self._sensors(now):
                return now
            now += self._interval
        raise StepFailedError(f"The sensors still request runs after {MAX_ITERATIONS} evaluations, at {now}.")

    def _start_before(self, now: datetime) -> list[str]:
        sensed = self._last_sensed()
        if sensed:
            if sensed > now + MAX_ITERATIONS * self._interval:
                raise BikeError(
                    f"A daemon has served this home until {sensed}: {now} is in the past and cannot be simulated."
                )
            return []
        return self._schedules(now - START_MARGIN) + self._sensors(now - START_MARGIN)

    def _schedules(self, now: datetime) -> list[str]:
        from dagster._scheduler.scheduler import launch_scheduled_runs

        return self._launched_during(
            now,
            lambda: launch_scheduled_runs(
                self._workspace, self._logger, now, iteration_times={}, max_catchup_runs=MAX_CATCHUP_RUNS
            ),
        )

    def _sensors(self, now: datetime) -> list[str]:
        from dagster._daemon.sensor import execute_sensor_iteration

        return self._launched_during(
            now,
            lambda: execute_sensor_iteration(
                self._workspace, self._logger, threadpool_executor=None, submit_threadpool_executor=None
            ),
        )

    def _launched_during(self, now: datetime, iteration: Callable[[], Iterable[object]]) -> list[str]:
        before = len(self.launched)
        with frozen_at(now), _sorted_by_name(), _without_console():
            for _ in iteration():
                pass
        return self.launched[before:]

    def _last_sensed(self) -> datetime | None:
        """Return when any daemon last evaluated a sensor in this home."""
        from dagster._core.scheduler.instigation import InstigatorType, SensorInstigatorData

        began = [
            state.instigator_data.last_tick_start_timestamp or 0.0
            for state in self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            if isinstance(state.instigator_data, SensorInstigatorData)
        ]
        return datetime.fromtimestamp(max(began), UTC) if began else None


@contextmanager
def frozen_at(now: datetime) -> Iterator[None]:
    """Make `now` the current time for Dagster during the body: for events, runs, ticks and existing partitions."""
    from dagster._core.test_utils import freeze_time

    with freeze_time(now.astimezone(UTC)):
        yield


@contextmanager
def simulated_daemon(home: Home, settings: Settings) -> Iterator[SimulatedDaemon]:
    """Open a simulated daemon on the Dagster instance of a home.

    Args:
        home: a claimed home.
        settings: the settings in force, for schedules, sensors and runs.
    """
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

    origin = _code_location_here()
    folder = str(prepare_dagster_home(home, settings))
    with (
        _definitions_are(load_definitions(settings)),
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides=OVERRIDES)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace,
    ):
        location = workspace.create_request_context().get_code_location(origin.location_name)
        intervals = [
            sensor.min_interval_seconds
            for repository in location.get_repositories().values()
            for sensor in repository.get_sensors()
        ]
        yield SimulatedDaemon(workspace, timedelta(seconds=max(intervals) + 1))


@contextmanager
def _definitions_are(definitions: "dg.Definitions") -> Iterator[None]:
    """Make this process load these definitions for the module that workspace.yaml names."""
    module = ModuleType("bike_assets.definitions")
    module.defs = definitions  # type: ignore[attr-defined]
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    # patch.dict would forget every module that is imported meanwhile; pandera, imported twice, refuses its own schemas.
    try:
        yield
    finally:
        del sys.modules[module.__name__]
        if before is not None:
            sys.modules[module.__name__] = before


def _code_location_here() -> "InProcessCodeLocationOrigin":
    """Return the code location of workspace.yaml under its own name, to load into this process."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, ManagedGrpcPythonEnvCodeLocationOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    (origin,) = location_origins_from_yaml_paths([str(REPOSITORY / "workspace.yaml")])
    remote = cast(ManagedGrpcPythonEnvCodeLocationOrigin, origin)
    return InProcessCodeLocationOrigin(remote.loadable_target_origin, location_name=remote.location_name)


@contextmanager
def _sorted_by_name() -> Iterator[None]:
    """Evaluate schedules and sensors in the order of their names. The daemon shuffles them."""

    def by_name(items: Iterable[Any], key: object) -> list[Any]:
        return sorted(items, key=lambda item: item.name)

    with ExitStack() as patches:
        for module in ("dagster._daemon.sensor", "dagster._scheduler.scheduler"):
            patches.enter_context(patch(f"{module}.shuffled_round_robin_by_key", by_name))
        yield


@contextmanager
def _without_console() -> Iterator[None]:
    """Keep the events of runs off the terminal. The event log stores them."""
    with patch("dagster._core.execution.context_creation_job.default_system_loggers", lambda _: []):
        yield
