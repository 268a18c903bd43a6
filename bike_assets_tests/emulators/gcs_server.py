"""Cloud Storage on loopback: `gcp-storage-emulator`, with the checks that it leaves out and faults on request.

Run by the emulators' own Python, which has none of this repository's packages; the port that it got is its first line.
What is added: an insert that asks for a generation is refused with 412 where the object has another, a download that
asks for one with 404 or 412, and downloads return theirs. Faults are answers given in the place of the next ones.
"""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import HTTPServer

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.storage import Storage

FAULTS = "/faults"
Handler = Callable[..., None]


@dataclass
class Fault:
    """An answer that is given some times in the place of another: to a method, where the path has a text."""

    status: int
    message: str
    times: int
    method: str
    path: str

    def applies(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"", method} and self.path in path


def generation_of(storage: Storage, bucket: str, name: str) -> int:
    """Return the generation of an object; 0 where there is none."""
    try:
        return int(storage.get_file_obj(bucket, name)["generation"])
    except NotFound:
        return 0


def checked_insert(insert: Handler) -> Handler:
    def checked(request, response, storage, *args, **kwargs) -> None:
        wanted = request.query.get("ifGenerationMatch")
        if wanted and int(wanted[0]) != generation_of(storage, request.params["bucket_name"], inserted_name(request)):
            set_error(response, HTTPStatus.PRECONDITION_FAILED)
        else:
            insert(request, response, storage, *args, **kwargs)

    return checked


def inserted_name(request) -> str:
    if "name" in request.query:
        return request.query["name"][0]
    return request.data.get("meta", request.data)["name"]


def checked_download(download: Handler) -> Handler:
    def checked(request, response, storage, *args, **kwargs) -> None:
        now = generation_of(storage, request.params["bucket_name"], request.params["object_id"])
        if request.query.get("generation", [str(now)])[0] != str(now):
            set_error(response, HTTPStatus.NOT_FOUND)
        elif request.query.get("ifGenerationMatch", [str(now)])[0] != str(now):
            set_error(response, HTTPStatus.PRECONDITION_FAILED)
        else:
            response["X-Goog-Generation"] = str(now)
            download(request, response, storage, *args, **kwargs)

    return checked


def set_error(response, status: HTTPStatus) -> None:
    response.status = status
    response.json({"error": {"code": status.value, "message": status.phrase}})


def add_generation_checks() -> None:
    """Put the checked handlers in the place of the emulator's own, in its routes and where it calls them itself."""
    instead = {
        objects.insert: checked_insert(objects.insert),
        objects.download: checked_download(objects.download),
    }
    objects.insert, objects.download = instead[objects.insert], instead[objects.download]
    server.HANDLERS = tuple(
        (path, {method: instead.get(handler, handler) for method, handler in handlers.items()})
        for path, handlers in server.HANDLERS
    )


class RequestHandler(server.RequestHandler):
    """The emulator's, with faults before it."""

    def __init__(self, faults: list[Fault], *args) -> None:
        self.faults = faults
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802
        self.answer(super().do_GET)

    def do_POST(self) -> None:  # noqa: N802
        self.answer(super().do_POST)

    def do_PUT(self) -> None:  # noqa: N802
        if self.path == FAULTS:
            faults = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.faults[:] = [Fault(**each) for each in faults]
            self.reply(HTTPStatus.OK, "")
        else:
            self.answer(super().do_PUT)

    def do_DELETE(self) -> None:  # noqa: N802
        self.answer(super().do_DELETE)

    def answer(self, as_usual: Callable[[], None]) -> None:
        fault = next((each for each in self.faults if each.applies(self.command, self.path)), None)
        if fault is None:
            as_usual()
            return
        fault.times -= 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.reply(HTTPStatus(fault.status), fault.message)

    def reply(self, status: HTTPStatus, message: str) -> None:
        body = json.dumps({"error": {"code": status.value, "message": message}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    """Serve until the process that started this one closes standard input."""
    add_generation_checks()
    faults: list[Fault] = []
    # One request at a time: nothing comes between a check and the insert that it is for.
    with HTTPServer(("127.0.0.1", 0), partial(RequestHandler, faults, Storage(use_memory_fs=True))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        print(json.dumps({"rest": http.server_port}), flush=True)
        with suppress(EOFError):
            input()
        http.shutdown()


if __name__ == "__main__":
    serve()
