"""The API's own metrics for Prometheus: requests, their duration, predictions, and the champion that serves.

PROMETHEUS_MULTIPROC_DIR, set before the import of prometheus-client, makes it sum the figures of all workers from
files. Metrics of the models' quality belong to the exporter.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from serving.answers import Answer, ServingState, Version
from serving.command import METRICS_FOLDER

BUCKET_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
REQUEST_LABELS = ("method", "endpoint")


class Metrics:
    """The API's metrics. Each instance has its own registry, so that two applications in a process do not clash."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "fastapi_requests", "Requests answered.", (*REQUEST_LABELS, "status_code"), registry=own
        )
        self._errors = Counter(
            "fastapi_errors",
            "Requests answered with a status of 500 or more.",
            (*REQUEST_LABELS, "status_code"),
            registry=own,
        )
        self._seconds = Histogram(
            "fastapi_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            REQUEST_LABELS,
            buckets=BUCKET_SECONDS,
            registry=own,
        )
        self._predictions = Counter(
            "bike_api_predictions",
            "Predictions answered, by the version that made them.",
            ("family", "version"),
            registry=own,
        )
        self._unknown = Counter(
            "bike_api_unknown_counter_predictions",
            "Predictions answered for counters that the model did not learn from.",
            registry=own,
        )
        gauge = partial(Gauge, registry=own, multiprocess_mode="liveall")
        self._version = gauge("bike_api_champion_version", "Number of the version that serves.")
        self._promoted = gauge(
            "bike_api_champion_promoted_timestamp_seconds", "Day of the champion's promotion, at midnight UTC."
        )
        self._counts_until = gauge(
            "bike_api_counts_end_timestamp_seconds", "End of the newest counts that the forecasts use."
        )
        self._readable = gauge(
            "bike_api_part_readable", "1 if the API could read this part at its last check.", ("part",)
        )
        self._swaps = Counter(
            "bike_api_champion_swaps", "Times that another version replaced the one that served.", registry=own
        )

    def observe_request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count a request; `endpoint` is its route's template."""
        method = method if method in METHODS else "OTHER"
        requests, duration = self._request_metrics(method, endpoint, status)
        requests.inc()
        duration.observe(seconds)
        if status >= 500:
            self._errors.labels(method, endpoint, status).inc()

    def _request_metrics(self, method: str, endpoint: str, status: int) -> tuple[Counter, Histogram]:
        """Return the two metrics of a kind of request. They are cached: the look-up costs more than counting."""
        kind = method, endpoint, status
        if kind not in self._by_request:
            self._by_request[kind] = self._requests.labels(*kind), self._seconds.labels(method, endpoint)
        return self._by_request[kind]

    def observe_answer(self, version: Version, answer: Answer) -> None:
        """Count the predictions of an answer."""
        self._predictions.labels(version.entry.family, version.entry.version).inc(answer.predictions)
        self._unknown.inc(answer.unknown)

    def observe_check(self, serving: ServingState | None, readable: Mapping[str, bool]) -> None:
        """Record which version serves, and which parts could be read."""
        for part, is_readable in readable.items():
            self._readable.labels(part).set(is_readable)
        if serving is None:
            return
        entry = serving.champion.entry
        self._version.set(entry.version)
        self._promoted.set(_midnight(date.fromisoformat(entry.promoted_on)) if entry.promoted_on else 0)
        self._counts_until.set(serving.city.counts_end.timestamp())

    def observe_swap(self) -> None:
        """Count a change of the version that serves."""
        self._swaps.inc()

    def exposition(self) -> bytes:
        """Return the metrics of all workers in Prometheus's text format."""
        folder = os.environ.get(METRICS_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        for pid in _ended_processes(Path(folder)):
            multiprocess.mark_process_dead(pid, folder)
        of_all_workers = CollectorRegistry()
        multiprocess.MultiProcessCollector(of_all_workers, folder)
        return generate_latest(of_all_workers)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _ended_processes(folder: Path) -> Iterator[int]:
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            yield pid
