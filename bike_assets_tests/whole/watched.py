"""A real Prometheus beside a platform of a test, as `make dashboards` starts it, but looking every second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from bike_assets.commands.run.dashboards import monitoring_services, write_configuration
from bike_assets.settings import Settings
from bike_assets_tests.programs import system_program
from bike_assets_tests.servers import Server, free_ports, started
from bike_assets_tests.whole.conftest import Running


@contextmanager
def watched(running: Running, folder: Path) -> Iterator[Server]:
    """Run Prometheus on a free port for the time of the body; no alert is sent."""
    system_program("prometheus")
    prometheus, alertmanager = free_ports(2)
    settings = Settings(
        home=running.home,
        api_port=_port(running.api),
        exporter_port=_port(running.exporter),
        prometheus_port=prometheus,
        alertmanager_port=alertmanager,
    )
    write_configuration(folder, settings)
    _hurry(folder / "prometheus" / "prometheus.yml")
    [service] = [each for each in monitoring_services(folder, settings) if each.name == "prometheus"]
    with started(f"http://127.0.0.1:{prometheus}", folder, *service.command) as server:
        yield server


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _hurry(path: Path) -> None:
    """Let a configuration look every second."""
    configuration = yaml.safe_load(path.read_text())
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path.write_text(yaml.safe_dump(configuration))
