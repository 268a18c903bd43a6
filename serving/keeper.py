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
from serving.answers import ServingState, Version, compute_version
from serving.city import CityData, read_city, state_of
from serving.metrics import Metrics
from serving.wire import Refusal

CHECK_EVERY_SECONDS = 1.0
RETRY_SECONDS = 2.0
MAX_OTHER_VERSIONS = 16
"""Versions beside the champion whose forecasts stay in memory, for requests that name one."""
NO_CHAMPION = "There is no champion yet: run make materialize, or wait for the first pass of make run to end."
UNREADABLE = {
    "counts": "The counts cannot be read: the forecasts use the counts that were read before.",
    "registry": "The registry cannot be read: the champion that was loaded before keeps serving.",
    "champion": "The champion's file cannot be served: the version that was loaded before keeps serving.",
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
        self.serving: ServingState | None = None
        self.troubles: dict[str, Trouble] = {}
        self._settings, self._metrics = settings, metrics
        self._warehouse = open_warehouse(settings)
        self._registry = open_registry(settings)
        self._city: CityData | None = None
        self._city_state: tuple | None = None
        self._summary_state: tuple | None = None
        self._summary = Summary()
        self._retry_at: dict[str, float] = {}
        self._load_lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Look once, then every second in a thread."""
        self.check()
        threading.Thread(target=self._check_until_stopped, name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()

    def check(self) -> None:
        """Read what has changed, and swap."""
        self._read_part("counts", self._read_city)
        self._read_part("registry", self._read_summary)
        self._read_part("champion", self._swap)
        self._metrics.observe_check(self.serving, {part: part not in self.troubles for part in UNREADABLE})

    @property
    def summary(self) -> Summary:
        """The registry's summary, as last read."""
        return self._summary

    def current(self) -> ServingState:
        """Return what answers a request.

        Raises:
            Refusal: 503; there is no champion, or it could never be read.
        """
        if self.serving is None:
            details = [trouble.detail for trouble in self.troubles.values()]
            raise Refusal(503, "no_champion", " ".join(details) or NO_CHAMPION, headers={"Retry-After": "5"})
        return self.serving

    def version(self, serving: ServingState, requested: int | str | None) -> Version:
        """Return the version of a number, the newest of a family, or the champion if the request names none.

        Raises:
            Refusal: 404 if there is no such version, 503 if it cannot be loaded.
        """
        with self._load_lock:
            version = self.loaded_version(serving, requested)
            if version is None:
                entry = _entry(serving, requested)
                while len(serving.others) >= MAX_OTHER_VERSIONS:
                    serving.others.pop(next(iter(serving.others)))
                version = serving.others[entry.version] = self._load_version(serving, entry)
            return version

    def loaded_version(self, serving: ServingState, requested: int | str | None) -> Version | None:
        """Return the same version if it is loaded, else None. Loading takes a while.

        Raises:
            Refusal: 404; there is no such version.
        """
        champion = serving.champion
        number = champion.entry.version if requested is None else _entry(serving, requested).version
        return champion if number == champion.entry.version else serving.others.get(number)

    def _load_version(self, serving: ServingState, entry: ModelEntry) -> Version:
        try:
            return compute_version(entry, self._registry.load(entry), serving.city, is_champion=False)
        except (BikeError, ValueError):
            log.exception("version %s cannot be loaded", entry.version)
            detail = f"Version {entry.version} cannot be loaded; leave out `model` to use the champion."
            raise Refusal(503, "model_unavailable", detail) from None

    def _check_until_stopped(self) -> None:
        while not self._stopped.wait(CHECK_EVERY_SECONDS):
            self.check()

    def _read_part(self, part: str, read: Callable[[], None]) -> None:
        """Read a part. If it fails, record a trouble and retry after RETRY_SECONDS; the service goes on."""
        if time.monotonic() < self._retry_at.get(part, 0):
            return
        try:
            read()
        except Exception as error:
            self._retry_at[part] = time.monotonic() + RETRY_SECONDS
            if part not in self.troubles:
                log.exception("the %s cannot be read", part)
                detail = f"{UNREADABLE[part]}{' ' + str(error) if isinstance(error, PublicError) else ''}"
                self.troubles[part] = Trouble(part, detail, datetime.now(UTC))
        else:
            if self.troubles.pop(part, None):
                log.info("the %s can be read again", part)

    def _read_city(self) -> None:
        state = state_of(self._warehouse)
        if state == self._city_state:
            return
        home = recorded_home(self._settings)
        if home is not None:
            self._city = read_city(self._warehouse, self._settings.place)
            self._city_state = state
            self._warehouse.close()  # Its engine would keep tens of megabytes until the next day.

    def _read_summary(self) -> None:
        state = self._registry.state()
        if state == self._summary_state:
            return
        summary = self._registry.read()
        if self._summary.champion and not summary.champion:
            raise PublicError("It no longer names a champion.")
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
            champion = compute_version(entry, model, city, is_champion=True)
        except Exception:
            if before and before.city is not city:
                self.serving = before.for_city(city)
            raise
        self.serving = ServingState(city, champion, model, self._summary)
        if before is None or before.champion.entry.version != entry.version:
            if before:
                self._metrics.observe_swap()
            log.info("version %s (%s) serves", entry.version, entry.family)


class PublicError(Exception):
    """A problem whose message may be shown to any client."""


def _entry(serving: ServingState, requested: int | str | None) -> ModelEntry:
    summary = serving.summary
    entry = summary.latest(requested) if isinstance(requested, str) else summary.entry(requested or 0)
    if entry is None:
        raise Refusal(
            404, "unknown_model", f"There is no model {requested!r}: GET /models lists versions and families."
        )
    return entry
