"""The registry in a folder: a lock file excludes other writers, and a rename makes each change atomic for readers.

The interface belongs to `registry`, the format of a summary to `core.summary`.
"""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bike_assets.core.summary import ModelEntry, Summary, added, promoted, read_summary, summary_to_json
from bike_assets.resources.registry import SUMMARY, SummaryChange, model_path, served_model, serving_error

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

LOCK_TIMEOUT_SECONDS = 60


class LocalRegistry:
    """The registry in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Summary:
        """Return the current summary; empty before the first training.

        Raises:
            BikeError: summary.json is invalid.
        """
        path = self.folder / SUMMARY
        try:
            return read_summary(path.read_bytes(), str(path))
        except FileNotFoundError:
            return Summary()

    def state(self) -> tuple[int, ...]:
        """Return the modification time, inode and size of the summary's file, which change with it."""
        try:
            state = (self.folder / SUMMARY).stat()
        except FileNotFoundError:
            return ()
        return state.st_mtime_ns, state.st_ino, state.st_size

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a model file under the hash of its content and return its path, relative to the registry."""
        relative = model_path(family, sha256)
        path = self.folder / relative
        if not path.exists():
            _replace(path, content)
        return relative

    def add(self, entry: ModelEntry) -> None:
        """Add a trained version; see `Registry.add`."""
        self._change(partial(added, entry=entry, registry=str(self.folder)))

    def promote(self, version: int, day: str, by_hand: bool = False) -> None:
        """Make a version the champion; see `Registry.promote`."""
        self._change(partial(promoted, version=version, day=day, by_hand=by_hand, registry=str(self.folder)))

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the model file of a version; see `Registry.load`."""
        return served_model(entry, self._content(entry), str(self.folder / entry.model_file))

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return the result of a training; see `Registry.trained`."""
        from bike_assets.core.families.base import Trained

        return Trained(self._content(entry), entry.counters)

    def _content(self, entry: ModelEntry) -> bytes:
        path = self.folder / entry.model_file
        try:
            return path.read_bytes()
        except OSError as error:
            raise serving_error(entry, str(path), error) from None

    def _change(self, change: SummaryChange) -> None:
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock", timeout=LOCK_TIMEOUT_SECONDS):
            before = self.read()
            after = change(before)
            if after != before:
                _replace(self.folder / SUMMARY, summary_to_json(after))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
