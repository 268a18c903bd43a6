"""The page for people at `/`, and its files. Its scripts request the data from the API's other routes."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parent.parent / "page"
SERVED_AT = "/page"
SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
"""Only this server's files may run, and browsers check for a newer page on each visit."""


class PageFiles(StaticFiles):
    """The page's files, each with the headers that keep it safe and fresh."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file with the headers."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(SAFE_HEADERS)
        return response


def add_page(app: FastAPI) -> None:
    """Serve the page at `/`, and its files at SERVED_AT."""
    files = PageFiles(directory=FOLDER)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    app.mount(SERVED_AT, files, name="page")
