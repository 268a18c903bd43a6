"""Joins the parts: reads a part again when its data changed, and returns the others when one part fails."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as ReadTimeout
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bike_assets.exporter.names import Sample, metric_families

WAIT_SECONDS = 5.0
MAX_STALE_SECONDS = 40.0
"""Maximum age of the figures that a scrape returns while newer ones are read. Together with the 15 s between scrapes,
no returned figure is older than a minute."""
log = logging.getLogger(__name__)


@dataclass
class Part:
    """Figures that are read together.

    Attributes:
        name: label of the part in `bike_exporter_part_readable`.
        state: returns a value that changes with the figures; None to read them at every scrape.
        read: returns the figures.
        as_of: monotonic time of the last refresh; None before the first one and after a failure.
    """

    name: str
    state: Callable[[], object]
    read: Callable[[], Iterable[Sample]]
    seen: object = None
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    as_of: float | None = None
    pending: Future | None = None

    def refresh(self) -> None:
        """Read the figures if the state has changed."""
        began = time.perf_counter()
        state = self.state()
        if state is None or state != self.seen:
            self.samples, self.seen = list(self.read()), state
            self.seconds = time.perf_counter() - began
        self.as_of = time.monotonic()


class Parts(Collector):
    """The collector that Prometheus scrapes.

    While a part is being read again, a scrape returns its earlier figures, up to MAX_STALE_SECONDS old. A part that
    fails, or needs more than WAIT_SECONDS, is left out and reported as not readable. A slow read continues in the
    background, one at a time, and a later scrape returns its figures.
    """

    def __init__(self, parts: Iterable[Part], always: Iterable[Sample] = (), patience: float = WAIT_SECONDS) -> None:
        """Join parts.

        Args:
            parts: the parts to read.
            always: figures that never change.
            patience: seconds that a scrape waits for a part with recent figures.
        """
        self._parts, self._always, self._patience = list(parts), list(always), patience
        self._pool = ThreadPoolExecutor(max(1, len(self._parts)), thread_name_prefix="part")
        self._lock = threading.Lock()
        self._unreadable: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """Return the figures of every readable part."""
        samples = list(self._always)
        with self._lock:
            for part in self._parts:
                part.pending = part.pending or self._pool.submit(part.refresh)
            began = time.monotonic()
            for part in self._parts:
                readable = self._readable(part, began)
                samples.append(Sample("bike_exporter_part_readable", readable, (part.name,)))
                samples.append(Sample("bike_exporter_part_seconds", part.seconds, (part.name,)))
                samples += part.samples if readable else []
        return metric_families(samples)

    def _readable(self, part: Part, began: float) -> bool:
        """Whether a part has figures to return; a failing part is logged once until it is readable again."""
        is_recent = part.as_of is not None and began - part.as_of < MAX_STALE_SECONDS
        try:
            if part.pending is not None:
                patience = self._patience if is_recent else WAIT_SECONDS
                part.pending.result(max(0.0, began + patience - time.monotonic()))
        except ReadTimeout:
            if not is_recent:
                self._log_once(part, f"not read within {WAIT_SECONDS:g} s")
            return is_recent
        except Exception as error:
            part.pending, part.seen, part.as_of = None, None, None
            self._log_once(part, f"{type(error).__name__}: {error}")
            return False
        part.pending = None
        self._unreadable.discard(part.name)
        return True

    def _log_once(self, part: Part, why: str) -> None:
        if part.name not in self._unreadable:
            log.warning("%s cannot be read: %s", part.name, why)
            self._unreadable.add(part.name)
