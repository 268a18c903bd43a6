"""The time by which the simulated portal publishes, and the quota that it counts by that time."""

import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

UNLIMITED = 1_000_000_000
"""What the headers tell as the limit when there is none."""


class Clock:
    """The real time, until it is set; from then on it runs on from there."""

    def __init__(self, moment: datetime | None = None) -> None:
        self._ahead = timedelta()
        if moment is not None:
            self.set(moment)

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return datetime.now(UTC) + self._ahead

    def set(self, moment: datetime) -> None:
        """Set the clock.

        Raises:
            ValueError: the moment names no zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"{moment} names no zone")
        self._ahead = moment - datetime.now(UTC)


@dataclass(frozen=True)
class QuotaState:
    """The quota after a request.

    Attributes:
        limit: requests allowed in a UTC day.
        remaining: of these.
        reset: the next midnight UTC.
        exceeded: whether the request was one too many.
    """

    limit: int
    remaining: int
    reset: datetime
    exceeded: bool


class Quota:
    """Counts the requests of each UTC day."""

    def __init__(self, daily: int | None) -> None:
        self._limit = UNLIMITED if daily is None else daily
        self._day: date | None = None
        self._used = 0
        self._lock = threading.Lock()

    def spend(self, now: datetime) -> QuotaState:
        """Count a request."""
        with self._lock:
            if now.date() != self._day:
                self._day, self._used = now.date(), 0
            self._used += 1
            used = self._used
        return QuotaState(self._limit, max(self._limit - used, 0), next_midnight(now), used > self._limit)


def next_midnight(now: datetime) -> datetime:
    """Return the first moment of the next UTC day."""
    return datetime.combine(now.date() + timedelta(days=1), time(), UTC)
