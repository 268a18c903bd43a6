"""The home of a replay: its days, its scenarios, and the source of its counts.

Playing the days belongs to `run`.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bike_assets.errors import BikeError
from bike_assets.home.record import RECORD
from bike_assets.settings import Settings, load_settings
from bike_assets.simulator.scenarios import parse_scenarios

AFTER_ALL_SCHEDULES = timedelta(hours=15)
"""Time of the day, an hour after the last schedule is due."""
REPLAY_MARKER = ".replayed"
"""File that marks a home made by a replay. Only such a home may be started over."""


@dataclass(frozen=True)
class Story:
    """A named replay.

    Attributes:
        scenarios: scenarios as in BIKE_SIMULATOR_SCENARIOS, but with the number of the replay's day after the @.
        settings: defaults for the new home; the environment overrides them.
        last: the last day, if the story depends on the season.
    """

    scenarios: str
    settings: Mapping[str, float] = field(default_factory=dict)
    last: date | None = None


STORIES = {
    "quiet": Story(""),
    "demo": Story(
        "busier_city@15,car_free_days@30",
        {
            "history_months": 13,
            "simulator_counters": 28,
            "train_share": 0.82,
            "test_share": 0.16,
        },
        date(2026, 11, 22),
    ),
}


@dataclass(frozen=True)
class ReplayOptions:
    """The options of `bike replay`.

    Attributes:
        days: number of days to play.
        scenario: name of a story, or scenarios as in a story.
        home: folder of the new home; BIKE_HOME by default.
        counts: an export to replay in place of the simulated city.
        until: the last day; by default that of the story, or else the source's newest.
        anew: whether to start over a home that an earlier replay made.
    """

    days: int
    scenario: str
    home: Path | None = None
    counts: Path | None = None
    until: date | None = None
    anew: bool = False


def prepare(options: ReplayOptions, resources: ExitStack) -> tuple[Settings, date]:
    """Return the settings of the replay's home, and the last day to play."""
    story = STORIES.get(options.scenario, Story(options.scenario))
    given = load_settings()
    folder = (options.home or given.home_folder).expanduser().absolute()
    newest = _newest_day(given, options)
    last = options.until or story.last or newest
    if last > newest:
        raise BikeError(f"{last} is not over in this source, whose newest day is {newest}: a replay plays past days.")
    scenarios = _dated(story.scenarios, last - timedelta(days=options.days - 1))
    parse_scenarios(scenarios)
    if options.counts and scenarios:
        raise BikeError("Scenarios need the simulated city: with --counts, the scenario has to be quiet.")
    _empty_folder(folder, options.anew)
    _mark(folder)
    # A replay invents days, so they stay in its own local home, whatever the profile.
    chosen: dict[str, Any] = {
        **{name: value for name, value in story.settings.items() if name not in given.model_fields_set},
        "profile": "local",
        "home": folder,
        "source": "simulator",
        "simulator_scenarios": scenarios,
    }
    if options.counts:
        chosen["source"] = "paris" if given.is_paris else "portal"
        chosen |= {"portal_url": _serve(options.counts, given, resources), "weather": "off"}
    return load_settings(**chosen), last


def _newest_day(settings: Settings, options: ReplayOptions) -> date:
    """Return the last day that can be played. A day ends on the morning after, which must not be in the future."""
    if options.counts is None:
        return (datetime.now(ZoneInfo(settings.timezone)) - timedelta(days=1) - AFTER_ALL_SCHEDULES).date()
    from bike_assets.core.export_outline import outline_export

    return outline_export(options.counts.expanduser(), settings.published_form, datetime.now(UTC)).last_day


def _dated(scenarios: str, first: date) -> str:
    """Replace the numbers of the replay's days by dates."""
    parts = []
    for part in filter(None, (each.strip() for each in scenarios.split(","))):
        name, at, since = part.partition("@")
        dated = (first + timedelta(days=int(since) - 1)).isoformat() if since.isdigit() else since
        parts.append(f"{name}{at}{dated}")
    return ",".join(parts)


def _empty_folder(folder: Path, anew: bool) -> None:
    """Ensure that the home is new. Only a home that a replay made is removed, and only with `anew`.

    Raises:
        BikeError: the folder is a home already.
    """
    if not (folder / RECORD).exists():
        return
    if not (anew and (folder / REPLAY_MARKER).exists()):
        raise BikeError(
            f"{folder} is a home already, and a replay needs a new one: name another with --home, or start a home "
            "that an earlier replay made over with --anew."
        )
    shutil.rmtree(folder)


def _mark(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPLAY_MARKER).touch()
    except OSError as error:
        raise BikeError(f"The home {folder} cannot be written to: {error.strerror}.") from None


def _serve(counts: Path, settings: Settings, resources: ExitStack) -> str:
    """Serve an export as its portal does until the replay ends; return the address."""
    from bike_assets.simulator.publication import ReplayedPublication
    from bike_assets.simulator.server import PortalSimulator

    publication = ReplayedPublication(counts.expanduser(), settings.published_form)
    portal = PortalSimulator(publication, settings.portal_dataset, labels=settings.portal_labels)
    return resources.enter_context(portal).url
