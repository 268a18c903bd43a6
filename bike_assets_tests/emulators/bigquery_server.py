"""BigQuery on loopback: `bqemulator`, made to start without a network, with what it leaves out and faults on request.

Run by the emulators' own Python, which has none of this repository's packages; its ports are its first line of JSON.
What is changed are internals of the pinned release. What is added: results over Storage Read, columns that a schema
gains, the time at which a table was last changed, the least that a statement is billed for and the limit on that.
Faults are answers given in the place of the next ones.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import dataclass

from bqemulator import server
from bqemulator.api.routes import upload
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.config import LogLevel, Settings
from bqemulator.grpc_api import read_servicer
from bqemulator.jobs import executor
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.storage.type_map import bq_to_duckdb
from bqemulator.versioning.snapshots import SnapshotManager
from google.cloud.bigquery_storage_v1 import types

FAULTS = "/faults"
MIN_BYTES_BILLED = 10 * 2**20
"""BigQuery bills at least these bytes for a statement."""
MAX_MESSAGE_BYTES = 2**30
"""Bytes: this emulator answers a read in one message."""
LIMIT_EXCEEDED = "bytesBilledLimitExceeded"
AsgiCallable = Callable[..., Awaitable[None]]


@dataclass
class Fault:
    """An answer that is given some times in the place of another: to a method, where the path or body has a text."""

    status: int
    reason: str
    message: str
    times: int
    method: str
    text: str

    def applies(self, method: str, path: str, body: bytes) -> bool:
        return self.times > 0 and self.method in {"", method} and (self.text in path or self.text.encode() in body)


class FaultMiddleware:
    """Stands before the emulator's REST API: gives faults and refuses what would cost too much."""

    def __init__(self, app: AsgiCallable) -> None:
        self.app = app
        self.faults: list[Fault] = []

    async def __call__(self, scope: dict, receive: AsgiCallable, send: AsgiCallable) -> None:
        body = await whole_body(receive)
        path = f"{scope['path']}?{scope['query_string'].decode()}"
        if scope["path"] == FAULTS:
            self.faults = [Fault(**each) for each in json.loads(body)]
            await send_fault(send, Fault(200, "", "", 0, "", ""))
        elif fault := next((each for each in self.faults if each.applies(scope["method"], path, body)), None):
            fault.times -= 1
            await send_fault(send, fault)
        elif (
            scope["path"].startswith("/bigquery/")
            and scope["path"].endswith("/jobs")
            and limit_of(body) < MIN_BYTES_BILLED
        ):
            message = f"Query exceeded limit for bytes billed: {limit_of(body)}. {MIN_BYTES_BILLED} or higher required."
            await send_fault(send, Fault(400, LIMIT_EXCEEDED, message, 0, "", ""))
        else:
            await self.app(scope, replay(body), send)


async def whole_body(receive: AsgiCallable) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def replay(body: bytes) -> AsgiCallable:
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict:
        return messages.pop() if len(messages) > 1 else messages[0]

    return receive


def limit_of(body: bytes) -> int:
    asked = json.loads(body).get("configuration", {}).get("query", {}) if body else {}
    return int(asked.get("maximumBytesBilled") or MIN_BYTES_BILLED)


async def send_fault(send: AsgiCallable, fault: Fault) -> None:
    error = {"message": fault.message, "reason": fault.reason}
    body = json.dumps({"error": {"code": fault.status, "message": fault.message, "errors": [error]}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def skip_spatial_extension() -> None:
    """The extension for geography would be downloaded; no test needs geography."""
    DuckDBEngine._load_spatial = lambda _: None


def accept_any_media_type() -> None:
    """Google's client names the kind of what it uploads */*."""
    upload._PERMITTED_MEDIA_CONTENT_TYPES = (*upload._PERMITTED_MEDIA_CONTENT_TYPES, "*/*")


def add_fault_middleware() -> None:
    create_app = server.create_app
    server.create_app = lambda context: FaultMiddleware(create_app(context))


def bill_statements() -> None:
    """Add the bill of each statement, which the emulator lacks."""
    statistics = executor._build_query_statistics

    def with_bill(**known) -> dict:
        billed = statistics(**known)
        billed["query"]["totalBytesBilled"] = str(MIN_BYTES_BILLED)
        return billed

    executor._build_query_statistics = with_bill


def record_table_changes() -> None:
    """Note the time of a change, which is left out, in the place of the copy of the table that is made for each."""

    def record_change(self, project: str, dataset: str, name: str) -> None:
        table = self._catalog.get_table(project, dataset, name)
        if table is not None:
            self._catalog.update_table(table.model_copy(update={"last_modified_time": self._clock.now()}))

    SnapshotManager.record_change = record_change


def add_columns_with_the_schema() -> None:
    """A schema that is given to a table by the API stays a word in the catalogue, without columns in the table."""
    update = MemoryCatalogRepository.update_table

    def update_table(self, table):
        before = self.get_table(table.project_id, table.dataset_id, table.table_id)
        for field in table.schema_.fields[len(before.schema_.fields) :]:
            name = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
            self._engine.execute(f'ALTER TABLE {name} ADD COLUMN "{field.name}" {bq_to_duckdb(field.type)}')
        return update(self, table)

    MemoryCatalogRepository.update_table = update_table


def serve_results_over_storage_read() -> None:
    """Results of queries have a table of their own, which Storage Read of this emulator does not know."""
    of_tables = read_servicer.BigQueryReadHandler._handle_create_read_session

    def create_read_session(self, request_bytes: bytes, context) -> bytes:
        request = types.CreateReadSessionRequest.deserialize(request_bytes)
        project, dataset, name = read_servicer._parse_table_path(request.read_session.table)
        if dataset != executor._ANONYMOUS_RESULTS_DATASET:
            return of_tables(self, request_bytes, context)
        rows = next(rows for job, rows in executor.JOB_RESULTS.items() if f"anon{job.replace('-', '')}" == name)
        state = read_servicer.create_read_session(project, request.read_session.table, rows, request.max_stream_count)
        session = read_servicer._build_read_session_response(
            state=state,
            read_session=request.read_session,
            session_format=read_servicer.FORMAT_ARROW,
            wire_format=types.DataFormat.ARROW,
            arrow_table=rows,
        )
        return types.ReadSession.serialize(session)

    read_servicer.BigQueryReadHandler._handle_create_read_session = create_read_session


async def serve(report: Callable[[str], None]) -> None:
    """Serve on free ports until the process that started this one closes standard input."""
    emulator = server.EmulatorServer(
        Settings(
            rest_port=0,
            grpc_port=0,
            enable_format_extensions=False,
            log_level=LogLevel.CRITICAL,
            write_api_max_request_bytes=MAX_MESSAGE_BYTES,
        )
    )
    await emulator.start()
    report(json.dumps({"rest": emulator.rest_port, "grpc": emulator.grpc_port}))
    await asyncio.to_thread(sys.stdin.read)
    await emulator.stop()


def main() -> None:
    skip_spatial_extension()
    accept_any_media_type()
    add_fault_middleware()
    bill_statements()
    record_table_changes()
    add_columns_with_the_schema()
    serve_results_over_storage_read()
    stdout = sys.stdout
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        asyncio.run(serve(lambda ports: print(ports, file=stdout, flush=True)))


if __name__ == "__main__":
    main()
