"""The client of an Opendatasoft portal (Explore API v2.1): all rows of a range of time, or a reason why not.

A range is one count and one Parquet export, whatever its length: the cheapest pair of requests that can prove itself.
Records would take 24 requests for a day of Paris and end at 10,000 rows. What rows mean belongs to `core.published`.
"""

import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import numpy as np
import pandas as pd
import stamina
import stamina.instrumentation
from stamina.instrumentation import RetryDetails

from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError
from bike_assets.resources.portal_replies import (
    SHOWN_BYTES,
    Reply,
    read_parquet,
    seconds_until_reset,
    server_time,
    shown,
    told,
    whole_body,
)
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_BACKOFF_SECONDS = 30.0
CONNECT_SECONDS = 10.0
QUICK_SECONDS = 3.0
BODY_TIMEOUTS = 10
"""A body may take this many timeouts as a whole: one that drips for ever is given up, too."""
MOST_DOUBLES_ASKED = 20
NEWEST_WITHIN = pd.Timedelta(days=35)

log = logging.getLogger(__name__)


def _tell_of_retry(details: RetryDetails) -> None:
    log.warning("%s Another try follows in %.1f s.", details.caused_by, details.wait_for)


stamina.instrumentation.set_on_retry_hooks([_tell_of_retry])


