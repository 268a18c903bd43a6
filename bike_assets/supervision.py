"""Everything at once, as `make run` does it: the servers under supervisord, the first pass, then the daemon.

What a pass does belongs to `full_pass`; how processes are kept alive belongs to supervisord.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from rich.markup import escape

from bike_assets.errors import BikeError, StepFailedError
from bike_assets.full_pass import REPOSITORY, only_one, prepare_dagster_home
from bike_assets.home import Home
from bike_assets.resources.home_source import claim_home, outline_home
from bike_assets.resources.tracking import Tracking
from bike_assets.settings import Settings
from bike_assets.terminal import console

MARK = "BIKE_SUPERVISED_HOME"
ANSWER_WITHIN_SECONDS = 180
STOP_WITHIN_SECONDS = 40
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """A process that is kept alive.

    Attributes:
        name: of the process.
        command: its arguments.
        port: where it listens, if it does.
        answers: path that answers 200 once it serves.
        setting: setting of the port.
        shown_as: what people call it.
    """

    name: str
    command: tuple[str, ...]
    port: int | None = None
    answers: str = "/"
    setting: str = ""
    shown_as: str = ""


def services(home: Home, settings: Settings) -> list[Service]:
    """Return what runs beside the daemon, in the order in which people look at it."""
    binaries, host = Path(sys.executable).parent, settings.host
    tracking = Tracking(home.mlflow)
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
    return [
        Service("webserver", dagster, settings.dagster_port, "/server_info", "BIKE_DAGSTER_PORT", "Dagster UI"),
        Service("api", api, settings.api_port, "/healthz", "BIKE_API_PORT", "API"),
        Service("mlflow", (*mlflow, *stores), settings.mlflow_port, "/health", "BIKE_MLFLOW_PORT", "MLflow"),
        Service("exporter", exporter, settings.exporter_port, "/metrics", "BIKE_EXPORTER_PORT", "Exporter"),
    ]


def run_everything(settings: Settings) -> None:
    """Start the servers, do the first pass in view, start the daemon, and stay until Ctrl-C.

    Raises:
        BikeError: settings, home, input or a port cannot be used; nothing is left running.
        StepFailedError: a server did not come up.
    """
    _end_on_signals()
    home = outline_home(settings)
    with only_one(home, "run"):
        _end_leftovers(home)
        running = services(home, settings)
        for service in running:
            _refuse_busy_port(service, settings.host)
        home = claim_home(settings)
        console.print(f"[bold]Home[/]       {escape(str(home.folder))}")
        Tracking(home.mlflow).prepare()
        with supervised(home, settings, running) as supervisor:
            for service in running:
                _await(service, settings.host, supervisor)
            console.print(
                f"[bold]Watch[/]      http://{settings.host}:{settings.dagster_port}/runs shows the pass as it goes"
            )
            passed = _first_pass(settings, home)
            supervisor.start("daemon")
            _print_addresses(running, settings, passed)
            supervisor.wait()


class Supervisor:
    """A supervisord of our own, in the foreground of this process."""

    def __init__(self, process: subprocess.Popen, address: Path, logs: Path) -> None:
        self.process, self.address, self.logs = process, address, logs

    def start(self, name: str) -> None:
        """Start a process that does not start by itself."""
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.address}")
        xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor.startProcess(name)

    def refuse_if_ended(self) -> None:
        """Raise if supervisord is no longer there."""
        if self.process.poll() is not None:
            raise StepFailedError(f"The process supervisor ended; {self.logs / 'supervisord.log'} says why.")

    def wait(self) -> None:
        """Wait until supervisord ends; Ctrl-C ends the waiting."""
        self.process.wait()
        self.refuse_if_ended()

    def stop(self) -> None:
        """End supervisord and all that it keeps alive; a second Ctrl-C does not stop this half-way."""
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()


@contextmanager
def supervised(home: Home, settings: Settings, running: list[Service]) -> Iterator[Supervisor]:
    """Keep services alive for the time of the body, and the daemon once it is started; end them all afterwards."""
    prepare_dagster_home(home)
    logs = home.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bike-") as folder:
        address, configuration = Path(folder) / "supervisor.sock", Path(folder) / "supervisord.conf"
        configuration.write_text(_configuration(running, address, logs))
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(configuration)],
            env=child_environment(home, settings),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(logs / "supervisord.err").open("wb"),
            start_new_session=True,
        )
        supervisor = Supervisor(process, address, logs)
        try:
            yield supervisor
        except KeyboardInterrupt:
            console.print("\nEnding everything ...")
            raise
        finally:
            supervisor.stop()
            _end_leftovers(home)


def child_environment(home: Home, settings: Settings) -> dict[str, str]:
    """Return the environment of every process that belongs to a home; it marks them as such."""
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


def _configuration(running: list[Service], address: Path, logs: Path) -> str:
    daemon = Service("daemon", (str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", "workspace.yaml"))
    sections = [
        f"[supervisord]\nlogfile={logs}/supervisord.log\npidfile={address.parent}/supervisord.pid",
        f"[unix_http_server]\nfile={address}\nchmod=0700",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for service in [*running, daemon]:
        sections.append(
            f"[program:{service.name}]\n"
            f"command={' '.join(_quoted(part) for part in service.command)}\n"
            f"directory={REPOSITORY}\n"
            f"autostart={'false' if service is daemon else 'true'}\n"
            "autorestart=true\nstartsecs=3\nstopwaitsecs=15\nstopasgroup=true\nkillasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={logs}/{service.name}.log\n"
            "stdout_logfile_maxbytes=5MB\nstdout_logfile_backups=1"
        )
    return "\n\n".join(section.replace("%", "%%") for section in sections) + "\n"


def _end_on_signals() -> None:
    """Let a termination or a lost terminal end everything as Ctrl-C does, also where a shell had it ignored."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part else part


