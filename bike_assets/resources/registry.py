"""The registry: summary.json, which lists the trained versions and the champion, and the model files.

Every change is committed by replacing summary.json; MLflow follows this registry and never leads it. This module has
the interface. The format of a summary belongs to `core.summary`, storing to `local_registry` and `gcs_registry`, the
choice between them to `profiles`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.errors import BikeError

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

SUMMARY = "summary.json"
SummaryChange = Callable[[Summary], Summary]


class Registry(Protocol):
    """The interface of every registry."""

    def read(self) -> Summary:
        """Return the current summary; empty before the first training.

        Raises:
            BikeError: summary.json is invalid or cannot be reached.
        """
        ...

    def state(self) -> tuple[int, ...]:
        """Return a value that changes when the summary changes, without reading the summary."""
        ...

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a model file under the hash of its content and return its path, relative to the registry."""
        ...

    def add(self, entry: ModelEntry) -> None:
        """Add a trained version; adding the same training again changes nothing.

        Raises:
            BikeError: another training has this version number.
        """
        ...

    def promote(self, version: int, day: str, by_hand: bool = False) -> None:
        """Make a version the champion; promoting the champion changes nothing.

        Args:
            version: number of the version.
            day: newest local day of counts.
            by_hand: whether the user chose the version. The version that it replaces is then withdrawn: no evaluation
                promotes it again.

        Raises:
            BikeError: the version does not exist.
        """
        ...

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the model file of a version.

        Raises:
            BikeError: the file is missing or differs from the registered one.
        """
        ...

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return the result of a training.

        Raises:
            BikeError: the file is missing.
        """
        ...


def model_path(family: str, sha256: str) -> str:
    """Return the path of a model file, relative to the registry."""
    return f"models/{family}-{sha256[:16]}.onnx"


def served_model(entry: ModelEntry, content: bytes, place: str) -> "ServedModel":
    """Return a version that is ready to serve.

    Args:
        entry: the version.
        content: content of its model file.
        place: where the file was found, for the error message.

    Raises:
        BikeError: the file differs from the registered one.
    """
    from bike_assets.core.families.served import ServedModel

    try:
        return ServedModel(content, entry.sha256, entry.counters)
    except ValueError as error:
        raise serving_error(entry, place, error) from None


def serving_error(entry: ModelEntry, place: str, why: object) -> BikeError:
    """Return the error for a version whose file is missing or differs from the registered one."""
    return BikeError(f"version {entry.version} cannot be served from {place}: {why}.")
