"""Keeps processes alive with supervisord until Ctrl-C. The callers decide which processes there are."""

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

from bike_assets.errors import BikeError, StepFailedError
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.terminal import console

MAX_START_SECONDS = 180
MAX_STOP_SECONDS = 40
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """A process that is kept alive.

    Attributes:
        name: name of the process.
        command: program and arguments.
        port: port that it listens on, if any.
        health_path: path that returns 200 once it serves.
        setting: name of the setting of the port.
        display_name: name in the terminal.
        autostart: whether it starts automatically.
    """

    name: str
    command: tuple[str, ...]
    port: int | None = None
    health_path: str = "/"
    setting: str = ""
    display_name: str = ""
    autostart: bool = True


class Supervisor:
    """A supervisord process that this process started."""

    def __init__(self, process: subprocess.Popen, address: Path, logs: Path) -> None:
        self.process, self.address, self.logs = process, address, logs

    def start(self, name: str) -> None:
        """Start a process that does not start automatically."""
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.address}")
        xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor.startProcess(name)

    def raise_if_ended(self) -> None:
        """Raise StepFailedError if supervisord has ended."""
        if self.process.poll() is not None:
            raise StepFailedError(f"The process supervisor ended: see {self.logs / 'supervisord.log'}.")

    def wait(self) -> None:
        """Wait until supervisord ends. Ctrl-C interrupts the wait."""
        self.process.wait()
        self.raise_if_ended()

    def stop(self) -> None:
        """End supervisord and its processes. A second Ctrl-C does not interrupt this."""
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        self.process.terminate()
        try:
            self.process.wait(MAX_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()


@contextmanager
def keep_alive(running: list[Service], environment: dict[str, str], logs: Path) -> Iterator[Supervisor]:
    """Keep services alive with supervisord during the body."""
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bike-") as folder:
        address, configuration = Path(folder) / "supervisor.sock", Path(folder) / "supervisord.conf"
        configuration.write_text(_configuration(running, address, logs))
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(configuration)],
            env=environment,
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


def end_on_signals() -> None:
    """Handle a termination and a lost terminal like Ctrl-C, even if a shell had these signals ignored."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)


def refuse_busy_port(service: Service, host: str) -> None:
    """Refuse a port that another process listens on.

    Raises:
        BikeError: the port cannot be used; the message names its setting.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, service.port))
        except OSError as error:
            raise BikeError(
                f"{service.display_name} cannot listen on {host}:{service.port} ({error.strerror}): "
                f"stop the process that uses the port, or choose another with {service.setting}."
            ) from None


def wait_until_healthy(service: Service, host: str, supervisor: Supervisor) -> None:
    """Wait until a service answers.

    Raises:
        StepFailedError: it did not answer within MAX_START_SECONDS.
    """
    deadline = time.monotonic() + MAX_START_SECONDS
    with console.status(f"starting {service.display_name}"):
        while time.monotonic() < deadline:
            supervisor.raise_if_ended()
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://{host}:{service.port}{service.health_path}", timeout=5).is_success:
                    console.print(f"[green]✓[/] {service.display_name} answers")
                    return
            time.sleep(POLL_SECONDS)
    raise StepFailedError(
        f"{service.display_name} did not answer on port {service.port} within {MAX_START_SECONDS} s: "
        f"see {supervisor.logs / (service.name + '.log')}."
    )


def _configuration(running: list[Service], address: Path, logs: Path) -> str:
    sections = [
        f"[supervisord]\nlogfile={logs}/supervisord.log\npidfile={address.parent}/supervisord.pid",
        f"[unix_http_server]\nfile={address}\nchmod=0700",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for service in running:
        sections.append(
            f"[program:{service.name}]\n"
            f"command={' '.join(_quoted(part) for part in service.command)}\n"
            f"directory={REPOSITORY}\n"
            f"autostart={str(service.autostart).lower()}\n"
            "autorestart=true\nstartsecs=3\nstopwaitsecs=15\nstopasgroup=true\nkillasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={logs}/{service.name}.log\n"
            "stdout_logfile_maxbytes=5MB\nstdout_logfile_backups=1"
        )
    return "\n\n".join(section.replace("%", "%%") for section in sections) + "\n"


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part else part
