"""The API as a process of its own, and a stand-in for Dagster's GraphQL API beside it."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import httpx

from bike_assets_tests.conftest import poll
from bike_assets_tests.servers import free_ports
from bike_assets_tests.whole.conftest import REPOSITORY


class ServedApi:
    """`bike serve` on a free port, for the time of a `with`.

    Attributes:
        address: where it answers.
        process: the one that was started; with several workers, their parent.
    """

    def __init__(self, home: Path, *options: str, **settings: str) -> None:
        [port] = free_ports(1)
        self.address, self.log = f"http://127.0.0.1:{port}", home.parent / f"api-{port}.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bike_assets.cli", "serve", "--port", str(port), *options],
            env={**os.environ, "BIKE_HOME": str(home), "BIKE_QUICK": "1", **settings},
            cwd=REPOSITORY,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        poll(self._answers, 60, "the API")

    def stop(self) -> int:
        """End it as a supervisor does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(120)

    def __enter__(self) -> "ServedApi":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.address}/healthz", timeout=60).is_success
        except httpx.TransportError:
            return False


class FakeDagster:
    """Answers launches and status queries like Dagster's webserver; every run has the status `status`.

    Attributes:
        launched: the execution parameters of every launch.
        answer: the answer to every request instead: a status and a body.
        status: status of every run in a query.
    """

    def __init__(self) -> None:
        self.launched: list[dict] = []
        self.runs: dict[str, str] = {}
        self.answer: tuple[int, bytes] | None = None
        self.status = "SUCCESS"
        dagster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = dagster.answer or (200, json.dumps({"data": dagster.reply(request)}).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Write no lines into the log of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def reply(self, request: dict) -> dict:
        """Return the data of an answer."""
        if "launchRun" in request["query"]:
            run_id = str(uuid4())
            self.launched.append(request["variables"]["params"])
            self.runs[run_id] = request["variables"]["params"]["selector"]["jobName"]
            return {"launchRun": {"__typename": "LaunchRunSuccess", "run": self._run(run_id, "QUEUED")}}
        run_id = request["variables"]["id"]
        if run_id not in self.runs:
            return {"runOrError": {"__typename": "RunNotFoundError", "message": "none"}}
        return {"runOrError": {"__typename": "Run", **self._run(run_id, self.status)}}

    def _run(self, run_id: str, status: str) -> dict:
        times = {"creationTime": 1.5, "startTime": None, "endTime": None}
        return {"runId": run_id, "jobName": self.runs[run_id], "status": status, **times}

    def stop(self) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.server.server_close()
