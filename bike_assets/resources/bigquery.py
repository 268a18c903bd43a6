"""The connection to BigQuery: clients for the settings, with Google's credentials or to an emulator.

Requests belong to `bigquery_jobs`, `bigquery_warehouse` and `bigquery_tables`, what failures mean to `bigquery_errors`.
Only the profile gcp imports this module: it loads Google's libraries.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster_gcp import BigQueryResource
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage import BigQueryReadClient
from pydantic import PrivateAttr

from bike_assets.core.gcp_settings import GcpSettings


class BigQueryConnection(BigQueryResource):
    """Clients that all threads share; each is opened once.

    Attributes:
        endpoint: scheme, host and port of an emulator; None means the real service.
        read_endpoint: host and port of its Storage Read API.
    """

    endpoint: str | None = None
    read_endpoint: str | None = None
    _client: bigquery.Client | None = PrivateAttr(None)
    _read_client: BigQueryReadClient | None = PrivateAttr(None)
    _opening: Any = PrivateAttr(default_factory=threading.Lock)

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """Yield the client; it stays open until `close`.

        Raises:
            google.auth.exceptions.GoogleAuthError: there are no credentials.
        """
        with self._opening:
            if self._client is None:
                self._client = self._open()
        yield self._client

    def read_client(self) -> BigQueryReadClient | None:
        """Return the client of the Storage Read API; None for an emulator without that service.

        Raises:
            google.auth.exceptions.GoogleAuthError: there are no credentials.
        """
        with self._opening:
            if self._read_client is None:
                self._read_client = self._open_read()
        return self._read_client

    def close(self) -> None:
        """Close both clients; the next use opens them again."""
        with self._opening:
            if self._client is not None:
                self._client.close()
            if self._read_client is not None:
                self._read_client.transport.close()
            self._client = self._read_client = None

    def _open(self) -> bigquery.Client:
        if self.endpoint is None:
            return bigquery.Client(project=self.project, location=self.location)
        return bigquery.Client(
            project=self.project,
            location=self.location,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.endpoint},
        )

    def _open_read(self) -> BigQueryReadClient | None:
        if self.endpoint is None:
            return BigQueryReadClient()
        if self.read_endpoint is None:
            return None
        import grpc
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        channel = grpc.insecure_channel(self.read_endpoint, options=[("grpc.max_receive_message_length", -1)])
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


def connect(settings: GcpSettings) -> BigQueryConnection:
    """Return the connection for the settings; send no request yet."""
    return BigQueryConnection(
        project=settings.project,
        location=settings.location,
        endpoint=settings.bigquery_endpoint,
        read_endpoint=settings.bigquery_read_endpoint,
    )
