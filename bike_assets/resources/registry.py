"""The registry: summary.json, which says what was trained and who is champion, and the files that serve.

Replacing summary.json is the commit of every change; MLflow follows this registry and never leads it. Here is what
every place to store it offers. What a summary is belongs to `core.summary`, storing to `local_registry` and
`gcs_registry`, the choice of a place to `profiles`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.errors import BikeError

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

SUMMARY = "summary.json"
Change = Callable[[Summary], Summary]


class Registry(Protocol):
    """What every place to store it offers."""

    def read(self) -> Summary:
        """Return the summary as it stands; empty before the first training.

        Raises:
            BikeError: summary.json is not what it has to be, or cannot be reached.
        """
        ...

    def state(self) -> tuple[int, ...]:
        """Return what changes when the summary does, without reading it."""
        ...

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a served file under its content and return its place, relative to the registry."""
        ...

    def add(self, entry: ModelEntry) -> None:
        """Add a trained version; the same training again changes nothing.

        Raises:
            BikeError: another training has that version's number.
        """
        ...

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
        ...

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the file that serves a version.

        Raises:
            BikeError: the file is missing or is not the one that was registered.
        """
        ...

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return what a training made.

        Raises:
            BikeError: the file is missing.
        """
        ...


def model_place(family: str, sha256: str) -> str:
    """Return where a served file lies, relative to the registry."""
    return f"models/{family}-{sha256[:16]}.onnx"


def served_model(entry: ModelEntry, content: bytes, place: str) -> "ServedModel":
    """Return a version ready to serve.

    Args:
        entry: the version.
        content: its file.
        place: where that was found, for the message.

    Raises:
        BikeError: the file is not the one that was registered.
    """
    from bike_assets.core.families.served import ServedModel

    try:
        return ServedModel(content, entry.sha256, entry.counters)
    except ValueError as error:
        raise cannot_be_served(entry, place, error) from None


def cannot_be_served(entry: ModelEntry, place: str, why: object) -> BikeError:
    """Return the refusal of a version whose file is missing or another one."""
    return BikeError(f"version {entry.version} cannot be served from {place}: {why}.")
