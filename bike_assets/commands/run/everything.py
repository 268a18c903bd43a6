"""`make run`: starts the servers, runs the first pass, then starts the daemon.

The pass belongs to `commands.materialize`; keeping processes alive belongs to `processes`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.markup import escape

from bike_assets.commands.run.processes import (
    Service,
    Supervisor,
    end_on_signals,
    keep_alive,
    refuse_busy_port,
    wait_until_healthy,
)
from bike_assets.home.lock import hold_lock
from bike_assets.home.record import Home
from bike_assets.instance.home_instance import create_dagster_databases
from bike_assets.resources.home_source import claim_home, outline_home
from bike_assets.resources.profiles import open_tracking
from bike_assets.settings import Settings
from bike_assets.terminal import console

MARK = "BIKE_SUPERVISED_HOME"


def services(home: Home, settings: Settings) -> list[Service]:
    """Return the servers, in the order in which the terminal lists them; without MLflow if it runs elsewhere."""
    binaries, host = Path(sys.executable).parent, settings.host
    tracking = open_tracking(settings)
    dagster = (
        str(binaries / "dagster-webserver"),
        "-h",
        host,
        "-p",
        str(settings.dagster_port),
        "-w",
        "workspace.yaml",
    )
    mlflow = (str(binaries / "mlflow"), "server", "--host", host, "--port", str(settings.mlflow_port), "--workers", "1")
    stores = (
        "--backend-store-uri",
        tracking.uri,
        "--default-artifact-root",
        tracking.artifacts,
        "--no-serve-artifacts",
    )
    api = (sys.executable, "-m", "bike_assets.cli", "serve")
    exporter = (sys.executable, "-m", "bike_assets.cli", "exporter")
    running = [
        Service("webserver", dagster, settings.dagster_port, "/server_info", "BIKE_DAGSTER_PORT", "Dagster UI"),
        Service("api", api, settings.api_port, "/healthz", "BIKE_API_PORT", "API"),
        Service("mlflow", (*mlflow, *stores), settings.mlflow_port, "/health", "BIKE_MLFLOW_PORT", "MLflow"),
        Service("exporter", exporter, settings.exporter_port, "/metrics", "BIKE_EXPORTER_PORT", "Exporter"),
    ]
    return [service for service in running if service.name != "mlflow" or not tracking.is_external]


def run_everything(settings: Settings) -> None:
    """Start the servers, run the first pass, start the daemon, and wait until Ctrl-C.

    Raises:
        BikeError: settings, home, input or a port cannot be used; nothing is left running.
        StepFailedError: a server did not answer.
    """
    end_on_signals()
    home = outline_home(settings)
    with hold_lock(home, "run"):
        _end_leftovers(home)
        running = services(home, settings)
        for service in running:
            refuse_busy_port(service, settings.host)
        home = claim_home(settings)
        console.print(f"[bold]Home[/]       {escape(str(home.folder))}")
        open_tracking(settings).prepare()
        with supervised(home, settings, running) as supervisor:
            for service in running:
                wait_until_healthy(service, settings.host, supervisor)
            console.print(
                f"[bold]Watch[/]      http://{settings.host}:{settings.dagster_port}/runs shows the pass as it goes"
            )
            passed = _first_pass(settings, home)
            supervisor.start("daemon")
            _print_addresses(running, settings, passed)
            supervisor.wait()


@contextmanager
def supervised(home: Home, settings: Settings, running: list[Service]) -> Iterator[Supervisor]:
    """Keep the services, and the daemon once started, alive during the body; end them all afterwards."""
    create_dagster_databases(home, settings)
    daemon = Service(
        "daemon", (str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", "workspace.yaml"), autostart=False
    )
    try:
        with keep_alive([*running, daemon], child_environment(home, settings), home.folder / "logs") as supervisor:
            yield supervisor
    finally:
        _end_leftovers(home)


def child_environment(home: Home, settings: Settings) -> dict[str, str]:
    """Return the environment of a home's processes. MARK in it names the home."""
    environment = os.environ | {
        "BIKE_HOME": str(home.folder),
        "DAGSTER_HOME": str(home.dagster),
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        MARK: str(home.folder),
    }
    paths = {
        "BIKE_COUNTS_FILE": settings.counts_file,
        "BIKE_CITY_FILE": settings.city_file,
        "BIKE_WEATHER_FILE": settings.weather_file,
    }
    for name, path in paths.items():
        if path is not None:
            environment[name] = str(path.expanduser().absolute())
    return environment


def _first_pass(settings: Settings, home: Home) -> bool:
    """Run the pass in a child process, which frees its memory at the end; return whether it succeeded."""
    command = [sys.executable, "-m", "bike_assets.cli", "materialize", "--alone"]
    return subprocess.run(command, env=child_environment(home, settings), check=False).returncode == 0


def _print_addresses(running: list[Service], settings: Settings, passed: bool) -> None:
    console.print()
    for service in running:
        documentation = "/docs" if service.name == "api" else ""
        console.print(f"[bold]{service.display_name:<10}[/] http://{settings.host}:{service.port}{documentation}")
    if not passed:
        console.print("[red]The pass failed[/]: see its run in the Dagster UI; the next start continues from there.")
    console.print("Schedules and sensors are running. Ctrl-C ends everything.")


def _end_leftovers(home: Home) -> None:
    """End processes with this home's mark. Their supervisor died without ending them."""
    marked = [process for process in psutil.process_iter() if _mark(process) == str(home.folder)]
    leftovers = [process for process in marked if process.pid != os.getpid()]
    for process in leftovers:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(leftovers, timeout=10)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if leftovers:
        psutil.wait_procs(leftovers, timeout=5)


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
