"""The clock of the simulated portal, and the daily quota that uses it."""

import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

UNLIMITED = 1_000_000_000
"""The limit that the headers show when there is none."""


class Clock:
    """A clock that shows the real time; once set, it runs from the time that was set."""

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
            ValueError: the moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"{moment} names no zone")
        self._ahead = moment - datetime.now(UTC)


@dataclass(frozen=True)
class QuotaState:
    """The quota after a request.

    Attributes:
        limit: requests allowed in a UTC day.
        remaining: requests left today.
        reset: the next midnight UTC.
        exceeded: whether this request exceeded the limit.
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
