"""A home: the folder with all of a city's data, and the record of its source and days.

The first pass or run that reads a source claims the home for it; later, every other source is refused. Reading counts
belongs to `resources.counts_source`, the environment to `settings`.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from bike_assets.errors import BikeError
from bike_assets.settings import Settings

RECORD = "home.json"
SourceKind = Literal["paris", "portal", "simulator", "file"]
PORTALS = ("paris", "portal")
LAYOUT = 5
"""The version of homes. It increases when the code can no longer read older homes."""


@dataclass(frozen=True)
class Home:
    """A home's record.

    Attributes:
        folder: the home's folder.
        source: the kind of source that the home is claimed for; None if not decided yet.
        first_day: the first local day of its counts.
        last_day: the last local day that its source will ever have; None if new days follow.
        timezone: zone of the local days.
        file: the export, for the source "file".
        digest: SHA-256 of the export, for the source "file".
        seed: seed of the simulated city.
        counters: counters of the simulated city.
        country: country whose public holidays the simulated city keeps.
        scenarios: what happens to the simulated city's counts, in the form of BIKE_SIMULATOR_SCENARIOS.
        portal: addresses of the portal, separated by spaces.
        dataset: the portal's dataset.
        naive_zone: zone of the export's times without an offset; None if every time has one.
        rows_without_day: rows of the export without a time, or in the future when the home was made.
        reason: why `auto` chose the simulator; None if the settings name it.
    """

    folder: Path
    source: SourceKind | None
    first_day: date
    last_day: date | None
    timezone: str
    file: Path | None = None
    digest: str | None = None
    seed: int | None = None
    counters: int | None = None
    country: str | None = None
    scenarios: str | None = None
    portal: str | None = None
    dataset: str | None = None
    naive_zone: str | None = None
    rows_without_day: int = 0
    reason: str | None = None

    @property
    def warehouse(self) -> Path:
        """Folder of the embedded warehouse."""
        return self.folder / "warehouse"

    @property
    def registry(self) -> Path:
        """Folder of summary.json and the model files."""
        return self.folder / "registry"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's database and artifacts."""
        return self.folder / "mlflow"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.folder / "dagster"

    @property
    def reports(self) -> Path:
        """Folder of drift reports."""
        return self.folder / "reports"

    def claim(self) -> None:
        """Write the record unless it exists; a second claim changes nothing.

        Raises:
            BikeError: the folder cannot be used or written to.
        """
        if (self.folder / RECORD).exists():
            return
        _refuse_equals_sign(self.folder)
        values = asdict(self) | {"first_day": self.first_day.isoformat()}
        values |= {"last_day": self.last_day and self.last_day.isoformat(), "file": self.file and str(self.file)}
        values["layout"] = LAYOUT
        del values["folder"]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / f"{RECORD}.{os.getpid()}.tmp"
            temporary.write_text(json.dumps(values, indent=2) + "\n")
            temporary.replace(self.folder / RECORD)
        except OSError as error:
            raise BikeError(f"BIKE_HOME={self.folder} cannot be written to: {error.strerror}.") from None


def recorded_home(settings: Settings) -> Home | None:
    """Return the claimed home, or None before the claim.

    Raises:
        BikeError: the folder cannot be used, the record cannot be read or is of another version, or the settings name
            another source or time zone.
    """
    _refuse_equals_sign(settings.home_folder)
    path = settings.home_folder / RECORD
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        layout = values.pop("layout", 1)
        home = Home(
            folder=settings.home_folder,
            **values
            | {
                "first_day": date.fromisoformat(values["first_day"]),
                "last_day": values["last_day"] and date.fromisoformat(values["last_day"]),
                "file": values["file"] and Path(values["file"]),
            },
        )
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise BikeError(f"BIKE_HOME={settings.home_folder} cannot be used: a part of it is a file.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BikeError(
            f"{path} is not the record of a home ({error}): repair it or start over with make clean."
        ) from None
    if layout != LAYOUT:
        raise BikeError(
            f"The home {home.folder} was made by another version of this platform, whose tables have other columns: "
            "choose another BIKE_HOME or start over with make clean."
        )
    _refuse_mismatch(home, settings)
    return home


def _refuse_equals_sign(folder: Path) -> None:
    """Refuse a path with an equals sign: DuckDB would take it for a partition and return wrong rows or none."""
    if "=" in str(folder):
        raise BikeError(f"BIKE_HOME={folder} cannot be used: its path has a =, which marks partitions.")


def _refuse_mismatch(home: Home, settings: Settings) -> None:
    advice = "choose another BIKE_HOME or start over with make clean"
    asked = settings.source
    same = asked in {"auto", home.source} or (asked in PORTALS and home.source in PORTALS)
    if not same or (settings.counts_file and home.source != "file"):
        raise BikeError(
            f"The home {home.folder} holds counts from {describe_source(home)}, "
            f"and the settings name another source (BIKE_SOURCE={settings.source}"
            f"{f', BIKE_COUNTS_FILE={settings.counts_file}' if settings.counts_file else ''}): {advice}."
        )
    if home.source in PORTALS:
        _refuse_another_portal(home, settings, advice)
    if settings.timezone != home.timezone:
        raise BikeError(
            f"The home {home.folder} was made for BIKE_TIMEZONE={home.timezone}, not {settings.timezone}: {advice}."
        )
    if home.naive_zone not in {None, settings.naive_zone}:
        raise BikeError(
            f"The home {home.folder} holds counts whose times without an offset were read as {home.naive_zone}, and "
            f"BIKE_TIMES={settings.times} means {settings.naive_zone}: {advice}."
        )


def _refuse_another_portal(home: Home, settings: Settings, advice: str) -> None:
    """Refuse another portal or dataset. A portal may move: the settings may add a new address to a recorded one."""
    known, asked = (home.portal or "").split(), (settings.named_portal or "").split()
    if asked and not set(asked) & set(known):
        raise BikeError(
            f"The home {home.folder} holds counts from {describe_source(home)}, and BIKE_PORTAL_URL={' '.join(asked)} "
            f"is another portal: {advice}; where the portal moved, name the old address too, after the new one."
        )
    if settings.named_dataset and settings.named_dataset != home.dataset:
        raise BikeError(
            f"The home {home.folder} holds counts of the dataset {home.dataset}, "
            f"not BIKE_PORTAL_DATASET={settings.named_dataset}: {advice}."
        )


def describe_source(home: Home) -> str:
    """Return a description of the source for the user, and whether its counts are real."""
    if home.source == "file":
        return f"the export {home.file} ({'; '.join(_describe_export(home))})"
    if home.source in PORTALS:
        return f"the portal {(home.portal or '').split()[0]} (counts of the dataset {home.dataset}, as published)"
    if home.source is None:
        return "the portal if it answers, else the simulator: not decided yet"
    because = f", because {home.reason}" if home.reason else ""
    return f"the simulator (synthetic counts of {home.counters} invented counters; nothing here was measured{because})"


def _describe_export(home: Home) -> list[str]:
    notes = ["real counts, as the file has them"]
    if home.naive_zone:
        notes.append(f"times without an offset are read as {home.naive_zone}")
    if home.rows_without_day:
        notes.append(f"{home.rows_without_day:,} row(s) without a time, or with one in the future, are not read")
    return notes
