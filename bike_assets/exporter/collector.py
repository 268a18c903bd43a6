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
log = logging.getLogger(__name__)


@dataclass
class Part:
    """Some figures that are read together.

    Attributes:
        name: as its own metrics have it.
        state: returns what changes when the figures do; None where they have to be read at every scrape.
        read: returns the figures.
    """

    name: str
    state: Callable[[], object]
    read: Callable[[], Iterable[Sample]]
    seen: object = None
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    under_way: Future | None = None

    def refresh(self) -> None:
        """Read the figures, unless nothing has changed."""
        began = time.perf_counter()
        state = self.state()
        if state is None or state != self.seen:
            self.samples, self.seen = list(self.read()), state
            self.seconds = time.perf_counter() - began


class Parts(Collector):
    """What Prometheus scrapes.

    A part that fails, or takes longer than some seconds, is left out of the answer and told as not readable; a slow one
    goes on being read, once, and is there when it is done.
    """

    def __init__(self, parts: Iterable[Part], always: Iterable[Sample] = ()) -> None:
        self._parts, self._always = list(parts), list(always)
        self._pool = ThreadPoolExecutor(max(1, len(self._parts)), thread_name_prefix="part")
        self._lock = threading.Lock()
        self._unread: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """Return every figure that can be read now."""
        samples = list(self._always)
        with self._lock:
            for part in self._parts:
                part.under_way = part.under_way or self._pool.submit(part.refresh)
            deadline = time.monotonic() + WAIT_SECONDS
            for part in self._parts:
                readable = self._finished(part, deadline)
                samples.append(Sample("bike_exporter_part_readable", readable, (part.name,)))
                samples.append(Sample("bike_exporter_part_seconds", part.seconds, (part.name,)))
                samples += part.samples if readable else []
        return families_of(samples)

    def _finished(self, part: Part, deadline: float) -> bool:
        """Whether a part was read by the deadline; what fails is logged once, until it is read again."""
        reading = part.under_way
        try:
            if reading is not None:
                reading.result(max(0.0, deadline - time.monotonic()))
        except Late:
            self._tell(part, f"not read within {WAIT_SECONDS:g} s")
            return False
        except Exception as error:
            part.under_way, part.seen = None, None
            self._tell(part, f"{type(error).__name__}: {error}")
            return False
        part.under_way = None
        self._unread.discard(part.name)
        return True

    def _tell(self, part: Part, why: str) -> None:
        if part.name not in self._unread:
            log.warning("%s cannot be read: %s", part.name, why)
            self._unread.add(part.name)