class QuotaSpentError(SourceUnavailableError):
    """The portal's quota is used up; `wait` is how many seconds until it says it is reset, if it does."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(SourceUnavailableError):
    """The portal will not answer this request, however often it is asked."""


@dataclass(frozen=True)
class Answer:
    """All rows of a range.

    Attributes:
        table: the fields that were asked for, by the portal's names.
        total: how many rows the portal said that it has.
        read_at: when it was asked, by its own clock.
    """

    table: "pa.Table"
    total: int
    read_at: datetime


class Portal:
    """One dataset of one portal, which may have several addresses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._urls, self._unresolved = settings.portal_url.split(), list[str]()
        self._path = f"/api/explore/v2.1/catalog/datasets/{settings.portal_dataset}"
        self._hour = settings.portal_fields.counted_at

    def rows(self, start: datetime, end: datetime) -> Answer:
        """Return every row with start <= hour < end (UTC).

        Raises:
            SourceUnavailableError: the portal did not answer, refused, or its quota is used up.
            UnreliableAnswerError: each try gave fewer rows than the portal says it has, or no readable export.
        """
        for attempt in self._attempts():
            with attempt, self._client() as client:
                return self._rows(client, start, end)
        raise AssertionError("the last attempt returns or raises")

    def newest_hour(self, quickly: bool = False) -> datetime | None:
        """Return the last published hour (UTC), or None where nothing is published.

        Args:
            quickly: try once and for seconds only.

        Raises:
            SourceUnavailableError: the portal did not answer, refused, or its quota is used up.
            UnreliableAnswerError: its answer cannot be read.
        """
        for attempt in self._attempts(1 if quickly else None):
            with attempt, self._client(QUICK_SECONDS if quickly else None) as client:
                return self._newest_hour(client)
        raise AssertionError("the last attempt returns or raises")

    def _newest_hour(self, client: httpx.Client) -> datetime | None:
        newest_first = {"select": self._hour, "order_by": f"{self._hour} desc", "limit": "1"}
        recent = f"{self._hour} >= {_literal(pd.Timestamp.now(tz='UTC') - NEWEST_WITHIN)}"
        # Sorting a year of rows for the newest one is dear for a portal, and mostly needless.
        for narrowed in ({"where": recent}, {}):
            envelope, _ = self._json(client, {**newest_first, **narrowed})
            newest = self._first_hour(envelope)
            if newest is not None:
                return newest
        return None

    def _rows(self, client: httpx.Client, start: datetime, end: datetime) -> Answer:
        where = f"{self._hour} >= {_literal(start)} AND {self._hour} < {_literal(end)}"
        total, read_at = self._count(client, where)
        fields = list(self._settings.portal_fields.by_column.values())
        export = self._get(client, "/exports/parquet", {"where": where, "select": ",".join(fields)})
        table = read_parquet(export, fields)
        if table.num_rows < total:
            raise UnreliableAnswerError(
                f"The portal says that it has {total:,} rows from {start} to {end}, "
                f"and its export ended after {table.num_rows:,}."
            )
        self._refuse_other_hours(table, start, end)
        self._refuse_doubles_for_others(client, table, total)
        return Answer(table, total, read_at)

    def _count(self, client: httpx.Client, where: str) -> tuple[int, datetime]:
        """The number of rows that the portal says fulfil a condition, and when it said so."""
        envelope, read_at = self._json(client, {"where": where, "limit": "0"})
        total = envelope.get("total_count")
        if not isinstance(total, int):
            raise UnreliableAnswerError(f"The portal counted no rows: {str(envelope)[:SHOWN_BYTES]}.")
        return total, read_at

    def _refuse_other_hours(self, table: "pa.Table", start: datetime, end: datetime) -> None:
        hours = pd.to_datetime(table[self._hour].to_pandas(), utc=True, errors="coerce")
        if len(hours) and not (start <= hours.min() and hours.max() < end):
            raise UnreliableAnswerError(
                f"The portal was asked for the hours from {start} to {end}, "
                f"and its export has some from {hours.min()} to {hours.max()}."
            )

    def _refuse_doubles_for_others(self, client: httpx.Client, table: "pa.Table", total: int) -> None:
        """Refuse rows that are enough in number only because some come twice, unless the portal has these twice."""
        ours = self._settings.portal_fields
        telling = [name for name in (ours.counter_id, ours.counter_name, self._hour, ours.bike_count) if name]
        rows = table.select(telling).to_pandas()
        codes = np.zeros(len(rows), dtype=np.int64)
        for name in telling:
            codes, known = pd.factorize(codes * (1 + rows[name].nunique()) + pd.factorize(rows[name])[0] + 1)
        distinct = len(known) if len(rows) else 0
        if distinct >= total:
            return
        copies = rows.groupby(telling, dropna=False, sort=False).size()
        for values, times in copies[copies > 1].head(MOST_DOUBLES_ASKED).items():
            if any('"' in str(value) and "'" in str(value) for value in values):
                continue  # ODSQL has no documented way to write such a text.
            where = " AND ".join(f"{name} {_equals(value)}" for name, value in zip(telling, values, strict=True))
            if self._count(client, where)[0] < times:
                raise UnreliableAnswerError(
                    f"The portal says that it has {total:,} rows, and its export {distinct:,} different ones."
                )

    def _first_hour(self, envelope: Mapping[str, Any]) -> datetime | None:
        try:
            rows = envelope["results"]
            return pd.Timestamp(rows[0][self._hour]).tz_convert("UTC").to_pydatetime() if rows else None
        except (KeyError, TypeError, ValueError, IndexError):
            raise UnreliableAnswerError(f"The portal gave no time: {str(envelope)[:SHOWN_BYTES]}.") from None

    def _json(self, client: httpx.Client, parameters: dict[str, str]) -> tuple[dict[str, Any], datetime]:
        reply = self._get(client, "/records", parameters)
        try:
            envelope = reply.json()
        except ValueError:
            envelope = None
        if not isinstance(envelope, dict):
            raise UnreliableAnswerError(f"The portal's answer is not JSON: {shown(reply.body)}.")
        return envelope, server_time(reply)

    def _get(self, client: httpx.Client, path: str, parameters: dict[str, str]) -> Reply:
        """Return a successful answer with its whole body; try the next address where a name does not resolve."""
        parameters = {**parameters, "timezone": "UTC"}
        while True:
            try:
                with client.stream("GET", self._urls[0] + self._path + path, params=parameters) as response:
                    body = whole_body(response, BODY_TIMEOUTS * self._settings.portal_timeout_seconds)
            except httpx.ConnectError as error:
                if _is_unresolved(error) and len(self._urls) > 1:
                    log.info("%s does not resolve: %s is asked from now on", self._urls[0], self._urls[1])
                    self._unresolved.append(self._urls.pop(0))
                    continue
                tried = " and ".join([*self._unresolved, self._urls[0]])
                raise SourceUnavailableError(f"{tried} cannot be reached: {_reason(error)}.") from None
            except httpx.TimeoutException:
                raise SourceUnavailableError(f"{self._urls[0]} did not answer in time.") from None
            except httpx.RemoteProtocolError as error:
                raise UnreliableAnswerError(f"{self._urls[0]} broke off its answer: {error}.") from None
            except httpx.HTTPError as error:
                raise SourceUnavailableError(f"{self._urls[0]} broke the connection: {_reason(error)}.") from None
            reply = Reply(response.status_code, response.headers, body)
            if not response.is_success:
                self._refuse(reply)
            return reply

    def _refuse(self, reply: Reply) -> NoReturn:
        """Turn an answer that is no success into the error that says what it means."""
        url, status = self._urls[0], reply.status
        message = told(reply)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = seconds_until_reset(reply)
            when = f"; it is reset in {wait:,.0f} s" if wait is not None else ""
            raise QuotaSpentError(f"{url} refuses more requests for now: {message}{when}.", wait)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceUnavailableError(f"{url} failed with HTTP {status}: {message}.")
        if status == HTTPStatus.NOT_FOUND:
            raise RefusedError(
                f"{url} has no dataset {self._settings.portal_dataset}: {message} (BIKE_PORTAL_DATASET)."
            )
        raise RefusedError(f"{url} refuses the request with HTTP {status}: {message}.")

    def _attempts(self, attempts: int | None = None) -> Iterator[stamina.Attempt]:
        backoff = self._settings.portal_backoff_seconds
        yield from stamina.retry_context(
            on=self._wait_before_next,
            attempts=attempts or self._settings.portal_attempts,
            timeout=None,
            wait_initial=backoff,
            wait_max=LONGEST_BACKOFF_SECONDS,
            wait_jitter=backoff,
        )

    def _wait_before_next(self, error: Exception) -> bool | float:
        """Say whether to try again, and for a quota that is reset soon, after how many seconds."""
        if isinstance(error, RefusedError) or not isinstance(error, SourceUnavailableError | UnreliableAnswerError):
            return False
        if isinstance(error, QuotaSpentError) and error.wait is not None:
            near = error.wait <= self._settings.portal_quota_wait_seconds
            return max(error.wait, self._settings.portal_backoff_seconds) if near else False
        return True

    def _client(self, seconds: float | None = None) -> httpx.Client:
        seconds = seconds or self._settings.portal_timeout_seconds
        key = self._settings.portal_api_key
        return httpx.Client(
            timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
            headers={"Authorization": f"Apikey {key.get_secret_value()}"} if key else None,
            follow_redirects=True,
            verify=_certificates(),
        )


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Reading the authorities' certificates takes longer than a request to a portal nearby: it is done once."""
    return httpx.create_ssl_context()


def _equals(value: object) -> str:
    """A condition on a value as the export has it."""
    if pd.isna(value):  # type: ignore[call-overload]
        return "is null"
    if isinstance(value, datetime):
        return f"= {_literal(value)}"
    if isinstance(value, str):
        return f"= '{value}'" if '"' in value else f'= "{value}"'
    return f"= {value}"


def _literal(instant: datetime) -> str:
    return f"date'{pd.Timestamp(instant).tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ}'"


def _is_unresolved(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _reason(error: Exception) -> str:
    return "the name does not resolve" if _is_unresolved(error) else (str(error) or type(error).__name__)
