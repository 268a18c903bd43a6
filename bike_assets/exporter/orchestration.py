"""Metrics of Dagster: runs, checks, assets, sensors, schedules and daemons."""

import threading
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

import dagster as dg
from dagster import DagsterRunStatus as Status
from dagster._core.scheduler.instigation import (
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from bike_assets.automation.announcements import ANNOUNCEMENTS
from bike_assets.automation.jobs import JOBS
from bike_assets.automation.schedules import CADENCES
from bike_assets.automation.sensors import SENSORS
from bike_assets.automation.trial import try_training
from bike_assets.checks import CHECKS
from bike_assets.exporter.names import Sample
from bike_assets.home.record import recorded_home
from bike_assets.settings import Settings

ENDED_STATUSES = {"success": Status.SUCCESS, "failure": Status.FAILURE, "canceled": Status.CANCELED}
WAITING_STATUSES = (Status.QUEUED, Status.NOT_STARTED)
ACTIVE_STATUSES = (Status.STARTING, Status.STARTED, Status.CANCELING)
KINDS = {InstigatorType.SENSOR: "sensor", InstigatorType.SCHEDULE: "schedule"}
INSTIGATORS = frozenset(
    [each.name for each in (*SENSORS, *ANNOUNCEMENTS)] + [each.decide.__name__ for each in CADENCES]
)
T = TypeVar("T")


class DagsterOfHome:
    """The Dagster instance of a home; opened when it exists, and opened again after an error."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance: dg.DagsterInstance | None = None
        self._jobs = [job.name for job in (*JOBS, try_training)]
        checks = dg.load_asset_checks_from_modules(list(CHECKS))
        self._checks = [key for definition in checks for key in definition.check_keys]
        self._opening = threading.Lock()

    def state_of_runs(self) -> object:
        """Return a value that changes with its runs, checks and assets."""
        return self._query(state_of_runs) or ()

    def runs(self) -> list[Sample]:
        """Return the figures of its runs, checks and assets."""
        return self._query(lambda instance: list(read_runs(instance, self._jobs, self._checks))) or []

    def automation(self) -> list[Sample]:
        """Return the figures of its sensors, schedules and daemons."""
        return self._query(lambda instance: list(read_automation(instance, INSTIGATORS))) or []

    def _query(self, query: Callable[[dg.DagsterInstance], T]) -> T | None:
        """The answer of the instance; None while there is none."""
        home = recorded_home(self._settings)
        if home is None or not (home.dagster / "dagster.yaml").exists():
            return None
        with self._opening:
            self._instance = self._instance or dg.DagsterInstance.from_config(str(home.dagster))
        try:
            return query(self._instance)
        except Exception:
            self._instance = None
            raise


def state_of_runs(instance: dg.DagsterInstance) -> object:
    """Return a value that changes with every run, check and asset."""
    newest = instance.get_run_records(limit=1, order_by="update_timestamp")
    return [record.update_timestamp for record in newest], instance.event_log_storage.get_maximum_record_id()


def read_runs(instance: dg.DagsterInstance, jobs: list[str], checks: list[dg.AssetCheckKey]) -> Iterator[Sample]:
    """Return the figures of runs, checks and assets.

    Args:
        instance: Dagster's.
        jobs: names of the jobs.
        checks: keys of the asset checks.
    """
    yield from _runs(instance, jobs)
    yield from _checks(instance, checks)
    for record in instance.get_asset_records():
        made = record.asset_entry.last_materialization_record
        if made:
            asset = record.asset_entry.asset_key.to_user_string()
            yield Sample("bike_asset_materialized_timestamp_seconds", made.timestamp, (asset,))


def read_automation(instance: dg.DagsterInstance, names: Collection[str]) -> Iterator[Sample]:
    """Return the figures of sensors, schedules and daemons.

    Args:
        instance: Dagster's; it also has the state of removed sensors and schedules.
        names: names of the existing sensors and schedules.
    """
    for state in instance.all_instigator_state():
        if state.instigator_name not in names:
            continue
        labels = state.instigator_name, KINDS[state.instigator_type]
        yield Sample("bike_instigator_running", state.status is not InstigatorStatus.STOPPED, labels)
        # A week has about 20,000 ticks. Dagster finds the newest one by index only if the query bounds the time.
        data = state.instigator_data
        last = data.last_tick_timestamp if isinstance(data, SensorInstigatorData) else None
        since = last - 1 if last else None
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since, limit=1):
            yield Sample("bike_instigator_tick_timestamp_seconds", tick.timestamp, labels)
            yield Sample("bike_instigator_tick_failed", tick.status is TickStatus.FAILURE, labels)
    for daemon, heartbeat in instance.get_daemon_heartbeats().items():
        yield Sample("bike_daemon_heartbeat_timestamp_seconds", heartbeat.timestamp, (daemon,))


def _runs(instance: dg.DagsterInstance, jobs: list[str]) -> Iterator[Sample]:
    unfinished = instance.get_runs(dg.RunsFilter(statuses=[*WAITING_STATUSES, *ACTIVE_STATUSES]))
    for job in jobs:
        for name, status in ENDED_STATUSES.items():
            number = instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=[status]))
            yield Sample("bike_runs_total", number, (job, name))
        for name, statuses in (("queued", WAITING_STATUSES), ("started", ACTIVE_STATUSES)):
            of_job = [run for run in unfinished if run.job_name == job and run.status in statuses]
            yield Sample("bike_runs_in_progress", len(of_job), (job, name))
        newest = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=[Status.SUCCESS]), limit=1)
        for record in newest:
            if record.start_time is not None and record.end_time is not None:
                yield Sample("bike_run_last_duration_seconds", record.end_time - record.start_time, (job,))
                yield Sample("bike_run_last_success_timestamp_seconds", record.end_time, (job,))


def _checks(instance: dg.DagsterInstance, checks: list[dg.AssetCheckKey]) -> Iterator[Sample]:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    for key, record in found.items():
        evaluation = _evaluation_of(record)
        if evaluation is None:
            continue
        asset = key.asset_key.to_user_string()
        severity = evaluation.severity.value.lower()
        yield Sample("bike_asset_check_passed", evaluation.passed, (asset, key.name, severity))
        yield Sample("bike_asset_check_timestamp_seconds", record.create_timestamp, (asset, key.name))


def _evaluation_of(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation | None:
    """The evaluation of a check; None while it is planned or before its first run."""
    event = record.event.dagster_event if record.event else None
    data = event.event_specific_data if event else None
    return data if isinstance(data, dg.AssetCheckEvaluation) else None
