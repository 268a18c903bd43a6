"""Keeps the champion up to date: it looks every second, loads a new one beside the old, and swaps one reference.

If a part cannot be read, the part that was read before keeps serving, and a trouble is recorded. Answering belongs to
`answers`, reporting troubles to the routes.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.errors import BikeError
from bike_assets.home.record import recorded_home
from bike_assets.resources.profiles import open_registry, open_warehouse
from bike_assets.settings import Settings
from serving.answers import Serving, Version, ready_version
from serving.city import City, read_city, state_of
from serving.metrics import Metrics
from serving.wire import Refusal

LOOK_EVERY_SECONDS = 1.0
TRY_AGAIN_SECONDS = 2.0
MOST_OTHERS = 16
"""Versions beside the champion whose forecasts stay in memory, for requests that name one."""
NO_CHAMPION = "There is no champion yet: type make materialize, or wait for the first pass of make run to end."
UNREAD = {
    "counts": "The counts cannot be read: the forecasts rest on those that were read before.",
    "registry": "The registry cannot be read: the champion that was loaded before goes on serving.",
    "champion": "The champion's file cannot be served: the version that was loaded before goes on serving.",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """A part that cannot be read, a sentence for people without paths, and since when."""

    part: str
    detail: str
    since: datetime


class Keeper:
    """Keeps `serving` up to date with the registry and the warehouse.

    Attributes:
        serving: what answers requests now; None before there is a champion. Read it once per request.
        troubles: troubles by part.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.serving: Serving | None = None
        self.troubles: dict[str, Trouble] = {}
        self._settings, self._metrics = settings, metrics
        self._warehouse = open_warehouse(settings)
        self._registry = open_registry(settings)
        self._city: City | None = None
        self._city_state: tuple | None = None
        self._summary_state: tuple | None = None
        self._summary = Summary()
        self._not_before: dict[str, float] = {}
        self._making = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Look once, then every second in a thread."""
        self.look()
        threading.Thread(target=self._watch, name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()

    def look(self) -> None:
        """Read what has changed, and swap."""
        self._try("counts", self._read_city)
        self._try("registry", self._read_summary)
        self._try("champion", self._swap)
        self._metrics.observe_look(self.serving, {part: part not in self.troubles for part in UNREAD})

    @property
    def summary(self) -> Summary:
        """The registry's summary, as last read."""
        return self._summary

    def take(self) -> Serving:
        """Return what answers a request.

        Raises:
            Refusal: 503; there is no champion, or it could never be read.
        """
        if self.serving is None:
            told = [trouble.detail for trouble in self.troubles.values()]
            raise Refusal(503, "no_champion", " ".join(told) or NO_CHAMPION, headers={"Retry-After": "5"})
        return self.serving

    def version(self, serving: Serving, asked: int | str | None) -> Version:
        """Return the version of a number, the newest of a family, or the champion if the request names none.

        Raises:
            Refusal: 404 if there is no such version, 503 if it cannot be loaded.
        """
        with self._making:
            version = self.version_at_hand(serving, asked)
            if version is None:
                entry = _entry(serving, asked)
                while len(serving.others) >= MOST_OTHERS:
                    serving.others.pop(next(iter(serving.others)))
                version = serving.others[entry.version] = self._made_ready(serving, entry)
            return version

    def version_at_hand(self, serving: Serving, asked: int | str | None) -> Version | None:
        """Return the same version if it is loaded, else None. Loading takes a while.

        Raises:
            Refusal: 404; there is no such version.
        """
        champion = serving.champion
        number = champion.entry.version if asked is None else _entry(serving, asked).version
        return champion if number == champion.entry.version else serving.others.get(number)

    def _made_ready(self, serving: Serving, entry: ModelEntry) -> Version:
        try:
            return ready_version(entry, self._registry.load(entry), serving.city, is_champion=False)
        except (BikeError, ValueError):
            log.exception("version %s cannot be loaded", entry.version)
            told = f"Version {entry.version} cannot be loaded; leave `model` out to ask the champion."
            raise Refusal(503, "model_unavailable", told) from None

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_SECONDS):
            self.look()

    def _try(self, part: str, read: Callable[[], None]) -> None:
        """Read a part. If it fails, record a trouble and retry after TRY_AGAIN_SECONDS; the service goes on."""
        if time.monotonic() < self._not_before.get(part, 0):
            return
        try:
            read()
        except Exception as error:
            self._not_before[part] = time.monotonic() + TRY_AGAIN_SECONDS
            if part not in self.troubles:
                log.exception("the %s cannot be read", part)
                told = f"{UNREAD[part]}{' ' + str(error) if isinstance(error, PublicError) else ''}"
                self.troubles[part] = Trouble(part, told, datetime.now(UTC))
        else:
            if self.troubles.pop(part, None):
                log.info("the %s can be read again", part)

    def _read_city(self) -> None:
        state = state_of(self._warehouse)
        if state == self._city_state:
            return
        home = recorded_home(self._settings)
        if home is not None:
            self._city = read_city(self._warehouse, home, self._settings.holidays_country)
            self._city_state = state
            self._warehouse.close()  # Its engine would keep tens of megabytes until the next day.

    def _read_summary(self) -> None:
        state = self._registry.state()
        if state == self._summary_state:
            return
        summary = self._registry.read()
        if self._summary.champion and not summary.champion:
            raise PublicError("It names no champion any more.")
        self._summary, self._summary_state = summary, state

    def _swap(self) -> None:
        """Swap to the registry's champion and the newest counts: compute its forecasts first, then assign once."""
        entry, city, before = self._summary.champion, self._city, self.serving
        if entry is None or city is None:
            return
        if before and before.city is city and before.summary is self._summary:
            return
        try:
            model = self._registry.load(entry)
            champion = ready_version(entry, model, city, is_champion=True)
        except Exception:
            if before and before.city is not city:
                self.serving = before.for_city(city)
            raise
        self.serving = Serving(city, champion, model, self._summary)
        if before is None or before.champion.entry.version != entry.version:
            if before:
                self._metrics.observe_swap()
            log.info("version %s (%s) serves", entry.version, entry.family)


class PublicError(Exception):
    """A problem whose message may be shown to any client."""


def _entry(serving: Serving, asked: int | str | None) -> ModelEntry:
    summary = serving.summary
    entry = summary.latest(asked) if isinstance(asked, str) else summary.entry(asked or 0)
    if entry is None:
        raise Refusal(404, "unknown_model", f"There is no model {asked!r}: GET /models lists versions and families.")
    return entry
