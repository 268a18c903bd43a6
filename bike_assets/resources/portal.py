"""The client of an Opendatasoft portal (Explore API v2.1): returns all rows of a time range, or an error.

Each range takes two requests, whatever its length: a count and a Parquet export, which the count verifies. The records
endpoint would take 24 requests for a day of Paris and ends at 10,000 rows. What rows mean belongs to `core.published`.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
import stamina

from bike_assets.core.service_access import PortalAccess
from bike_assets.errors import UnreliableAnswerError
from bike_assets.resources.portal_replies import read_parquet
from bike_assets.resources.web import (
    EXCERPT_BYTES,
    RefusedError,
    Reply,
    UnreachableError,
    error_message,
    get,
    json_object,
    open_client,
    raise_for_reply,
    retry_attempts,
    server_time,
)

if TYPE_CHECKING:
    import pyarrow as pa

QUICK_SECONDS = 3.0
MAX_DUPLICATES_ASKED = 20
NEWEST_WITHIN = pd.Timedelta(days=35)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PortalRows:
    """All rows of a time range.

    Attributes:
        table: the requested fields, under the portal's names.
        total: number of rows that the portal reported.
        read_at: when the portal answered, by its own clock.
    """

    table: "pa.Table"
    total: int
    read_at: datetime


class Portal:
    """One dataset of one portal; the portal may have several addresses."""

    def __init__(self, access: PortalAccess) -> None:
        self._access = access
        self._urls, self._unresolved = access.addresses.split(), list[str]()
        self._path = f"/api/explore/v2.1/catalog/datasets/{access.dataset}"
        self._hour = access.form.fields.counted_at

    def rows(self, start: datetime, end: datetime) -> PortalRows:
        """Return every row with start <= hour < end (UTC).

        Raises:
            SourceUnavailableError: the portal did not answer, refused, or its quota is used up.
            UnreliableAnswerError: every attempt returned fewer rows than the portal reported, other hours, or no
                readable export.
        """
        for attempt in self._attempts(self._access.retries.attempts):
            with attempt, self._client() as client:
                return self._rows(client, start, end)
        raise AssertionError("the last attempt returns or raises")

    def newest_hour(self, quickly: bool = False) -> datetime | None:
        """Return the last published hour (UTC), or None if nothing is published.

        Args:
            quickly: make one attempt, with a time limit of seconds.

        Raises:
            SourceUnavailableError: the portal did not answer, refused, or its quota is used up.
            UnreliableAnswerError: its answer cannot be read.
        """
        for attempt in self._attempts(1 if quickly else self._access.retries.attempts):
            with attempt, self._client(QUICK_SECONDS if quickly else None) as client:
                return self._newest_hour(client)
        raise AssertionError("the last attempt returns or raises")

    def all_fields(self, hour: datetime) -> "pa.Table":
        """Return every field of the rows of one hour (UTC).

        Raises:
            SourceUnavailableError: the portal did not answer, refused, or its quota is used up.
            UnreliableAnswerError: its export cannot be read.
        """
        for attempt in self._attempts(self._access.retries.attempts):
            with attempt, self._client() as client:
                export = self._get(client, "/exports/parquet", {"where": f"{self._hour} = {_literal(hour)}"})
                return read_parquet(export, list(self._access.form.fields.by_column.values()), all_fields=True)
        raise AssertionError("the last attempt returns or raises")

    def _newest_hour(self, client: httpx.Client) -> datetime | None:
        newest_first = {"select": self._hour, "order_by": f"{self._hour} desc", "limit": "1"}
        recent = f"{self._hour} >= {_literal(pd.Timestamp.now(tz='UTC') - NEWEST_WITHIN)}"
        # To sort a year of rows for the newest one is expensive for a portal, and rarely necessary.
        for narrowed in ({"where": recent}, {}):
            envelope, _ = self._json(client, {**newest_first, **narrowed})
            newest = self._first_hour(envelope)
            if newest is not None:
                return newest
        return None

    def _rows(self, client: httpx.Client, start: datetime, end: datetime) -> PortalRows:
        where = f"{self._hour} >= {_literal(start)} AND {self._hour} < {_literal(end)}"
        total, read_at = self._count(client, where)
        fields = list(dict.fromkeys(self._access.form.fields.by_column.values()))
        export = self._get(client, "/exports/parquet", {"where": where, "select": ",".join(fields)})
        table = read_parquet(export, fields)
        if table.num_rows < total:
            raise UnreliableAnswerError(
                f"The portal reports {total:,} rows from {start} to {end}, "
                f"and its export ended after {table.num_rows:,}."
            )
        self._validate_hours(table, start, end)
        self._validate_duplicates(client, table, total)
        return PortalRows(table, total, read_at)

    def _count(self, client: httpx.Client, where: str) -> tuple[int, datetime]:
        """Return how many rows the portal has for a condition, and when it answered."""
        envelope, read_at = self._json(client, {"where": where, "limit": "0"})
        total = envelope.get("total_count")
        if not isinstance(total, int):
            raise UnreliableAnswerError(f"The portal's answer has no total_count: {str(envelope)[:EXCERPT_BYTES]}.")
        return total, read_at

    def _validate_hours(self, table: "pa.Table", start: datetime, end: datetime) -> None:
        hours = pd.to_datetime(table[self._hour].to_pandas(), utc=True, errors="coerce")
        if len(hours) and not (start <= hours.min() and hours.max() < end):
            raise UnreliableAnswerError(
                f"The portal was asked for the hours from {start} to {end}, "
                f"and its export has some from {hours.min()} to {hours.max()}."
            )

    def _validate_duplicates(self, client: httpx.Client, table: "pa.Table", total: int) -> None:
        """Refuse an export that reaches the reported number only by duplicates, unless the portal has these too."""
        ours = self._access.form.fields
        identifying = [name for name in (*ours.key, ours.counter_name, self._hour, ours.bike_count) if name]
        rows = table.select(identifying).to_pandas()
        codes = np.zeros(len(rows), dtype=np.int64)
        for name in identifying:
            codes, known = pd.factorize(codes * (1 + rows[name].nunique()) + pd.factorize(rows[name])[0] + 1)
        distinct = len(known) if len(rows) else 0
        if distinct >= total:
            return
        copies = rows.groupby(identifying, dropna=False, sort=False).size()
        for values, times in copies[copies > 1].head(MAX_DUPLICATES_ASKED).items():
            if any('"' in str(value) and "'" in str(value) for value in values):
                continue  # ODSQL has no documented way to write such a text.
            where = " AND ".join(f"{name} {_equals(value)}" for name, value in zip(identifying, values, strict=True))
            if self._count(client, where)[0] < times:
                raise UnreliableAnswerError(
                    f"The portal reports {total:,} rows, and its export {distinct:,} different ones."
                )

    def _first_hour(self, envelope: Mapping[str, Any]) -> datetime | None:
        try:
            rows = envelope["results"]
            return pd.Timestamp(rows[0][self._hour]).tz_convert("UTC").to_pydatetime() if rows else None
        except (KeyError, TypeError, ValueError, IndexError):
            raise UnreliableAnswerError(f"The portal's answer has no hour: {str(envelope)[:EXCERPT_BYTES]}.") from None

    def _json(self, client: httpx.Client, parameters: dict[str, str]) -> tuple[dict[str, Any], datetime]:
        reply = self._get(client, "/records", parameters)
        return json_object(reply, "The portal"), server_time(reply)

    def _get(self, client: httpx.Client, path: str, parameters: dict[str, str]) -> Reply:
        """Return a successful answer with its whole body; if a host name does not resolve, use the next address."""
        parameters, seconds = {**parameters, "timezone": "UTC"}, self._access.retries.timeout_seconds
        while True:
            try:
                reply = get(client, self._urls[0], self._path + path, parameters, seconds)
            except UnreachableError as error:
                if error.resolves or len(self._urls) == 1:
                    tried = " and ".join([*self._unresolved, self._urls[0]])
                    raise UnreachableError(tried, error.reason, error.resolves) from None
                log.info("%s does not resolve: requests go to %s from now on", self._urls[0], self._urls[1])
                self._unresolved.append(self._urls.pop(0))
                continue
            if reply.status == HTTPStatus.NOT_FOUND:
                raise RefusedError(
                    f"{self._urls[0]} has no dataset {self._access.dataset}: {error_message(reply)} "
                    "(BIKE_PORTAL_DATASET)."
                )
            if not reply.is_success:
                raise_for_reply(self._urls[0], reply)
            return reply

    def _attempts(self, max_attempts: int) -> Iterator[stamina.Attempt]:
        return retry_attempts(max_attempts, self._access.retries.backoff_seconds, self._access.quota_wait_seconds)

    def _client(self, seconds: float | None = None) -> httpx.Client:
        key = self._access.api_key
        headers = {"Authorization": f"Apikey {key.get_secret_value()}"} if key else None
        return open_client(seconds or self._access.retries.timeout_seconds, headers)


def _equals(value: object) -> str:
    """Return the ODSQL condition that a field has a value of the export."""
    if pd.isna(value):  # type: ignore[call-overload]
        return "is null"
    if isinstance(value, datetime):
        return f"= {_literal(value)}"
    if isinstance(value, str):
        return f"= '{value}'" if '"' in value else f'= "{value}"'
    return f"= {value}"


def _literal(instant: datetime) -> str:
    return f"date'{pd.Timestamp(instant).tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ}'"
