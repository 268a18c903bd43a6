"""The content of summary.json: all versions and the champion. `added` and `promoted` change it, `continued` copies it.

Storing it belongs to `resources.registry`; deciding on the champion to `core.decisions`.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bike_assets.errors import BikeError


class ModelEntry(BaseModel):
    """One trained version.

    Attributes:
        version: version number, the same as in MLflow.
        family: model family.
        run_id: MLflow run.
        fingerprint: identifies data, configuration and code; a repeated training has the same fingerprint.
        data: identifies the training rows.
        trained_until: last local day of its training rows.
        registered_on: newest whole local day at the time of training.
        scores: by set (test_baseline, test_current): r2, rmse (bikes an hour), mae, n; at horizon 1.
        parity: greatest relative difference between the served file and the native model on held-out rows.
        model_file: the served file, relative to the registry.
        sha256: digest of the served file.
        counters: counter ids in the order of their codes.
        is_champion: whether it serves.
        promoted_on: newest local day of counts at its last promotion.
        first_champion: whether it was the first champion.
        withdrawn: whether a user replaced it; no evaluation promotes it again.
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
    """The content of summary.json. Entries are added and never removed; only their roles change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: list[ModelEntry] = Field(default_factory=list)

    @property
    def champion(self) -> ModelEntry | None:
        """The version that serves."""
        return next((entry for entry in self.models if entry.is_champion), None)

    @property
    def first_champion(self) -> ModelEntry | None:
        """The version that was champion first."""
        return next((entry for entry in self.models if entry.first_champion), None)

    def by_fingerprint(self, fingerprint: str) -> ModelEntry | None:
        """The version of the training with this fingerprint, if any."""
        return next((entry for entry in self.models if entry.fingerprint == fingerprint), None)

    def latest(self, family: str) -> ModelEntry | None:
        """The newest version of a family."""
        return max((e for e in self.models if e.family == family), key=lambda e: e.version, default=None)

    def latest_on(self, family: str, data: str) -> ModelEntry | None:
        """The newest version of a family that was trained on exactly these rows."""
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
        BikeError: the JSON is not a valid summary.
    """
    try:
        return Summary.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        part = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BikeError(f"{place} is not a registry summary: {part}: {first['msg']}.") from None


def summary_to_json(summary: Summary) -> bytes:
    """Return the JSON of a summary, indented so that people can read it."""
    return (json.dumps(summary.model_dump(), indent=2, allow_nan=False) + "\n").encode()


def added(summary: Summary, entry: ModelEntry, registry: str) -> Summary:
    """Return the summary with one more version; a repeated training changes nothing.

    Args:
        summary: the current summary.
        entry: the new version.
        registry: name of the registry, for the message.

    Raises:
        BikeError: another training has the same version number.
    """
    if summary.by_fingerprint(entry.fingerprint):
        return summary
    if summary.entry(entry.version):
        raise BikeError(
            f"the registry {registry} has another version {entry.version} already: "
            "MLflow's database was reset, and the registry was not."
        )
    return Summary(models=[*summary.models, entry])


def promoted(summary: Summary, version: int, day: str, by_hand: bool, registry: str) -> Summary:
    """Return the summary with another champion; promoting the present champion changes nothing.

    Args:
        summary: the current summary.
        version: number of the new champion.
        day: newest local day of counts.
        by_hand: whether a user chose it; if so, the replaced version is withdrawn.
        registry: name of the registry, for the message.

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
    """Return the other summary if it has every version of this one and no earlier promotion of any.

    Args:
        summary: the summary of the copy.
        other: the summary of the registry that is copied.
        registry: name of the copy, for the message.

    Raises:
        BikeError: the copy has a version, or a later promotion, that the other summary lacks.
    """
    for entry in summary.models:
        other_entry = other.entry(entry.version)
        if other_entry is None or (other_entry.fingerprint, other_entry.sha256) != (entry.fingerprint, entry.sha256):
            raise BikeError(f"the registry {registry} has a version {entry.version} that differs from the one to copy.")
        if (other_entry.promoted_on or "") < (entry.promoted_on or ""):
            raise BikeError(
                f"the registry {registry} promoted version {entry.version} on {entry.promoted_on}, and the "
                "registry to copy did not: the platform has run there."
            )
    return other


def _resting(entry: ModelEntry, by_hand: bool) -> dict[str, bool]:
    return {"is_champion": False, "withdrawn": entry.withdrawn or (by_hand and entry.is_champion)}


def champion_card(entry: ModelEntry) -> dict[str, Any]:
    """Return the facts about the champion that `bike status` and the API show."""
    current, baseline = entry.scores["test_current"], entry.scores["test_baseline"]
    return {
        "family": entry.family,
        "version": entry.version,
        "run_id": entry.run_id,
        "r2_baseline": baseline["r2"],
        "r2_current": current["r2"],
        "promoted_on": entry.promoted_on,
    }
