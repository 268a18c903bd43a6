"""The endpoints of the Explore API v2.1: turns a path and parameters into an answer, without sockets.

Formats belong to `answers`, the query language to `odsql`, published rows to `publication`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from bike_assets.simulator.answers import (
    CSV_TYPE,
    JSON_TYPE,
    PARQUET_TYPE,
    Answer,
    as_csv,
    as_json,
    as_parquet,
    json_answer,
    records,
)
from bike_assets.simulator.dataset import Dataset
from bike_assets.simulator.faults import Endpoint, Fault
from bike_assets.simulator.odsql import Query, parse_query
from bike_assets.simulator.publication import Publication
from bike_assets.simulator.refusals import (
    RefusalError,
    in_stream,
    invalid_parameter,
    not_found,
    outside_bounds,
)

PATH = re.compile(
    r"/api/explore/v2\.1/catalog/datasets/(?P<dataset>[^/]+)(?:/(?P<records>records)|/exports/(?P<format>csv|json|parquet))?/?"
)
QUERY = {"where", "select", "order_by", "limit", "offset", "timezone", "apikey"}
CSV_ONLY = {"delimiter", "use_labels"}
DELIMITERS = (";", ",", "\t", "|")
DEFAULT_LIMIT, MAX_RECORDS, MAX_REACHED = 10, 100, 10_000
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Route:
    """The target of a path.

    Attributes:
        dataset: identifier of the dataset.
        endpoint: dataset, records or exports.
        format: of an export; empty for other endpoints.
    """

    dataset: str
    endpoint: Endpoint
    format: str


def route_of(path: str) -> Route | None:
    """Read a path; None where it is not an endpoint."""
    match = PATH.fullmatch(path)
    if match is None:
        return None
    endpoint: Endpoint = "exports" if match["format"] else "records" if match["records"] else "dataset"
    return Route(match["dataset"], endpoint, match["format"] or "")


class Explore:
    """The portal's answers for one dataset.

    Args:
        publication: the published rows.
        dataset_id: identifier of the dataset.
        dataset: fields of the dataset.
    """

    def __init__(self, publication: Publication, dataset_id: str, dataset: Dataset) -> None:
        self._publication, self._dataset_id, self._dataset = publication, dataset_id, dataset

    def answer(self, route: Route | None, params: Mapping[str, str], now: datetime, fault: Fault | None) -> Answer:
        """Answer a request.

        Args:
            route: the target of the path.
            params: the query parameters.
            now: the portal's time.
            fault: the fault of rows or count, if any.
        """
        try:
            if route is None:
                raise not_found("Unknown endpoint")
            if route.dataset != self._dataset_id:
                raise not_found(f"Unknown dataset: {route.dataset}")
            if route.endpoint == "dataset":
                return json_answer(200, self._description())
            _refuse_unknown(params, QUERY | CSV_ONLY if route.format == "csv" else QUERY)
            zone = _zone(params.get("timezone", "UTC"))
            query = parse_query(params, self._dataset.kinds, zone)
            if route.endpoint == "records":
                return self._records(query, params, zone, now, fault)
            return self._export(query, route.format, params, zone, now, fault)
        except RefusalError as refusal:
            return json_answer(refusal.status, refusal.body)

    def _description(self) -> dict[str, object]:
        fields: list[dict[str, object]] = [
            {"name": name, "label": self._dataset.titles[name], "type": kind, "description": None, "annotations": {}}
            for name, kind in self._dataset.kinds.items()
        ]
        return {"dataset_id": self._dataset_id, "has_records": True, "data_visible": True, "fields": fields}

    def _records(
        self, query: Query, params: Mapping[str, str], zone: ZoneInfo, now: datetime, fault: Fault | None
    ) -> Answer:
        limit, offset = _number(params, "limit", DEFAULT_LIMIT), _number(params, "offset", 0)
        if not -1 <= limit <= MAX_RECORDS:
            raise outside_bounds("limit", limit, f"-1 <= limit <= {MAX_RECORDS}")
        limit = MAX_RECORDS if limit == -1 else limit
        if offset < 0 or offset + limit > MAX_REACHED or offset == MAX_REACHED:
            raise outside_bounds("offset", offset, f"0 <= offset and offset + limit <= {MAX_REACHED}")
        table = self._chosen(query, now)
        page = self._selected(table.slice(offset, limit), query)
        total = len(table) if fault is None or fault.count is None else fault.count(len(table))
        results = records(page, self._dataset.fields.coordinates, zone)
        return json_answer(200, {"total_count": total, "results": results})

    def _export(
        self, query: Query, form: str, params: Mapping[str, str], zone: ZoneInfo, now: datetime, fault: Fault | None
    ) -> Answer:
        limit, offset = _number(params, "limit", -1), _number(params, "offset", 0)
        if limit < -1:
            raise outside_bounds("limit", limit, "-1 <= limit")
        if offset < 0:
            raise outside_bounds("offset", offset, "0 <= offset")
        delimiter, titles = params.get("delimiter", ";"), {name: name for name in self._dataset.kinds}
        if delimiter not in DELIMITERS:
            raise invalid_parameter(f"Invalid value for delimiter API parameter: {delimiter!r}.")
        if _flag(params, "use_labels"):
            titles = dict(self._dataset.titles)
        table = self._chosen(query, now)
        reached = offset + (limit if limit >= 0 else max(len(table) - offset, 0))
        table = self._selected(table.slice(offset, limit if limit >= 0 else None), query)
        if fault is not None and fault.rows is not None:
            table = fault.rows(table)
        content_type, parts = {
            "csv": (CSV_TYPE, as_csv(table, titles, delimiter, zone)),
            "json": (JSON_TYPE, as_json(table, self._dataset.fields.coordinates, zone)),
            "parquet": (PARQUET_TYPE, as_parquet(table)),
        }[form]
        if offset and (reached > MAX_REACHED or offset >= MAX_REACHED):
            refusal = outside_bounds("offset", offset, f"0 <= offset and offset + limit <= {MAX_REACHED}")
            parts = iter([in_stream(refusal).encode()])
        return Answer(200, content_type, parts, chunked=True)

    def _chosen(self, query: Query, now: datetime) -> pa.Table:
        """Every row that matches the query, in its order."""
        span = self._publication.span(now)
        start, end = (span[0], span[1] + HOUR) if span else (now, now)
        start, end = query.bounds(self._dataset.fields.counted_at, start, end)
        table = self._publication.published(start, max(start, end), now)
        return query.apply(self._dataset.with_fields(table, query.names()), self._dataset.fields.counted_at)

    def _selected(self, table: pa.Table, query: Query) -> pa.Table:
        names = query.select or tuple(self._dataset.kinds)
        return self._dataset.with_fields(table, names).select(list(names))


def _refuse_unknown(params: Mapping[str, str], known: set[str]) -> None:
    unknown = sorted(set(params) - known)
    if unknown:
        raise invalid_parameter(f"Unknown API parameter: {unknown[0]}.")


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise invalid_parameter(f"Invalid value for {name} API parameter: {text!r} is no whole number.") from None


def _flag(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise invalid_parameter(f"Invalid value for {name} API parameter: {text!r} is neither true nor false.")
    return text == "true"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid_parameter(f"Invalid value for timezone API parameter: {name!r} is no time zone.") from None
