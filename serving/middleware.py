"""The middleware of every request: its id, its limits, its line in the log, its metrics.

It is a plain ASGI application around the other one, so that error answers pass it too.
"""

import asyncio
import os
import re
import time
from urllib.parse import quote

import structlog
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bike_assets.settings import Settings
from serving.logs import log_request
from serving.metrics import Metrics
from serving.refusals import problem
from serving.wire import Refusal

UNMATCHED = "unmatched"
_REQUEST_ID = re.compile(rb"[\w.-]{1,64}", re.ASCII)
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
log = structlog.get_logger("serving")


class RequestMiddleware:
    """Adds id, limits, log and metrics to the requests of an application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._max_bytes, self._body_seconds = settings.api_max_body_bytes, settings.api_timeout_seconds
        self._log_format = settings.log_format

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; pass events of the server's start and end on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        sent = dict(scope["headers"])
        request_id = _request_id(sent.get(b"x-request-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id), *_SECURITY_HEADERS]
            await send(message)

        try:
            if int(sent.get(b"content-length", b"0")) > self._max_bytes:
                refusal = self._too_large()
                response = problem(refusal.status_code, refusal.error, refusal.detail, request_id.decode())
                await response(scope, receive, send_with_headers)
            else:
                await self._app(scope, self._limited(receive), send_with_headers)
        except Exception:
            log.exception("request failed", request_id=request_id.decode())
        finally:
            seconds = time.perf_counter() - began
            self._metrics.observe_request(scope["method"], _template(scope), status, seconds)
            milliseconds = round(seconds * 1000, 2)
            log_request(self._log_format, scope["method"], _path(scope), status, milliseconds, request_id.decode())

    def _limited(self, receive: Receive) -> Receive:
        """Limit the size and the time of a request's body."""
        arrived, complete = 0, False

        async def limited() -> Message:
            nonlocal arrived, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(self._body_seconds):
                    message = await receive()
            except TimeoutError:
                detail = f"The request's body did not arrive within {self._body_seconds:g} s."
                raise Refusal(408, "body_too_slow", detail, headers={"Connection": "close"}) from None
            arrived += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if arrived > self._max_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> Refusal:
        detail = f"The request's body is larger than {self._max_bytes:,} bytes: send fewer records per request."
        return Refusal(413, "body_too_large", detail)


def _request_id(sent: bytes) -> bytes:
    """Return the client's request id if it is valid, else a new one."""
    return sent if _REQUEST_ID.fullmatch(sent) else os.urandom(16).hex().encode()


def _path(scope: Scope) -> bytes:
    """Return the path as the client sent it."""
    return scope.get("raw_path") or quote(scope["path"]).encode()


def _template(scope: Scope) -> str:
    """Return the route's template, never the path: a metric's label must have few values."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return scope["root_path"] if isinstance(scope.get("endpoint"), StaticFiles) else UNMATCHED