def _refuse_busy_port(service: Service, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, service.port))
        except OSError as error:
            raise BikeError(
                f"{service.shown_as} cannot listen on {host}:{service.port} ({error.strerror}): "
                f"end what uses that port, or choose another with {service.setting}."
            ) from None


def _await(service: Service, host: str, supervisor: Supervisor) -> None:
    """Wait until a service answers."""
    deadline = time.monotonic() + ANSWER_WITHIN_SECONDS
    with console.status(f"starting {service.shown_as}"):
        while time.monotonic() < deadline:
            supervisor.refuse_if_ended()
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://{host}:{service.port}{service.answers}", timeout=5).is_success:
                    console.print(f"[green]✓[/] {service.shown_as} answers")
                    return
            time.sleep(POLL_SECONDS)
    raise StepFailedError(
        f"{service.shown_as} did not answer on port {service.port} within {ANSWER_WITHIN_SECONDS} s; "
        f"{supervisor.logs / (service.name + '.log')} says why."
    )


def _first_pass(settings: Settings, home: Home) -> bool:
    """Do the pass in a process of its own, which ends with its memory; return whether it ended well."""
    command = [sys.executable, "-m", "bike_assets.cli", "materialize", "--alone"]
    return subprocess.run(command, env=child_environment(home, settings), check=False).returncode == 0


def _print_addresses(running: list[Service], settings: Settings, passed: bool) -> None:
    console.print()
    for service in running:
        documentation = "/docs" if service.name == "api" else ""
        console.print(f"[bold]{service.shown_as:<10}[/] http://{settings.host}:{service.port}{documentation}")
    if not passed:
        console.print(
            "[red]The pass did not end well[/]: look at its run in the Dagster UI; the next start goes on from there."
        )
    console.print("Schedules and sensors are at work. Ctrl-C ends everything.")


def _end_leftovers(home: Home) -> None:
    """End processes that carry this home's mark: their supervisor died without taking them along."""
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
