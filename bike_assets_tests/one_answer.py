"""A server on this machine that gives one JSON answer to every GET request."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def one_answer(content: object, status: int = 200, seconds: float = 0) -> Iterator[str]:
    """Serve an answer while the body runs, and yield the address.

    Args:
        content: what the JSON holds.
        status: the status of every answer.
        seconds: the wait after each byte; 0 sends the answer at once.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(content).encode()
            size = 1 if seconds else len(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                for start in range(0, len(body), size):
                    self.wfile.write(body[start : start + size])
                    time.sleep(seconds)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
