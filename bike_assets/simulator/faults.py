"""The faults between the portal and its client, by name; names and descriptions belong to `catalogue`.

A fault replaces an answer, changes its rows, count or body, or breaks the connection, which `server` does. Changes of
the counts themselves belong to `scenarios`.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa

from bike_assets.errors import BikeError
from bike_assets.simulator.answers import Answer, json_answer
from bike_assets.simulator.catalogue import FAULTS
from bike_assets.simulator.clock import next_midnight
from bike_assets.simulator.refusals import RefusalError, in_stream, too_many_requests

Endpoint = Literal["dataset", "records", "exports", "weather"]
FaultTarget = Literal["any", "records", "exports", "weather"]
EVERYWHERE: frozenset[Endpoint] = frozenset({"dataset", "records", "exports", "weather"})
EXPORTS: frozenset[Endpoint] = frozenset({"exports"})
RECORDS: frozenset[Endpoint] = frozenset({"records"})
CALL_LIMIT = 10_000
REPEATED_EVERY = 50
PAGE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>"
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@dataclass(frozen=True)
class Fault:
    """A fault of an answer.

    Attributes:
        endpoints: where it can occur.
        instead: makes an answer that replaces the true one, from the portal's time.
        rows: changes the rows of an export.
        count: changes total_count.
        body: changes the whole body; the format is csv, json or parquet, and empty for other endpoints.
        connection: how the connection breaks; empty if it does not.
    """

    endpoints: frozenset[Endpoint] = EVERYWHERE
    instead: Callable[[datetime], Answer] | None = None
    rows: Callable[[pa.Table], pa.Table] | None = None
    count: Callable[[int], int] | None = None
    body: Callable[[bytes, str], bytes] | None = None
    connection: Literal["", "timeout", "reset", "truncated"] = ""


@dataclass
class _Pending:
    fault: Fault
    times: int | None
    on: FaultTarget


class FaultQueue:
    """The queued faults: each request takes the first that fits its endpoint."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []
        self._lock = threading.Lock()

    def add(self, name: str, times: int | None, on: FaultTarget) -> None:
        """Queue a fault.

        Args:
            name: of the catalogue.
            times: number of requests that get the fault; None for all, in turn with the faults queued behind it.
            on: the endpoint that gets it.

        Raises:
            BikeError: no fault has this name, or it cannot occur at this endpoint.
            ValueError: times is below 1.
        """
        if name not in BY_NAME:
            raise BikeError(f"There is no fault {name!r}: there are {', '.join(FAULTS)}.")
        if times is not None and times < 1:
            raise ValueError(f"{name} for {times} requests")
        fault = BY_NAME[name]
        if on != "any" and on not in fault.endpoints:
            raise BikeError(
                f"The fault {name} cannot occur on {on}: it is one of {', '.join(sorted(fault.endpoints))}."
            )
        with self._lock:
            self._pending.append(_Pending(fault, times, on))

    def take(self, endpoint: Endpoint) -> Fault | None:
        """Return the fault for a request, if any, and count the request."""
        with self._lock:
            for place, pending in enumerate(self._pending):
                if endpoint in pending.fault.endpoints and pending.on in {"any", endpoint}:
                    if pending.times is None:
                        self._pending.append(self._pending.pop(place))
                    else:
                        pending.times -= 1
                        if not pending.times:
                            del self._pending[place]
                    return pending.fault
        return None

    def clear(self) -> None:
        """Remove all queued faults."""
        with self._lock:
            self._pending.clear()


def _quota(now: datetime) -> Answer:
    reset = next_midnight(now)
    answer = json_answer(429, too_many_requests(CALL_LIMIT, reset))
    answer.headers = dict(zip(RATE_HEADERS, (str(CALL_LIMIT), "0", f"{reset:%Y-%m-%dT%H:%M:%SZ}"), strict=True))
    return answer


def _quota_without_headers(_: datetime) -> Answer:
    answer = json_answer(429, too_many_requests(CALL_LIMIT, None))
    answer.headers = dict.fromkeys(RATE_HEADERS)
    return answer


def _error(status: int, code: str, message: str) -> Callable[[datetime], Answer]:
    return lambda _: json_answer(status, {"error_code": code, "message": message})


def _cut_at_a_row(body: bytes, form: str) -> bytes:
    half = body[: len(body) // 2]
    if form == "csv":
        return half[: half.rfind(b"\n") + 1]
    if form == "json":
        return half[: half.rfind(b",\n")] + b"\n]" if b",\n" in half else b"[]"
    return half


def _with_error_inside(body: bytes, form: str) -> bytes:
    error = RefusalError(500, {"error_code": "InternalError", "message": "the backend was lost"})
    half = body[: len(body) // 2]
    return half + in_stream(error).encode()


def _unparsable(body: bytes, form: str) -> bytes:
    if form:
        return np.random.default_rng(len(body)).bytes(min(len(body), 1000))
    return json.dumps(json.loads(body))[:-1].encode() + b",]"


def _duplicated(table: pa.Table) -> pa.Table:
    places = np.arange(len(table))
    return table.take(np.sort(np.concatenate([places, places[::REPEATED_EVERY]])))


def _replaced(table: pa.Table) -> pa.Table:
    """Replace every 50th row by the one before it: rows are wrong, but their number is right."""
    places = np.arange(len(table))
    places[1::REPEATED_EVERY] -= 1
    return table.take(places)


def _without_last_field(table: pa.Table) -> pa.Table:
    return table.drop_columns(table.column_names[-1])


BY_NAME = {
    "quota": Fault(instead=_quota),
    "quota_without_headers": Fault(instead=_quota_without_headers),
    "error_500": Fault(instead=_error(500, "InternalError", "An unexpected error occurred.")),
    "error_503": Fault(instead=_error(503, "ServiceUnavailable", "The service is unavailable.")),
    "timeout": Fault(connection="timeout"),
    "reset": Fault(connection="reset"),
    "truncated": Fault(connection="truncated"),
    "truncated_clean": Fault(body=_cut_at_a_row),
    "in_stream_error": Fault(EXPORTS, body=_with_error_inside),
    "malformed_json": Fault(body=_unparsable),
    "html": Fault(instead=lambda _: Answer(200, "text/html; charset=utf-8", [PAGE])),
    "duplicate_rows": Fault(EXPORTS, rows=_duplicated),
    "replaced_rows": Fault(EXPORTS, rows=_replaced),
    "wrong_total_count": Fault(RECORDS, count=lambda total: total + max(1, total // 50)),
    "low_total_count": Fault(RECORDS, count=lambda total: max(0, total - max(1, total // 50))),
    "missing_field": Fault(EXPORTS, rows=_without_last_field),
}
