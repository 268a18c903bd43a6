"""The registry: summary.json, which says what was trained and who is champion, and the files that serve.

Replacing summary.json is the commit of every change. Deciding who becomes champion belongs to `core.decisions`; MLflow
follows this registry and never leads it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bike_assets.errors import BikeError

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

SUMMARY = "summary.json"
LOCK_TIMEOUT_SECONDS = 60


class ModelEntry(BaseModel):
    """One trained version, as summary.json has it.

    Attributes:
        version: number of the version, the same as in MLflow.
        family: model family.
        run_id: MLflow run.
        fingerprint: identifies data, configuration and code; the same training again has the same one.
        data: identifies its training rows.
        trained_until: last local day of its training rows.
        registered_on: newest whole local day when it was trained.
        scores: by set (test_baseline, test_current): r2, rmse (bikes an hour), mae, n; at horizon 1.
        parity: greatest relative difference between the served file and the native model on held-out rows.
        model_file: the served file, relative to the registry.
        sha256: its digest.
        counters: counter ids in the order of their codes.
        is_champion: whether it serves.
        promoted_on: newest local day of counts when it was last promoted.
        first_champion: whether it was the first that ever served.
        withdrawn: whether a person replaced it: no evaluation brings it back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    family: str
    run_id: str
    fingerprint: str
    data: str = ""
    trained_until: str
    registered_on: str
    scores: dict[str, dict[str, float]]
    parity: float
    model_file: str
    sha256: str
    counters: list[str]
    is_champion: bool = False
    promoted_on: str | None = None
    first_champion: bool = False
    withdrawn: bool = False


class Summary(BaseModel):
    """The whole of summary.json; entries are only ever added, or change who is champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: list[ModelEntry] = Field(default_factory=list)

    @property
    def champion(self) -> ModelEntry | None:
        """The version that serves."""
        return next((entry for entry in self.models if entry.is_champion), None)

    @property
    def first_champion(self) -> ModelEntry | None:
        """The version that served first, never retrained since."""
        return next((entry for entry in self.models if entry.first_champion), None)

    def by_fingerprint(self, fingerprint: str) -> ModelEntry | None:
        """The version that this very training made, if it was done."""
        return next((entry for entry in self.models if entry.fingerprint == fingerprint), None)

    def latest(self, family: str) -> ModelEntry | None:
        """The newest version of a family."""
        return max((e for e in self.models if e.family == family), key=lambda e: e.version, default=None)

    def latest_on(self, family: str, data: str) -> ModelEntry | None:
        """The newest version of a family that was trained on these very rows."""
        fitting = (e for e in self.models if (e.family, e.data) == (family, data))
        return max(fitting, key=lambda e: e.version, default=None)

    def entry(self, version: int) -> ModelEntry | None:
        """The version with this number."""
        return next((entry for entry in self.models if entry.version == version), None)


class LocalRegistry:
    """The registry in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Summary:
        """Return the summary as it stands; empty before the first training.

        Raises:
            BikeError: summary.json is not what it has to be.
        """
        try:
            return Summary.model_validate_json((self.folder / SUMMARY).read_bytes())
        except FileNotFoundError:
            return Summary()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole file"
            raise BikeError(f"{self.folder / SUMMARY} is not a registry summary: {place}: {first['msg']}.") from None

    def state(self) -> tuple[int, ...]:
        """Return what changes when the summary does."""
        try:
            state = (self.folder / SUMMARY).stat()
        except FileNotFoundError:
            return ()
        return state.st_mtime_ns, state.st_ino, state.st_size

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a served file under its content and return its place, relative to the registry."""
        relative = f"models/{family}-{sha256[:16]}.onnx"
        path = self.folder / relative
        if not path.exists():
            _replace(path, content)
        return relative

    def add(self, entry: ModelEntry) -> None:
        """Add a trained version; the same training again changes nothing.

        Raises:
            BikeError: another training has that version's number.
        """

        def added(summary: Summary) -> Summary:
            if summary.by_fingerprint(entry.fingerprint):
                return summary
            if summary.entry(entry.version):
                raise BikeError(
                    f"the registry {self.folder} has another version {entry.version} already: "
                    "MLflow's database was started over, and the registry was not."
                )
            return Summary(models=[*summary.models, entry])

        self._change(added)

    def promote(self, version: int, day: str, by_hand: bool = False) -> None:
        """Make a version the champion; promoting the champion changes nothing.

        Args:
            version: its number.
            day: newest local day of counts.
            by_hand: whether a person chose it: the version that it replaces is withdrawn then, and no evaluation
                brings it back.

        Raises:
            BikeError: there is no such version.
        """

        def promoted(summary: Summary) -> Summary:
            chosen = summary.entry(version)
            if chosen is None:
                raise BikeError(f"the registry {self.folder} has no version {version}.")
            if chosen.is_champion:
                return summary
            is_first = summary.first_champion is None
            return Summary(
                models=[
                    entry.model_copy(
                        update={
                            "is_champion": True,
                            "promoted_on": day,
                            "first_champion": chosen.first_champion or is_first,
                            "withdrawn": False,
                        }
                    )
                    if entry.version == version
                    else entry.model_copy(
                        update={
                            "is_champion": False,
                            "withdrawn": entry.withdrawn or (by_hand and entry.is_champion),
                        }
                    )
                    for entry in summary.models
                ]
            )

        self._change(promoted)

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the file that serves a version.

        Raises:
            BikeError: the file is missing or is not the one that was registered.
        """
        from bike_assets.core.families.served import ServedModel

        try:
            return ServedModel(self._content(entry), entry.sha256, entry.counters)
        except ValueError as error:
            path = self.folder / entry.model_file
            raise BikeError(f"version {entry.version} cannot be served from {path}: {error}.") from None

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return what a training made.

        Raises:
            BikeError: the file is missing.
        """
        from bike_assets.core.families.base import Trained

        return Trained(self._content(entry), entry.counters)

    def _content(self, entry: ModelEntry) -> bytes:
        path = self.folder / entry.model_file
        try:
            return path.read_bytes()
        except OSError as error:
            raise BikeError(f"version {entry.version} cannot be served from {path}: {error}.") from None

    def _change(self, change: Callable[[Summary], Summary]) -> Summary:
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock", timeout=LOCK_TIMEOUT_SECONDS):
            before = self.read()
            after = change(before)
            if after != before:
                text = json.dumps(after.model_dump(), indent=2, allow_nan=False) + "\n"
                _replace(self.folder / SUMMARY, text.encode())
            return after


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def champion_card(entry: ModelEntry) -> dict[str, Any]:
    """Return what `bike status` and the API tell of the champion."""
    current, baseline = entry.scores["test_current"], entry.scores["test_baseline"]
    return {
        "family": entry.family,
        "version": entry.version,
        "run_id": entry.run_id,
        "r2_baseline": baseline["r2"],
        "r2_current": current["r2"],
        "promoted_on": entry.promoted_on,
    }
