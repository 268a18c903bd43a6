"""What a portal's answer says, and whether it can be believed. Asking belongs to `portal`."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd

from bike_assets.errors import UnreliableAnswerError

if TYPE_CHECKING:
    import pyarrow as pa

INTERRUPTED = b"Streaming interrupted"
SHOWN_BYTES = 300


@dataclass(frozen=True)
class Reply:
    """A whole HTTP answer."""

    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """Its body, read as JSON."""
        return json.loads(self.body)


def whole_body(response: httpx.Response, seconds: float) -> bytes:
    """Read a streamed body to its end, within a time for the whole of it."""
    deadline, chunks = time.monotonic() + seconds, []
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the body did not end in time", request=response.request)
    return b"".join(chunks)


def read_parquet(reply: Reply, fields: list[str]) -> "pa.Table":
    """Return the fields of a Parquet export.

    Raises:
        UnreliableAnswerError: it is none, it was broken off, or a field is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    body, content_type = reply.body, reply.headers.get("content-type", "")
    if INTERRUPTED in body:
        raise UnreliableAnswerError(f"The portal broke off its export: {shown(body[body.index(INTERRUPTED) :])}.")
    if content_type.startswith("text/"):
        raise UnreliableAnswerError(f"The portal's export is {content_type}, not Parquet: {shown(body)}.")
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        missing = [name for name in fields if name not in file.schema_arrow.names]
        if missing:
            found = ", ".join(file.schema_arrow.names)
            raise UnreliableAnswerError(f"The portal's export lacks {', '.join(missing)} (found: {found}).")
        return file.read(columns=fields)
    except (pa.ArrowException, OSError) as error:
        raise UnreliableAnswerError(
            f"The portal's export of {len(body):,} bytes is not readable Parquet ({str(error).splitlines()[0]})."
        ) from None


def told(reply: Reply) -> str:
    """Return what the portal says of an error, on one line: the field's name differs between kinds of errors."""
    with suppress(ValueError, AttributeError):
        body = reply.json()
        return str(body.get("message") or body.get("error") or body).rstrip(". ")
    return shown(reply.body)


def shown(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    return " ".join(body[:SHOWN_BYTES].decode("utf-8", "replace").split()).rstrip(". ") or "an empty answer"


def server_time(reply: Reply) -> datetime:
    """Return when the portal answered, by its own clock where it says so."""
    with suppress(KeyError, ValueError, TypeError):
        return parsedate_to_datetime(reply.headers["date"])
    return pd.Timestamp.now(tz="UTC").to_pydatetime()


def seconds_until_reset(reply: Reply) -> float | None:
    """Return how long it is until the quota is reset: portals say it as an epoch, a date, or seconds to wait."""
    now = server_time(reply)
    readers: tuple[Callable[[], float], ...] = (
        lambda: float(reply.headers["retry-after"]),
        lambda: float(reply.headers["x-ratelimit-reset"]) - now.timestamp(),
        lambda: (_instant(reply.headers["x-ratelimit-reset"]) - now).total_seconds(),
        lambda: (_instant(reply.json()["reset_time"]) - now).total_seconds(),
    )
    for read in readers:
        with suppress(KeyError, ValueError, TypeError, AttributeError):
            return max(read(), 0.0)
    return None


def _instant(text: str) -> datetime:
    instant = pd.Timestamp(text)
    return (instant.tz_localize("UTC") if instant.tz is None else instant).to_pydatetime()
