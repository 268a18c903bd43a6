"""A webhook on this machine that answers as Discord does, or as a test sets it, and stores the requests."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: bytes | dict, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


ACCEPTED = answer(200, {"id": "1", "attachments": []})


class Channel:
    """A webhook on this machine that gives the answers that a test sets, and repeats the last one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [ACCEPTED]
        self.requests: list[tuple[str, str, dict | None]] = []
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                channel.requests.append((self.command, self.path, json.loads(body) if body else None))
                reply = channel.answers[min(len(channel.requests), len(channel.answers)) - 1]
                reply(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Its own lines would be taken for ours."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                """Some tests close the connection first."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def embed(self) -> dict:
        [(_, _, body)] = self.requests
        [embed] = body["embeds"]
        return embed

    @property
    def titles(self) -> list[str]:
        """Titles of all messages, in order."""
        return [embed["title"] for _, _, body in self.requests if body for embed in body["embeds"]]
