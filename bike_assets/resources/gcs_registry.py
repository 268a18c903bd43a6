"""The registry in a bucket: summary.json is replaced only where it is still the generation that the change rests on.

What a registry offers belongs to `registry`, what a summary is to `core.summary`, talking to the service to `gcs`.
"""

from functools import partial
from typing import TYPE_CHECKING

from bike_assets.core.summary import ModelEntry, Summary, added, continued, promoted, read_summary, written
from bike_assets.errors import StepFailedError
from bike_assets.resources.gcs import BucketFolder, ObjectChangedError
from bike_assets.resources.registry import SUMMARY, Change, cannot_be_served, model_place, served_model

if TYPE_CHECKING:
    from bike_assets.core.families.base import Trained
    from bike_assets.core.families.served import ServedModel

CONTENDING_SECONDS = 60.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 2.0


class GcsRegistry:
    """The registry below a prefix of a bucket.

    Args:
        objects: the objects below that prefix.
        contending_seconds: how long a change is tried again while others replace the summary.
    """

    def __init__(self, objects: BucketFolder, contending_seconds: float = CONTENDING_SECONDS) -> None:
        self.objects, self._contending_seconds = objects, contending_seconds

    def read(self) -> Summary:
        """Return the summary as it stands; empty before the first training.

        Raises:
            BikeError: summary.json is not what it has to be, there is no such bucket, or the service refuses.
            StepFailedError: the service does not answer.
        """
        content = self.objects.read(SUMMARY)
        return Summary() if content is None else read_summary(content, self.objects.address(SUMMARY))

    def state(self) -> tuple[int, ...]:
        """Return what changes when the summary does: its generation."""
        generation = self.objects.generation(SUMMARY)
        return () if generation is None else (generation,)

    def write_model(self, family: str, content: bytes, sha256: str) -> str:
        """Store a served file under its content and return its place, relative to the registry."""
        relative = model_place(family, sha256)
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
        """Become the summary of another registry, whose files are here already; see `core.summary.continued`.

        Raises:
            BikeError: there are versions here, or later promotions, that the other has not.
        """
        self._change(partial(continued, other=summary, registry=str(self.objects)))

    def load(self, entry: ModelEntry) -> "ServedModel":
        """Load the file that serves a version; see `Registry.load`."""
        return served_model(entry, self._content(entry), self.objects.address(entry.model_file))

    def trained(self, entry: ModelEntry) -> "Trained":
        """Return what a training made; see `Registry.trained`."""
        from bike_assets.core.families.base import Trained

        return Trained(self._content(entry), entry.counters)

    def _content(self, entry: ModelEntry) -> bytes:
        content = self.objects.read(entry.model_file)
        if content is None:
            raise cannot_be_served(entry, self.objects.address(entry.model_file), "there is no such object")
        return content

    def _change(self, change: Change) -> None:
        """Change the summary, again from the start while others were quicker.

        Raises:
            StepFailedError: others were quicker all the time.
        """
        import stamina

        tries = stamina.retry_context(
            on=ObjectChangedError,
            attempts=None,
            timeout=self._contending_seconds,
            wait_initial=FIRST_WAIT_SECONDS,
            wait_max=LONGEST_WAIT_SECONDS,
            wait_jitter=FIRST_WAIT_SECONDS,
        )
        try:
            for attempt in tries:
                with attempt:
                    self._try_to_change(change)
        except ObjectChangedError:
            raise StepFailedError(
                f"{self.objects.address(SUMMARY)} was replaced by others again and again for "
                f"{self._contending_seconds:g} s, and this change was not made: try again later."
            ) from None

    def _try_to_change(self, change: Change) -> None:
        # The generation first: what is read after it is that one or a newer one, and of a newer one the write is
        # refused. The other way round, a change in between would be lost.
        generation = self.objects.generation(SUMMARY)
        before = self.read()
        after = change(before)
        if after != before:
            self.objects.replace(SUMMARY, written(after), generation or 0)
