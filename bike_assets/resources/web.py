"""GET requests to public services: time limits, retries, and what an error status means.

The requests and the content of the answers belong to the clients: `portal` and `open_meteo`.
"""

import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NoReturn

import httpx
import pandas as pd
import stamina
import stamina.instrumentation
from stamina.instrumentation import RetryDetails

from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError

MAX_BACKOFF_SECONDS = 30.0
CONNECT_SECONDS = 10.0
BODY_TIMEOUTS = 10
"""The whole body may take this many timeouts, so that an endless slow answer fails too."""
EXCERPT_BYTES = 300

log = logging.getLogger(__name__)


def _log_retry(details: RetryDetails) -> None:
    log.warning("%s The next attempt follows in %.1f s.", details.caused_by, details.wait_for)


stamina.instrumentation.set_on_retry_hooks([_log_retry])


class QuotaSpentError(SourceUnavailableError):
    """The service's quota is used up; `wait` is the seconds until its reset, if the service reports them."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(SourceUnavailableError):
    """The service refuses this request; a retry cannot help."""


class UnreachableError(SourceUnavailableError):
    """No connection to the service: `reason` says why, `resolves` whether the host name resolves."""

    def __init__(self, address: str, reason: str, resolves: bool) -> None:
        super().__init__(f"{address} cannot be reached: {reason}.")
        self.reason, self.resolves = reason, resolves


@dataclass(frozen=True)
class Reply:
    """An HTTP answer with its whole body."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> Any:
        """Parse the body as JSON."""
        return json.loads(self.body)


def retry_attempts(max_attempts: int, backoff_seconds: float, quota_wait_seconds: float) -> Iterator[stamina.Attempt]:
    """Yield attempts with growing, jittered waits, as long as a retry may help.

    Args:
        max_attempts: maximum number of attempts.
        backoff_seconds: the wait before the second attempt.
        quota_wait_seconds: the longest wait for a quota's reset.
    """

    def wait_before_next(error: Exception) -> bool | float:
        """Return whether to retry, or the seconds to wait first if a quota is reset soon."""
        if isinstance(error, RefusedError) or not isinstance(error, SourceUnavailableError | UnreliableAnswerError):
            return False
        if isinstance(error, QuotaSpentError) and error.wait is not None:
            return max(error.wait, backoff_seconds) if error.wait <= quota_wait_seconds else False
        return True

    yield from stamina.retry_context(
        on=wait_before_next,
        attempts=max_attempts,
        timeout=None,
        wait_initial=backoff_seconds,
        wait_max=MAX_BACKOFF_SECONDS,
        wait_jitter=backoff_seconds,
    )


def open_client(seconds: float, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """Return a client that fails after some seconds without an answer."""
    return httpx.Client(
        timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        headers=headers,
        follow_redirects=True,
        verify=_certificates(),
    )


def get(client: httpx.Client, address: str, path: str, parameters: Mapping[str, str], seconds: float) -> Reply:
    """Return an answer, successful or not, with its whole body.

    Args:
        client: the HTTP client.
        address: scheme, host and port; errors name it.
        path: the path of the request.
        parameters: the query parameters.
        seconds: the longest silence; the whole body may take ten times as long.

    Raises:
        UnreachableError: the client could not connect.
        SourceUnavailableError: no answer within the time limit, or the connection was lost.
        UnreliableAnswerError: the server broke off its answer.
    """
    try:
        with client.stream("GET", address + path, params=dict(parameters)) as response:
            body = _whole_body(response, BODY_TIMEOUTS * seconds)
    except httpx.ConnectError as error:
        resolves = not _is_unresolved(error)
        reason = _reason(error) if resolves else "the name does not resolve"
        raise UnreachableError(address, reason, resolves) from None
    except httpx.TimeoutException:
        raise SourceUnavailableError(f"{address} did not answer in time.") from None
    except httpx.RemoteProtocolError as error:
        raise UnreliableAnswerError(f"{address} broke off its answer: {error}.") from None
    except httpx.HTTPError as error:
        raise SourceUnavailableError(f"{address} broke the connection: {_reason(error)}.") from None
    return Reply(response.status_code, response.headers, body)


def raise_for_reply(address: str, reply: Reply) -> NoReturn:
    """Raise the error for an unsuccessful answer.

    Raises:
        QuotaSpentError: too many requests.
        SourceUnavailableError: the service failed.
        RefusedError: the request is wrong, or not allowed.
    """
    message = error_message(reply)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = seconds_until_reset(reply)
        when = f"; it is reset in {wait:,.0f} s" if wait is not None else ""
        raise QuotaSpentError(f"{address} refuses more requests for now: {message}{when}.", wait)
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SourceUnavailableError(f"{address} failed with HTTP {reply.status}: {message}.")
    raise RefusedError(f"{address} refuses the request with HTTP {reply.status}: {message}.")


def json_object(reply: Reply, source: str) -> dict[str, Any]:
    """Return an answer's JSON object.

    Raises:
        UnreliableAnswerError: the answer is not a JSON object.
    """
    with suppress(ValueError):
        content = reply.json()
        if isinstance(content, dict):
            return content
    raise UnreliableAnswerError(f"{source}'s answer is not JSON: {excerpt(reply.body)}.")


def error_message(reply: Reply) -> str:
    """Return a service's error message on one line; the name of its field differs between kinds of errors."""
    with suppress(ValueError, AttributeError):
        body = reply.json()
        return str(body.get("message") or body.get("reason") or body.get("error") or body).rstrip(". ")
    return excerpt(reply.body)


def excerpt(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    return " ".join(body[:EXCERPT_BYTES].decode("utf-8", "replace").split()).rstrip(". ") or "an empty answer"


def server_time(reply: Reply) -> datetime:
    """Return when a service answered: by its Date header, else by this machine's clock."""
    with suppress(KeyError, ValueError, TypeError):
        return parsedate_to_datetime(reply.headers["date"])
    return pd.Timestamp.now(tz="UTC").to_pydatetime()


def seconds_until_reset(reply: Reply) -> float | None:
    """Return the seconds until the quota is reset; services report an epoch, a date, or seconds to wait."""
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


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Load the CA certificates once: loading them takes longer than a request to a nearby portal."""
    return httpx.create_ssl_context()


def _whole_body(response: httpx.Response, seconds: float) -> bytes:
    """Read a streamed body to its end, within a time limit for the whole body."""
    deadline, chunks = time.monotonic() + seconds, []
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the body did not end in time", request=response.request)
    return b"".join(chunks)


def _is_unresolved(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
