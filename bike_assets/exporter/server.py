"""The exporter's process: serves the metrics of a home to Prometheus until it is stopped."""

import signal
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from bike_assets.core.schemas import Table
from bike_assets.exporter import data, decisions, drift, models
from bike_assets.exporter.collector import WAIT_SECONDS, Part, Parts
from bike_assets.exporter.names import Sample
from bike_assets.exporter.orchestration import DagsterOfHome
from bike_assets.exporter.sources import Sources, open_sources
from bike_assets.resources.profiles import open_warehouse
from bike_assets.settings import Settings

PATIENCE_SECONDS = 0.1


def serve_metrics(settings: Settings, host: str, port: int) -> None:
    """Serve metrics until the process gets SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    registry = metrics_of(settings, PATIENCE_SECONDS)
    generate_latest(registry)  # The first read takes seconds; no scrape should wait for it.
    server, thread = start_http_server(port, host, registry)
    ended.wait()
    server.shutdown()
    thread.join()


def metrics_of(settings: Settings, patience: float = WAIT_SECONDS) -> CollectorRegistry:
    """Return the collectors of the home that the settings name.

    Args:
        settings: the current settings.
        patience: seconds that a scrape waits for a part with recent figures that is being read again.
    """
    warehouse = open_warehouse(settings)

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
    always = [Sample("bike_build_info", 1, (version("bike-assets"),))]
    registry.register(Parts(parts, always, patience))
    return registry
