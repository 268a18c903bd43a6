"""The exporter's process: the parts of a home, served to Prometheus until it is ended."""

import signal
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TypeVar

import dagster as dg
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from bike_assets.automation.announcements import ANNOUNCEMENTS
from bike_assets.automation.jobs import JOBS
from bike_assets.automation.schedules import SCHEDULES
from bike_assets.automation.sensors import SENSORS
from bike_assets.automation.trial import try_training
from bike_assets.checks import CHECKS
from bike_assets.core.schemas import Table
from bike_assets.exporter import data, decisions, drift, models
from bike_assets.exporter.collector import Part, Parts
from bike_assets.exporter.names import Sample
from bike_assets.exporter.orchestration import read_automation, read_runs, state_of_runs
from bike_assets.exporter.sources import Sources, open_sources
from bike_assets.home import recorded_home
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings

INSTIGATORS = frozenset(each.name for each in (*SENSORS, *ANNOUNCEMENTS, *SCHEDULES))
T = TypeVar("T")


def serve_metrics(settings: Settings, host: str, port: int) -> None:
    """Serve until the process is ended."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    registry = metrics_of(settings)
    generate_latest(registry)  # The first reading takes seconds: nobody should wait for it.
    server, thread = start_http_server(port, host, registry)
    ended.wait()
    server.shutdown()
    thread.join()


def metrics_of(settings: Settings) -> CollectorRegistry:
    """Return what is scraped of the home that the settings name."""
    warehouse = LocalWarehouse(settings.home_folder / "warehouse", settings.threads)

    def part(name: str, tables: tuple[Table, ...], read: Callable[[Sources], Iterable[Sample]]) -> Part:
        def state() -> object:
            sources = open_sources(settings, warehouse)
            return sources.state_of(*tables) if sources else ()

        def figures() -> Iterable[Sample]:
            sources = open_sources(settings, warehouse)
            return read(sources) if sources else ()

        return Part(name, state, figures)

    registry, dagster = CollectorRegistry(auto_describe=False), DagsterOfHome(settings)
    parts = [
        part("models", models.TABLES, models.read_models),
        part("drift", drift.TABLES, drift.read_drift),
        part("decisions", decisions.TABLES, decisions.read_decisions),
        part("data", data.DATA_TABLES, data.read_data),
        part("forecasts", data.FORECAST_TABLES, data.read_forecasts),
        Part("runs", dagster.state_of_runs, dagster.runs),
        Part("automation", lambda: None, dagster.automation),
    ]
    registry.register(Parts(parts, [Sample("bike_build_info", 1, (version("bike-assets"),))]))
    return registry


class DagsterOfHome:
    """The Dagster instance of a home, opened when it is there, and again after it could not be read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance: dg.DagsterInstance | None = None
        self._jobs = [job.name for job in (*JOBS, try_training)]
        checks = dg.load_asset_checks_from_modules(list(CHECKS))
        self._checks = [key for definition in checks for key in definition.check_keys]
        self._opening = threading.Lock()

    def state_of_runs(self) -> object:
        """Return what changes when its runs do."""
        return self._asked(state_of_runs) or ()

    def runs(self) -> list[Sample]:
        """Return the figures of its runs."""
        return self._asked(lambda instance: list(read_runs(instance, self._jobs, self._checks))) or []

    def automation(self) -> list[Sample]:
        """Return the figures of what starts runs."""
        return self._asked(lambda instance: list(read_automation(instance, INSTIGATORS))) or []

    def _asked(self, ask: Callable[[dg.DagsterInstance], T]) -> T | None:
        """What the instance answers; None before there is one."""
        home = recorded_home(self._settings)
        if home is None or not (home.dagster / "dagster.yaml").exists():
            return None
        with self._opening:
            self._instance = self._instance or dg.DagsterInstance.from_config(str(home.dagster))
        try:
            return ask(self._instance)
        except Exception:
            self._instance = None
            raise
