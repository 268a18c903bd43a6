"""Writes tables as the portal does: JSON records, and CSV, JSON and Parquet exports. Requests belong to `explore`."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 10_000
BYTES_AT_ONCE = 65_536
JSON_TYPE = "application/json; charset=utf-8"
CSV_TYPE = "text/csv; charset=utf-8"
PARQUET_TYPE = "application/vnd.apache.parquet"


@dataclass
class Answer:
    """An HTTP answer before it is sent.

    Attributes:
        status: HTTP status.
        content_type: of the body.
        parts: the body, in pieces.
        chunked: whether the body is sent in chunks; otherwise with a Content-Length.
        headers: additional headers; None removes a header that every answer has.
    """

    status: int
    content_type: str
    parts: Iterable[bytes]
    chunked: bool = False
    headers: dict[str, str | None] = field(default_factory=dict)


def json_answer(status: int, content: object) -> Answer:
    """Return an answer with a JSON document."""
    return Answer(status, JSON_TYPE, [json.dumps(content, ensure_ascii=False).encode()])


def records(table: pa.Table, coordinates: str | None, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return rows as JSON records.

    Args:
        table: the portal's columns.
        coordinates: the field of the points, if there is one.
        zone: time zone of the written times.
    """
    columns = {name: _texts(table[name], zone) for name in table.column_names}
    if coordinates in columns:
        columns[coordinates] = [_point(text) for text in columns[coordinates]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def as_json(table: pa.Table, coordinates: str | None, zone: ZoneInfo) -> Iterator[bytes]:
    """Write rows as one JSON array, a row a line."""
    separator = "["
    for batch in _batches(table):
        lines = [json.dumps(record, ensure_ascii=False) for record in records(batch, coordinates, zone)]
        yield (separator + "\n" + ",\n".join(lines)).encode()
        separator = ","
    yield b"[]" if separator == "[" else b"\n]"


def as_csv(table: pa.Table, titles: Mapping[str, str], delimiter: str, zone: ZoneInfo) -> Iterator[bytes]:
    """Write rows as CSV with a header of the columns' titles; null is an empty field."""
    yield _csv_lines([[titles[name] for name in table.column_names]], delimiter)
    for batch in _batches(table):
        columns = [_texts(batch[name], zone) for name in table.column_names]
        yield _csv_lines(zip(*columns, strict=True), delimiter)


def as_parquet(table: pa.Table) -> Iterator[bytes]:
    """Write rows as a Parquet file: times in UTC, points as "lat,lon"."""
    sink = io.BytesIO()
    # Without our schema, clients read these columns as plain text, as they read the portal's.
    pq.write_table(table.unify_dictionaries(), sink, compression="snappy", use_dictionary=True, store_schema=False)
    content = sink.getvalue()
    for start in range(0, len(content), BYTES_AT_ONCE):
        yield content[start : start + BYTES_AT_ONCE]


def _batches(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(table), ROWS_AT_ONCE):
        yield table.slice(start, ROWS_AT_ONCE)


def _csv_lines(rows: Iterable[Iterable[Any]], delimiter: str) -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()


def _texts(column: pa.ChunkedArray, zone: ZoneInfo) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        times = column.combine_chunks().dictionary_encode()
        written = [time.astimezone(zone).isoformat() for time in times.dictionary.to_pylist()]
        return [written[index] for index in times.indices.to_pylist()]
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).to_pylist()
    return column.to_pylist()


def _point(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    latitude, longitude = text.split(",")
    return {"lon": float(longitude), "lat": float(latitude)}
