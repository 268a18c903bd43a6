"""The registry in a bucket: it replaces summary.json only if its generation is still the one that the change read.

The interface belongs to `registry`, the format of a summary to `core.summary`, requests to the service to `gcs`.
"""

from functools import partial
from typing import TYPE_CHECKING

from bike_assets.core.summary import ModelEntry, Summary, added, continued, promoted, read_summary, summary_to_json
from bike_assets.errors import StepFailedError
from bike_assets.resources.gcs import BucketFolder, ObjectChangedError
from bike_assets.resources.registry import SUMMARY, SummaryChange, model_path, served_model, serving_error

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

CONTENTION_SECONDS = 60.0
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.05, 2.0


class GcsRegistry:
    """The registry below a prefix of a bucket.

    Args:
        objects: the objects below that prefix.
        contention_seconds: how long to retry a change while other writers replace the summary.
    """

    def __init__(self, objects: BucketFolder, contention_seconds: float = CONTENTION_SECONDS) -> None:
        self.objects, self._contention_seconds = objects, contention_seconds

    def read(self) -> Summary:
        """Return the current summary; empty before the first training.

        Raises:
            BikeError: summary.json is invalid, the bucket does not exist, or the service refuses.
            StepFailedError: the service does not answer.
        """
        content = self.objects.read(SUMMARY)
        return Summary() if content is None else read_summary(content, self.objects.address(SUMMARY))

    def state(self) -> tuple[int, ...]:
        """Return the generation of the summary, which changes with it."""
        generation = self.objects.generation(SUMMARY)
        return () if generation is None else (generation,)

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a model file under the hash of its content and return its path, relative to the registry."""
        relative = model_path(family, sha256)
        if self.objects.generation(relative) is None:
            self.objects.replace(relative, content, generation=0)
        return relative

    def add(self, entry: ModelEntry) -> None:
        """Add a trained version; see `Registry.add`."""
        self._change(partial(added, entry=entry, registry=str(self.objects)))

    def promote(self, version: int, day: str, by_hand: bool = False) -> None:
        """Make a version the champion; see `Registry.promote`."""
        self._change(partial(promoted, version=version, day=day, by_hand=by_hand, registry=str(self.objects)))

    def take_over(self, summary: Summary) -> None:
        """Take the summary of another registry, whose files are already here; see `core.summary.continued`.

        Raises:
            BikeError: this registry has versions or later promotions that the other lacks.
        """
        self._change(partial(continued, other=summary, registry=str(self.objects)))

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the model file of a version; see `Registry.load`."""
        return served_model(entry, self._content(entry), self.objects.address(entry.model_file))

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return the result of a training; see `Registry.trained`."""
        from bike_assets.core.families.base import Trained

        return Trained(self._content(entry), entry.counters)

    def _content(self, entry: ModelEntry) -> bytes:
        content = self.objects.read(entry.model_file)
        if content is None:
            raise serving_error(entry, self.objects.address(entry.model_file), "there is no such object")
        return content

    def _change(self, change: SummaryChange) -> None:
        """Change the summary; start again whenever another writer replaced it first.

        Raises:
            StepFailedError: other writers were first until the time was over.
        """
        import stamina

        tries = stamina.retry_context(
            on=ObjectChangedError,
            attempts=None,
            timeout=self._contention_seconds,
            wait_initial=FIRST_WAIT_SECONDS,
            wait_max=MAX_WAIT_SECONDS,
            wait_jitter=FIRST_WAIT_SECONDS,
        )
        try:
            for attempt in tries:
                with attempt:
                    self._try_to_change(change)
        except ObjectChangedError:
            raise StepFailedError(
                f"{self.objects.address(SUMMARY)} was replaced by other writers for "
                f"{self._contention_seconds:g} s, and this change was not stored: try again later."
            ) from None

    def _try_to_change(self, change: SummaryChange) -> None:
        # Get the generation first. What is read afterwards is that generation or a newer one; if it is newer, the
        # service refuses the write. In the other order, a change in between would be lost.
        generation = self.objects.generation(SUMMARY)
        before = self.read()
        after = change(before)
        if after != before:
            self.objects.replace(SUMMARY, summary_to_json(after), generation or 0)
