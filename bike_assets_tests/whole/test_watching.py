"""`bike dashboards` as a user sees it: what it starts and prints, what it refuses, and that Ctrl-C ends it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from bike_assets.commands.run.dashboards import GRAFANA_STAYS_HERE
from bike_assets_tests.conftest import claim, poll
from bike_assets_tests.programs import system_program
from bike_assets_tests.servers import free_ports
from bike_assets_tests.whole.conftest import REPOSITORY, environment

PORTS = ("BIKE_PROMETHEUS_PORT", "BIKE_ALERTMANAGER_PORT", "BIKE_GRAFANA_PORT")
COMMAND = [sys.executable, "-m", "bike_assets.cli", "dashboards"]
WEBHOOK = "http://127.0.0.1:9/api/webhooks/1/secret"
STAND_IN = """#!{python}
# Says that it is well, as Grafana does, and the settings that it got.
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        settings = {{name: value for name, value in os.environ.items() if name.startswith(("GF_", "BIKE_"))}}
        self.send_response(200 if self.path in ("/api/health", "/settings") else 404)
        self.end_headers()
        self.wfile.write(json.dumps({{"arguments": sys.argv[1:], "settings": settings}}).encode())

HTTPServer((os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def programs() -> None:
    """Skip where the programs are not installed."""
    system_program("prometheus")
    system_program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return claim(tmp_path / "home").folder


@pytest.fixture
def ports() -> dict[str, str]:
    return dict(zip(PORTS, map(str, free_ports(3)), strict=True))


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen, Path]]]:
    """Start `bike dashboards` in the home; the process, and where its output goes."""
    started = []

    def start_one(**settings: str) -> tuple[subprocess.Popen, Path]:
        output = tmp_path / "output.log"
        env = environment(home, **settings)
        with output.open("wb") as file:
            started.append(subprocess.Popen(COMMAND, env=env, cwd=REPOSITORY, stdout=file, stderr=file))
        return started[-1], output

    yield start_one
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(120)


@pytest.mark.slow
@pytest.mark.usefixtures("programs")
def test_it_starts_what_watches_with_the_addresses_of_this_platform_and_ends_it(start, ports, tmp_path):
    stand_in = tmp_path / "programs" / "grafana"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    process, output = start(PATH=path, BIKE_EXPORTER_PORT="9", BIKE_DISCORD_WEBHOOK_URL=WEBHOOK, **ports)
    poll(lambda: "Ctrl-C ends them" in output.read_text() or process.poll() is not None, 60, "that all is started")
    said = output.read_text()
    prometheus, alertmanager, grafana = (f"http://127.0.0.1:{port}" for port in ports.values())
    assert [address in said for address in (prometheus, alertmanager, grafana)] == [True] * 3, said
    poll(
        lambda: "127.0.0.1:9/metrics" in httpx.get(f"{prometheus}/api/v1/targets", timeout=60).text,
        30,
        "the exporter's target",
    )
    assert "bike_exporter" in httpx.get(f"{prometheus}/api/v1/targets", timeout=60).text
    assert httpx.get(f"{alertmanager}/api/v2/status", timeout=60).json()["config"]["original"].count("- name: ") == 3
    heard = httpx.get(f"{grafana}/settings", timeout=60).json()
    assert heard["arguments"][0] == "server"
    assert heard["settings"]["BIKE_PROMETHEUS_URL"] == prometheus
    assert list(Path(heard["settings"]["BIKE_GRAFANA_DASHBOARDS"]).glob("*.json"))
    assert (Path(heard["settings"]["GF_PATHS_PROVISIONING"]) / "dashboards").is_dir()
    assert GRAFANA_STAYS_HERE.items() <= heard["settings"].items()
    assert "secret" not in said
    of_it = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.wait(120)
    assert not psutil.wait_procs(of_it, timeout=60)[1]


@pytest.mark.usefixtures("programs")
def test_a_port_that_is_taken_is_named_with_its_setting(start, ports):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(ports["BIKE_ALERTMANAGER_PORT"])))
        busy.listen()
        process, output = start(**ports)
        assert process.wait(300) == 2
    assert "BIKE_ALERTMANAGER_PORT" in output.read_text()


def test_without_prometheus_it_says_how_to_get_it(start, tmp_path):
    process, output = start(PATH=str(tmp_path))
    assert process.wait(300) == 2
    assert "prometheus and alertmanager cannot be found" in " ".join(output.read_text().split())


def test_beside_a_home_with_nothing_in_it_it_says_what_to_start_first(tmp_path):
    done = subprocess.run(COMMAND, env=environment(tmp_path / "none"), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds nothing yet" in done.stderr
    assert not (tmp_path / "none").exists()
