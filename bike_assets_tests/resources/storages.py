"""Where a registry or reports can lie, for tests that have to hold for each: a folder, or a bucket of the emulator.

Beside what the platform sees of it, a storage shows what is stored, byte by byte; it can be sent to other processes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.gcs_registry import GcsRegistry
from bike_assets.resources.gcs_reports import GcsReports
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.registry import Registry
from bike_assets.resources.reports import DriftReports, LocalReports


@dataclass(frozen=True)
class Folder:
    """A folder on the disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def registry(self) -> Registry:
        return LocalRegistry(self.path)

    def reports(self) -> DriftReports:
        return LocalReports(self.path)

    def names(self) -> list[str]:
        """What is stored; the lock file is no part of it."""
        found = self.path.rglob("*")
        return sorted(str(each.relative_to(self.path)) for each in found if each.is_file() and each.name != ".lock")

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()


@dataclass(frozen=True)
class InBucket:
    """A prefix of a bucket."""

    bucket: str
    endpoint: str
    prefix: str = "stored"

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.prefix}"

    def objects(self) -> BucketFolder:
        return BucketFolder(self.bucket, self.prefix, endpoint=self.endpoint)

    def registry(self) -> Registry:
        return GcsRegistry(self.objects())

    def reports(self) -> DriftReports:
        return GcsReports(self.objects())

    def names(self) -> list[str]:
        return self.objects().names()

    def read(self, name: str) -> bytes:
        content = self.objects().read(name)
        assert content is not None, name
        return content

    def write(self, name: str, content: bytes) -> None:
        objects = self.objects()
        objects.replace(name, content, objects.generation(name) or 0)

    def remove(self, name: str) -> None:
        self.objects().remove(name)


Storage = Folder | InBucket
MakeStorage = Callable[[], Storage]
