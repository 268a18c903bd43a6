"""Reports that people read: Evidently's HTML a day, the newest kept. Their figures stand in the audit tables."""

from datetime import date
from pathlib import Path

KEPT = 30
SERVED_AT = "reports"


class DriftReports:
    """HTML files below one folder; each is about 4 MB, so only the newest 30 are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, day: date) -> Path:
        """Return where the report of a day goes, and drop what is too old."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._place(day)
        others = sorted(each for each in self.folder.glob("drift-*.html") if each != path)
        for old in others[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)
        return path

    def metadata(self, day: date, address: str) -> dict:
        """Return the metadata that leads to a day's report, if it has one.

        Args:
            day: the day.
            address: of the API, which serves the reports.
        """
        import dagster as dg

        path = self._place(day)
        if not path.exists():
            return {}
        return {"report": dg.MetadataValue.url(f"{address}/{SERVED_AT}/{path.name}"), "report_file": str(path)}

    def _place(self, day: date) -> Path:
        return self.folder / f"drift-{day}.html"
