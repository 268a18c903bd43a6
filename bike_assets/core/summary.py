"""What was trained and who is champion, as summary.json has it, and the only two ways in which that changes.

Where it is stored belongs to `resources.registry`; deciding who becomes champion to `core.decisions`.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bike_assets.errors import BikeError


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


def read_summary(content: bytes, place: str) -> Summary:
    """Read a summary from its JSON.

    Args:
        content: the JSON.
        place: where it was found, for the message.

    Raises:
        BikeError: it is not what it has to be.
    """
    try:
        return Summary.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        part = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BikeError(f"{place} is not a registry summary: {part}: {first['msg']}.") from None


def written(summary: Summary) -> bytes:
    """Return the JSON of a summary, for people too."""
    return (json.dumps(summary.model_dump(), indent=2, allow_nan=False) + "\n").encode()


def added(summary: Summary, entry: ModelEntry, registry: str) -> Summary:
    """Return the summary with one more version; the same training again changes nothing.

    Args:
        summary: as it stands.
        entry: the version.
        registry: what the registry is called in a message.

    Raises:
        BikeError: another training has that version's number.
    """
    if summary.by_fingerprint(entry.fingerprint):
        return summary
    if summary.entry(entry.version):
        raise BikeError(
            f"the registry {registry} has another version {entry.version} already: "
            "MLflow's database was started over, and the registry was not."
        )
    return Summary(models=[*summary.models, entry])


def promoted(summary: Summary, version: int, day: str, by_hand: bool, registry: str) -> Summary:
    """Return the summary with another champion; promoting the champion changes nothing.

    Args:
        summary: as it stands.
        version: number of the new champion.
        day: newest local day of counts.
        by_hand: whether a person chose it: the version that it replaces is withdrawn then.
        registry: what the registry is called in a message.

    Raises:
        BikeError: there is no such version.
    """
    chosen = summary.entry(version)
    if chosen is None:
        raise BikeError(f"the registry {registry} has no version {version}.")
    if chosen.is_champion:
        return summary
    serving = {
        "is_champion": True,
        "promoted_on": day,
        "first_champion": chosen.first_champion or summary.first_champion is None,
        "withdrawn": False,
    }
    return Summary(
        models=[
            entry.model_copy(update=serving if entry.version == version else _resting(entry, by_hand))
            for entry in summary.models
        ]
    )


def continued(summary: Summary, other: Summary, registry: str) -> Summary:
    """Return the other summary, where it has all that this one has, or went on from it.

    Args:
        summary: as it stands.
        other: that of the registry of which this one is a copy.
        registry: what this one is called in a message.

    Raises:
        BikeError: there are versions, or later promotions, that the other has not.
    """
    for entry in summary.models:
        theirs = other.entry(entry.version)
        if theirs is None or (theirs.fingerprint, theirs.sha256) != (entry.fingerprint, entry.sha256):
            raise BikeError(f"the registry {registry} has a version {entry.version} that is not the one to be copied.")
        if (theirs.promoted_on or "") < (entry.promoted_on or ""):
            raise BikeError(
                f"the registry {registry} promoted version {entry.version} on {entry.promoted_on}, and the one to be "
                "copied did not: the platform has gone on there."
            )
    return other


def _resting(entry: ModelEntry, by_hand: bool) -> dict[str, bool]:
    return {"is_champion": False, "withdrawn": entry.withdrawn or (by_hand and entry.is_champion)}


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
