"""Chooses a home's source: the recorded one, else the one in the settings; `auto` takes the portal if it answers.

Reading counts belongs to `counts_source`, the record itself to `bike_assets.home.record`.
"""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from zoneinfo import ZoneInfo

import pandas as pd

from bike_assets.core.export_outline import outline_export
from bike_assets.core.local_time import as_date
from bike_assets.errors import BikeError, SourceUnavailableError
from bike_assets.home.record import PORTALS, Home, SourceKind, recorded_home
from bike_assets.resources.counts_source import file_digest, last_whole_day
from bike_assets.settings import Settings

EARLIEST_LAST_DAY = date(1990, 1, 1)
"""The settings allow ten years of history: none begins before 1980, since when clocks and calendars are known."""
ANSWER_WITHIN_SECONDS = 8.0
"""Time limit for the portal's answer with `auto`. Name resolution has no time limit, so the whole request needs one."""


def outline_home(settings: Settings, until: date | None = None) -> Home:
    """Return the recorded home, or the one that the settings would create; write nothing and ask no server.

    Args:
        settings: the settings in force.
        until: the last day of history, for a new home whose source has no end; yesterday by default.

    Raises:
        BikeError: the settings contradict the record, the export cannot be used, or `until` is too long ago.
    """
    home = recorded_home(settings)
    if home is not None:
        return _with_same_file(home, settings)
    if settings.source == "file":
        return _describe_file_home(settings)
    if settings.counts_file is not None:
        raise BikeError(f"BIKE_COUNTS_FILE is set, and BIKE_SOURCE is {settings.source}: set BIKE_SOURCE=file.")
    last = min(until or date.max, yesterday(settings.timezone))
    if last < EARLIEST_LAST_DAY:
        raise BikeError(f"--until {last} is too long ago: a new home can end on {EARLIEST_LAST_DAY} at the earliest.")
    undecided = Home(settings.home_folder, None, _first_day(last, settings), None, settings.timezone)
    return undecided if settings.source == "auto" else _with_source(undecided, settings, settings.source)


def claim_home(settings: Settings, until: date | None = None) -> Home:
    """Return the recorded home, or create the one that the settings name; `auto` asks the portal once per home.

    Raises:
        BikeError: the settings contradict the record, the export cannot be used, `until` is too long ago, or the
            folder cannot be written to.
        SourceUnavailableError: the settings name the portal, and it does not answer or has no rows.
        UnreliableAnswerError: the settings name the portal, and its answer cannot be read.
    """
    home = outline_home(settings, until)
    if recorded_home(settings) is not None:
        return home
    if home.source is None:
        newest = _newest_day_in_seconds(settings)
        if isinstance(newest, str):
            home = replace(_with_source(home, settings, "simulator"), reason=newest)
        else:
            home = _with_first_day(_with_source(home, settings, "portal"), newest, settings, until)
    elif home.source in PORTALS:
        home = _with_first_day(home, _newest_day(settings), settings, until)
    home.claim()
    return recorded_home(settings) or home


def _newest_day(settings: Settings, quickly: bool = False) -> date:
    """Return the last local day that the portal has published completely."""
    from bike_assets.resources.portal import Portal

    newest = Portal(settings.portal).newest_hour(quickly)
    if newest is None:
        raise SourceUnavailableError(f"The portal {settings.portal_url} has no rows in {settings.portal_dataset}.")
    return last_whole_day(newest, settings.published_form)


def _newest_day_in_seconds(settings: Settings) -> date | str:
    """Return the portal's newest day if it answers within seconds, else the reason why it cannot be used."""
    answer: Future[date | str] = Future()

    def ask() -> None:
        try:
            answer.set_result(_newest_day(settings, quickly=True))
        except BikeError as error:
            answer.set_result(f"the portal cannot be used now: {str(error).rstrip('.')}")
        except Exception as error:
            answer.set_exception(error)

    Thread(target=ask, daemon=True).start()
    with suppress(TimeoutError):
        return answer.result(ANSWER_WITHIN_SECONDS)
    return f"the portal ({settings.portal_url}) did not answer within {ANSWER_WITHIN_SECONDS:.0f} s"


def _with_first_day(home: Home, newest: date, settings: Settings, until: date | None) -> Home:
    """Start the home's history the configured months before the portal's newest day, whatever the clock says."""
    return replace(home, first_day=_first_day(min(until or date.max, newest), settings))


def _first_day(last: date, settings: Settings) -> date:
    return as_date(pd.Timestamp(last) + pd.Timedelta(days=1) - pd.DateOffset(months=settings.history_months))


def yesterday(timezone: str) -> date:
    """Return the last local day that is over, by this machine's clock."""
    return (datetime.now(ZoneInfo(timezone)) - timedelta(days=1)).date()


def _with_source(home: Home, settings: Settings, source: SourceKind) -> Home:
    if source in PORTALS:
        kind: SourceKind = "paris" if settings.is_paris else "portal"
        return replace(home, source=kind, portal=settings.portal_url, dataset=settings.portal_dataset)
    return replace(
        home,
        source="simulator",
        seed=settings.seed,
        counters=settings.simulator_counters,
        country=settings.holidays_country,
        scenarios=settings.simulator_scenarios or None,
    )


def _describe_file_home(settings: Settings) -> Home:
    if settings.counts_file is None:
        raise BikeError("BIKE_SOURCE=file needs BIKE_COUNTS_FILE, the path of a portal export (Parquet or CSV).")
    path = settings.counts_file.expanduser().absolute()
    outline = outline_export(path, settings.published_form, datetime.now(UTC))
    return Home(
        settings.home_folder,
        "file",
        outline.first_day,
        outline.last_day,
        settings.timezone,
        file=path,
        digest=file_digest(path),
        naive_zone=outline.naive_zone,
        rows_without_day=outline.rows_without_day,
    )


def _with_same_file(home: Home, settings: Settings) -> Home:
    """Accept the recorded export at the path in the settings; refuse a file with other content."""
    if home.source != "file" or settings.counts_file is None:
        return home
    path = settings.counts_file.expanduser().absolute()
    if file_digest(path) != home.digest:
        raise BikeError(
            f"The home {home.folder} was made from {home.file}, and {path} is another export: "
            "choose another BIKE_HOME or start over with make clean."
        )
    return replace(home, file=path)
