"""Serves the drift reports at `/reports`, from the home or from the bucket. The asset graph writes them."""

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

from bike_assets.resources.reports import REPORTS_PATH, DriftReports, LocalReports
from serving.wire import Refusal


def add_reports(app: FastAPI, reports: DriftReports) -> None:
    """Serve the reports by file name."""
    if isinstance(reports, LocalReports):
        app.mount(f"/{REPORTS_PATH}", StaticFiles(directory=reports.folder, check_dir=False), name=REPORTS_PATH)
        return

    @app.api_route(f"/{REPORTS_PATH}/{{name}}", methods=["GET", "HEAD"], include_in_schema=False)
    def report(name: str) -> Response:
        content = reports.read(name)
        if content is None:
            raise Refusal(404, "unknown_report", f"There is no report {name!r}.")
        return Response(content, media_type="text/html")
