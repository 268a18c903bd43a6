"""A run whose process is gone is reported as failed. A run at work, or without a process, counts as running."""

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
                message = f"Started process for run (pid: {pid})."
                instance.report_engine_event(message, run, EngineEventData.in_process(pid))
            return launcher.check_run_worker_health(run).status

        yield health


def test_a_run_with_a_live_process_is_running(health_of):
    assert health_of(os.getpid()) == WorkerStatus.RUNNING


def test_a_run_whose_process_is_gone_has_failed(health_of):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert health_of(gone.pid) == WorkerStatus.FAILED


def test_a_run_whose_process_is_a_zombie_has_failed(health_of):
    dead = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    dead.stdout.read()
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert health_of(dead.pid) == WorkerStatus.FAILED
    dead.wait()


def test_a_run_without_a_process_counts_as_running(health_of):
    assert health_of(None) == WorkerStatus.RUNNING
