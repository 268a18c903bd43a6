"""A run whose process is gone is told as dead; one that is at work, or that nobody launched, is left alone."""

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from bike_assets.instance.run_launcher import WatchedRunLauncher


@dg.job
def some_job() -> None:
    """Nothing to do."""


@pytest.fixture
def health_of():
    with dg.DagsterInstance.ephemeral() as instance:
        launcher = WatchedRunLauncher()
        launcher.register_instance(instance)

        def health(pid: int | None) -> WorkerStatus:
            run = instance.create_run_for_job(some_job)
            if pid is not None:
                told = f"Started process for run (pid: {pid})."
                instance.report_engine_event(told, run, EngineEventData.in_process(pid))
            return launcher.check_run_worker_health(run).status

        yield health


def test_a_run_at_work_is_running(health_of):
    assert health_of(os.getpid()) == WorkerStatus.RUNNING


def test_a_run_whose_process_is_gone_has_failed(health_of):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert health_of(gone.pid) == WorkerStatus.FAILED


def test_a_process_that_nobody_has_buried_yet_is_gone_as_well(health_of):
    dead = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    dead.stdout.read()
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert health_of(dead.pid) == WorkerStatus.FAILED
    dead.wait()


def test_a_run_that_nobody_launched_is_left_alone(health_of):
    assert health_of(None) == WorkerStatus.RUNNING
