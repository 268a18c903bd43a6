"""Stores the drift reports: one HTML page by Evidently per day. Their figures are in the audit tables.

This module has the interface and the reports in a folder. Reports in a bucket belong to `gcs_reports`, the choice to
`profiles`.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Protocol

MAX_REPORTS = 30
REPORTS_PATH = "reports"
PREFIX, SUFFIX = "drift-", ".html"


class DriftReports(Protocol):
    """The interface of every store of reports. A report has about 4 MB, so only the newest 30 are kept."""

    def writing(self, day: date) -> AbstractContextManager[Path]:
        """Yield a file for a day's report; store the file if the body succeeds, and delete reports that are too old.

        If the body fails or writes nothing, the day's old report stays.
        """
        ...

    def metadata(self, day: date, address: str) -> dict[str, Any]:
        """Return metadata with the links to a day's report; empty if there is none.

        Args:
            day: the day.
            address: address of the API, which serves the reports.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """Return a report by its file name; None if there is none."""
        ...


class LocalReports:
    """Reports below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, day: date) -> Iterator[Path]:
        """Yield a temporary file, which then replaces the day's report; see `DriftReports.writing`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = report_name(day)
        temporary = self.folder / f".{name}.tmp"
        try:
            yield temporary
            if temporary.exists():
                temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        for old in expired_reports((each.name for each in self.folder.iterdir()), name):
            (self.folder / old).unlink(missing_ok=True)

    def metadata(self, day: date, address: str) -> dict[str, Any]:
        """Return metadata with the links to a day's report; see `DriftReports.metadata`."""
        path = self.folder / report_name(day)
        return report_links(path.name, address, str(path)) if path.exists() else {}

    def read(self, name: str) -> bytes | None:
        """Return a report by its file name; see `DriftReports.read`."""
        path = self.folder / name
        return path.read_bytes() if is_report(name) and path.is_file() else None


def report_name(day: date) -> str:
    """Return the name of a day's report."""
    return f"{PREFIX}{day}{SUFFIX}"


def is_report(name: str) -> bool:
    """Whether a name is a report's; such a name cannot lead out of the reports' folder."""
    return name.startswith(PREFIX) and name.endswith(SUFFIX) and "/" not in name


def expired_reports(names: Iterable[str], written: str) -> list[str]:
    """Return the old reports to delete after a new one was written."""
    others = sorted(name for name in names if is_report(name) and name != written)
    return others[: -(MAX_REPORTS - 1)]


def report_links(name: str, address: str, place: str) -> dict[str, Any]:
    """Return metadata with the links to a report: its page and its file."""
    import dagster as dg

    return {"report": dg.MetadataValue.url(f"{address}/{REPORTS_PATH}/{name}"), "report_file": place}
