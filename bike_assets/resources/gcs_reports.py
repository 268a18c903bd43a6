"""The drift reports in a bucket: each is written to a local file first and uploaded in one request.

The interface belongs to `reports`, requests to the service to `gcs`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.reports import expired_reports, is_report, report_links, report_name


class GcsReports:
    """Reports below a prefix of a bucket."""

    def __init__(self, objects: BucketFolder) -> None:
        self.objects = objects

    @contextmanager
    def writing(self, day: date) -> Iterator[Path]:
        """Yield a local file and upload it afterwards; see `DriftReports.writing`.

        Raises:
            BikeError: the bucket does not exist, or the service refuses.
            StepFailedError: the service does not answer, or another run stored the same day's report meanwhile.
        """
        name = report_name(day)
        with tempfile.TemporaryDirectory(prefix="bike-report-") as folder:
            path = Path(folder) / name
            yield path
            if path.exists():
                generation = self.objects.generation(name) or 0
                self.objects.replace(name, path.read_bytes(), generation, "text/html")
        for old in expired_reports(self.objects.names(), name):
            self.objects.remove(old)

    def metadata(self, day: date, address: str) -> dict[str, Any]:
        """Return metadata with the links to a day's report; see `DriftReports.metadata`."""
        name = report_name(day)
        is_there = self.objects.generation(name) is not None
        return report_links(name, address, self.objects.address(name)) if is_there else {}

    def read(self, name: str) -> bytes | None:
        """Return a report by its file name; see `DriftReports.read`."""
        return self.objects.read(name) if is_report(name) else None
