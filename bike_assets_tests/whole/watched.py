"""A real Prometheus beside a platform of a test, as `make dashboards` starts it, but looking every second."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from bike_assets.settings import Settings
from bike_assets.watching import watchers, write_configuration
from bike_assets_tests.conftest import poll
from bike_assets_tests.whole.conftest import Running, free_ports


class Watched:
    """Prometheus and Alertmanager on free ports, for the time of a `with`.

    Attributes:
        address: of Prometheus.
    """

    def __init__(self, running: Running, folder: Path, **settings: Any) -> None:
        ports = {name: int(address.rpartition(":")[2]) for name, address in vars(running).items() if name in ADDRESSES}
        prometheus, alertmanager = free_ports(2)
        self.settings = Settings(
            home=running.home,
            api_port=ports["api"],
            exporter_port=ports["exporter"],
            prometheus_port=prometheus,
            alertmanager_port=alertmanager,
            **settings,
        )
        write_configuration(folder, self.settings)
        _hurry(folder / "prometheus" / "prometheus.yml")
        self.address = f"http://127.0.0.1:{prometheus}"
        self._processes = [
            subprocess.Popen(service.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for service in watchers(folder, self.settings)
        ]
        poll(self._answers, 60, "Prometheus")

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)

    def series(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": expr}, timeout=30)
        assert answer.is_success, f"{expr}: {answer.text}"
        return answer.json()["data"]["result"]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/-/ready").is_success
        except httpx.TransportError:
            return False


ADDRESSES = ("api", "exporter")


def _hurry(path: Path) -> None:
    """Let a configuration look every second."""
    configuration = yaml.safe_load(path.read_text())
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path.write_text(yaml.safe_dump(configuration))
