"""Prometheus and Alertmanager as processes of a test, with the committed configuration and short intervals."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bike_assets_tests.dashboards.rules import PROMETHEUS
from bike_assets_tests.programs import system_program
from bike_assets_tests.servers import Server, free_ports, started
from dashboards.alertmanager import render


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[Server]:
    """Run a server on a free port for the time of the body."""
    [port] = free_ports(1)
    with started(f"http://127.0.0.1:{port}", folder, *command, f"--web.listen-address=127.0.0.1:{port}") as server:
        yield server


def fast_prometheus_config(folder: Path) -> Path:
    """Copy the configuration, with intervals of a second and without waits."""
    shutil.copytree(PROMETHEUS, folder)
    config = folder / "prometheus.yml"
    text = re.sub(r"interval: \w+", "interval: 1s", config.read_text())
    config.write_text(text.replace("scrape_timeout: 10s", "scrape_timeout: 1s"))
    for rule_file in folder.glob("rules/*.yml"):
        rule_file.write_text(re.sub(r"\b(interval|for|keep_firing_for): \d\w+", r"\1: 1s", rule_file.read_text()))
    return folder


def set_target(folder: Path, job: str, port: int) -> None:
    """Set the address of a job by replacing its targets file."""
    new = folder / "targets" / "new"
    new.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    new.replace(folder / "targets" / f"{job}.json")


@contextmanager
def prometheus(folder: Path, exporter: int, api: int) -> Iterator[Server]:
    """Run Prometheus with a configuration and the ports of its two targets."""
    set_target(folder, "bike_exporter", exporter)
    set_target(folder, "bike_api", api)
    data, config = folder.parent / "data", folder / "prometheus.yml"
    with serving(
        folder.parent, system_program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={data}"
    ) as server:
        yield server


@contextmanager
def alertmanager(folder: Path, webhook_url: str) -> Iterator[Server]:
    """Run Alertmanager as it is configured, but without its waits."""
    config = folder / "alertmanager.yml"
    render.write(config, webhook_url)
    config.write_text(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", config.read_text()))
    command = (
        system_program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alerts'}",
        "--cluster.listen-address=",
    )
    with serving(folder, *command) as server:
        yield server
