"""Copies a home's files into the bucket: served models, summary.json and drift reports.

Their meaning belongs to `core.summary`, `resources.registry` and `resources.reports`.
"""

import hashlib
from pathlib import Path

from bike_assets.commands.copy.comparison import Comparison
from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.errors import BikeError
from bike_assets.home.record import Home
from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.gcs_registry import GcsRegistry
from bike_assets.resources.registry import SUMMARY
from bike_assets.resources.reports import is_report

HTML = "text/html"


def refuse_broken_models(home: Home, summary: Summary) -> None:
    """Refuse a home whose model files are not those that were registered.

    Raises:
        BikeError: a file is missing or differs; the message names each.
    """
    broken = [error for entry in summary.models if (error := _model_error(home, entry))]
    if broken:
        raise BikeError(f"{'; '.join(broken)}: nothing was copied. Bring the file back, as from a backup of the home.")


def _model_error(home: Home, entry: ModelEntry) -> str | None:
    path = home.registry / entry.model_file
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"version {entry.version}: {path} cannot be read ({error.strerror})"
    return None if _sha256(content) == entry.sha256 else f"version {entry.version}: {path} is not what was registered"


def copy_models(home: Home, summary: Summary, objects: BucketFolder, send: bool) -> Comparison:
    """Send the model files that the target lacks, and compare all of them with their SHA-256."""
    found = Comparison("model files")
    for name, sha256 in {entry.model_file: entry.sha256 for entry in summary.models}.items():
        found.here += 1
        there = objects.read(name)
        if there is None and send:
            objects.replace(name, (home.registry / name).read_bytes(), generation=0)
            there = objects.read(name)
            found.sent += 1
        found.there += there is not None
        if there is None or _sha256(there) != sha256:
            found.differences.append(f"{objects.address(name)} {'is another file' if there else 'is missing'}")
    return found


def copy_summary(summary: Summary, registry: GcsRegistry, send: bool) -> Comparison:
    """Replace the target's summary.json by the home's.

    Raises:
        BikeError: the target has versions or promotions that the home lacks.
    """
    found = Comparison("versions", here=len(summary.models))
    before = registry.read()
    if send and before != summary:
        registry.take_over(summary)
        found.sent = len(summary.models)
    after = registry.read()
    found.there = len(after.models)
    found.differences = [] if after == summary else [registry.objects.address(SUMMARY)]
    return found


def copy_reports(home: Home, objects: BucketFolder, send: bool) -> Comparison:
    """Send the drift reports that the target lacks or that differ."""
    found = Comparison("reports")
    for path in sorted(each for each in _files(home.reports) if is_report(each.name)):
        content, there = path.read_bytes(), objects.read(path.name)
        if there != content and send:
            objects.replace(path.name, content, objects.generation(path.name) or 0, HTML)
            there = objects.read(path.name)
            found.sent += 1
        found.here += 1
        found.there += there is not None
        if there != content:
            found.differences.append(objects.address(path.name))
    return found


def _files(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
