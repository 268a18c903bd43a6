"""The simulated portal as an HTTP server: sockets, headers, the quota, and the faults of a connection.

Answers belong to `explore`, those of the weather service at the same address to `weather`. The standard library's
threading server is used because the faults need the socket itself.
"""

import select
import socket
import socketserver
import struct
import sys
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from bike_assets.core.portal_fields import PortalFields
from bike_assets.errors import BikeError
from bike_assets.simulator.answers import Answer, json_answer
from bike_assets.simulator.clock import Clock, Quota, QuotaState
from bike_assets.simulator.dataset import dataset_of
from bike_assets.simulator.explore import Explore, route_of
from bike_assets.simulator.faults import RATE_HEADERS, Endpoint, Fault, FaultQueue, FaultTarget
from bike_assets.simulator.publication import Publication
from bike_assets.simulator.refusals import too_many_requests
from bike_assets.simulator.weather import WEATHER_PATHS, answer_weather

MAX_REQUESTS_KEPT = 1000
POLL_SECONDS = 0.01
NO_ANSWER = 0
"""Recorded status of a request without an answer."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PortalSimulator:
    """A portal on this machine. It runs from `start` to `stop`, or inside a with statement.

    Args:
        publication: the published rows.
        dataset: identifier of the dataset.
        host: address to bind to.
        port: 0 for a free port, which a later start keeps.
        clock: the portal's time; the real one by default.
        daily_quota: requests allowed in a UTC day; None for any number.
        labels: titles of the fields in a CSV export with labels.

    Attributes:
        url: the address, once started.
        clock: the portal's time.
        requests: the last 1,000 requests: path, parameters and status (0 without an answer).
    """

    def __init__(
        self,
        publication: Publication,
        dataset: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        daily_quota: int | None = None,
        labels: PortalFields | None = None,
    ) -> None:
        self.url = ""
        self.clock = clock or Clock()
        self.requests: deque[tuple[str, dict[str, str], int]] = deque(maxlen=MAX_REQUESTS_KEPT)
        self.stopping = threading.Event()
        self._publication = publication
        self._explore = Explore(publication, dataset, dataset_of(publication.fields, labels))
        self._faults = FaultQueue()
        self._quota = Quota(daily_quota)
        self._host, self._port = host, port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "PortalSimulator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server.

        Raises:
            BikeError: the port is in use, or the address does not belong to this machine.
        """
        try:
            self._server = _Server((self._host, self._port), self)
        except OSError as error:
            raise BikeError(f"The simulator cannot listen on {self._host}:{self._port}: {error.strerror}.") from None
        self._port = self._server.server_address[1]
        self.url = f"http://{self._host}:{self._port}"
        self.stopping.clear()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and stop listening; does nothing when the server is not running."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        self._server = self._thread = None

    def span(self) -> tuple[datetime, datetime] | None:
        """Return the first and the last hour (UTC) that is published now; None when there is none."""
        return self._publication.span(self.clock.now())

    def fail(self, fault: str, times: int | None = 1, on: FaultTarget = "any") -> None:
        """Queue a fault; each request takes the first that fits.

        Args:
            fault: its name in the catalogue.
            times: number of requests that get the fault; None for all, in turn with the faults queued behind it.
            on: the endpoint that gets it.

        Raises:
            BikeError: no fault has this name, or it cannot occur at this endpoint.
            ValueError: times is below 1.
        """
        self._faults.add(fault, times, on)

    def heal(self) -> None:
        """Remove all queued faults."""
        self._faults.clear()

    def handle(self, path: str, params: dict[str, str]) -> tuple[Answer, Fault | None]:
        """Return the answer to a request, and its fault, if any."""
        now = self.clock.now()
        state = self._quota.spend(now)
        route = route_of(path)
        endpoint: Endpoint | None = route.endpoint if route else "weather" if path in WEATHER_PATHS else None
        fault = self._faults.take(endpoint) if endpoint and not state.exceeded else None
        if state.exceeded:
            answer = json_answer(429, too_many_requests(state.limit, state.reset))
        elif fault and fault.instead:
            answer = fault.instead(now)
        else:
            answer = (
                answer_weather(self._publication.weather, path, params, now)
                if endpoint == "weather"
                else self._explore.answer(route, params, now, fault)
            )
            if fault and fault.body and answer.status == 200:
                answer.parts = [fault.body(b"".join(answer.parts), route.format if route else "")]
        answer.headers = {**_rate_headers(state), **answer.headers}
        return answer, fault


def _rate_headers(state: QuotaState) -> dict[str, str | None]:
    values = state.limit, state.remaining, int(state.reset.timestamp())
    return dict(zip(RATE_HEADERS, map(str, values), strict=True))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], simulator: PortalSimulator) -> None:
        self.simulator = simulator
        self.abrupt: set[socket.socket] = set()
        """Connections to reset instead of closing them normally."""
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's method looks up the host name by DNS, which can take seconds.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.abrupt:
            self.abrupt.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "simulated-portal"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        simulator = self.server.simulator
        address = urlsplit(self.path)
        path, params = unquote(address.path), dict(parse_qsl(address.query, keep_blank_values=True))
        answer, fault = simulator.handle(path, params)
        broken = fault.connection if fault else ""
        answered = broken not in {"timeout", "reset"}
        simulator.requests.append((path, params, answer.status if answered else NO_ANSWER))
        if broken == "timeout":
            self._stay_silent(simulator.stopping)
        elif broken == "reset":
            self._reset()
        else:
            self._send(answer, cut=broken == "truncated")

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.simulator.clock.now().replace(microsecond=0), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _send(self, answer: Answer, cut: bool) -> None:
        parts: Iterable[bytes] = answer.parts
        whole = b"".join(parts) if cut or not answer.chunked else b""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            if value is not None:
                self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if cut:
            parts = [whole[: len(whole) // 2]]
            self.close_connection = True
        elif not answer.chunked:
            parts = [whole]
        for part in parts:
            self.wfile.write(_chunk(part) if answer.chunked else part)
        if answer.chunked and not cut:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _stay_silent(self, stopping: threading.Event) -> None:
        self.close_connection = True
        while not stopping.wait(POLL_SECONDS):
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.server.abrupt.add(self.connection)


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part) if part else b""
