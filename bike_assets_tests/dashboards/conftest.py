"""Fixtures for several tests of the dashboards."""

from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, start_http_server


@pytest.fixture
def serve() -> Iterator[Callable[[CollectorRegistry], int]]:
    """Serve a registry over HTTP until the test ends; return the port."""
    servers = []

    def serve(registry: CollectorRegistry) -> int:
        server, _ = start_http_server(0, "127.0.0.1", registry)
        servers.append(server)
        return server.server_port

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
