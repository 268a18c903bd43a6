"""Reports that people read: Evidently's HTML a day, the newest kept. Their figures stand in the audit tables.

Here are what every place to keep them offers, and the folder. The bucket is `gcs_reports`; `profiles` chooses.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Protocol

KEPT = 30
SERVED_AT = "reports"
BEGINNING, END = "drift-", ".html"


class DriftReports(Protocol):
    """What every place to keep reports offers; each is about 4 MB, so only the newest 30 are kept."""

    def writing(self, day: date) -> AbstractContextManager[Path]:
        """Give the body a file to write a day's report to, and keep it when the body ends well.

        A body that fails, or writes nothing, leaves what was there. Of the others, what is too old is dropped.
        """
        ...

    def metadata(self, day: date, address: str) -> dict[str, Any]:
        """Return the metadata that leads to a day's report, if it has one.

        Args:
            day: the day.
            address: of the API, which serves the reports.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """Return a report by the name of its file; None where there is none of that name."""
        ...


class LocalReports:
    """Reports below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, day: date) -> Iterator[Path]:
        """Give the body a file beside the day's report, which it replaces at the end; see `DriftReports.writing`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = report_name(day)
        temporary = self.folder / f".{name}.tmp"
        try:
            yield temporary
            if temporary.exists():
                temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        for old in too_old((each.name for each in self.folder.iterdir()), name):
            (self.folder / old).unlink(missing_ok=True)

    def metadata(self, day: date, address: str) -> dict[str, Any]:
        """Return the metadata that leads to a day's report; see `DriftReports.metadata`."""
        path = self.folder / report_name(day)
        return leading_to(path.name, address, str(path)) if path.exists() else {}

    def read(self, name: str) -> bytes | None:
        """Return a report by the name of its file; see `DriftReports.read`."""
        path = self.folder / name
        return path.read_bytes() if is_report(name) and path.is_file() else None


def report_name(day: date) -> str:
    """Return the name of a day's report."""
    return f"{BEGINNING}{day}{END}"


def is_report(name: str) -> bool:
    """Whether a name is that of a report, and so no way out of the place where they are."""
    return name.startswith(BEGINNING) and name.endswith(END) and "/" not in name


def too_old(names: Iterable[str], written: str) -> list[str]:
    """Return the reports that make room for the one that was written."""
    others = sorted(name for name in names if is_report(name) and name != written)
    return others[: -(KEPT - 1)]


def leading_to(name: str, address: str, place: str) -> dict[str, Any]:
    """Return the metadata that leads to a report: its page, and where its file is."""
    import dagster as dg

    return {"report": dg.MetadataValue.url(f"{address}/{SERVED_AT}/{name}"), "report_file": place}
