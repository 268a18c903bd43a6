"""The parts put together: each read again when what it rests on has changed, and none able to keep the others down."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bike_assets.exporter.names import Sample, families_of

WAIT_SECONDS = 5.0
MOST_STALE_SECONDS = 40.0
"""How old figures may be and still be told while newer ones are read: with the time to the next scrape, nothing that is
told is older than a minute."""
log = logging.getLogger(__name__)


@dataclass
class Part:
    """Some figures that are read together.

    Attributes:
        name: as its own metrics have it.
        state: returns what changes when the figures do; None where they have to be read at every scrape.
        read: returns the figures.
        as_of: when they were last known to be what there is, by the monotonic clock.
    """

    name: str
    state: Callable[[], object]
    read: Callable[[], Iterable[Sample]]
    seen: object = None
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    as_of: float | None = None
    under_way: Future | None = None

    def refresh(self) -> None:
        """Read the figures, unless nothing has changed."""
        began = time.perf_counter()
        state = self.state()
        if state is None or state != self.seen:
            self.samples, self.seen = list(self.read()), state
            self.seconds = time.perf_counter() - began
        self.as_of = time.monotonic()


class Parts(Collector):
    """What Prometheus scrapes.

    A scrape does not wait for figures that are being read anew: for a moment it tells those from before. A part that
    fails, or takes longer than some seconds, is left out of the answer and told as not readable; a slow one goes on
    being read, once, and is there when it is done.
    """

    def __init__(self, parts: Iterable[Part], always: Iterable[Sample] = (), patience: float = WAIT_SECONDS) -> None:
        """Put parts together.

        Args:
            parts: what is read.
            always: figures that never change.
            patience: seconds that a scrape waits where it has figures from a moment before.
        """
        self._parts, self._always, self._patience = list(parts), list(always), patience
        self._pool = ThreadPoolExecutor(max(1, len(self._parts)), thread_name_prefix="part")
        self._lock = threading.Lock()
        self._unread: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """Return every figure that can be read now."""
        samples = list(self._always)
        with self._lock:
            for part in self._parts:
                part.under_way = part.under_way or self._pool.submit(part.refresh)
            began = time.monotonic()
            for part in self._parts:
                readable = self._readable(part, began)
                samples.append(Sample("bike_exporter_part_readable", readable, (part.name,)))
                samples.append(Sample("bike_exporter_part_seconds", part.seconds, (part.name,)))
                samples += part.samples if readable else []
        return families_of(samples)

    def _readable(self, part: Part, began: float) -> bool:
        """Whether there are figures to tell; what fails is logged once, until it is read again."""
        told_before = part.as_of is not None and began - part.as_of < MOST_STALE_SECONDS
        try:
            if part.under_way is not None:
                patience = self._patience if told_before else WAIT_SECONDS
                part.under_way.result(max(0.0, began + patience - time.monotonic()))
        except Late:
            if not told_before:
                self._tell(part, f"not read within {WAIT_SECONDS:g} s")
            return told_before
        except Exception as error:
            part.under_way, part.seen, part.as_of = None, None, None
            self._tell(part, f"{type(error).__name__}: {error}")
            return False
        part.under_way = None
        self._unread.discard(part.name)
        return True

    def _tell(self, part: Part, why: str) -> None:
        if part.name not in self._unread:
            log.warning("%s cannot be read: %s", part.name, why)
            self._unread.add(part.name)
