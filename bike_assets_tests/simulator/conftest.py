"""A simulated portal with three days of a small city, and a plain client that asks it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import httpx
import pandas as pd
import pytest

from bike_assets.core.simulation import SimulatedCity
from bike_assets.settings import Settings
from bike_assets.simulator.clock import Clock
from bike_assets.simulator.publication import Publication, PublishedTable
from bike_assets.simulator.server import PortalSimulator

ZONE = "Europe/Paris"
DATASET = "counts"
FIRST, LAST = date(2026, 6, 1), date(2026, 6, 3)
NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)
FORM = Settings().published_form
FIELDS = FORM.fields
DATASETS = "/api/explore/v2.1/catalog/datasets/"


class Client:
    """Asks one simulated portal."""

    def __init__(self, portal: PortalSimulator) -> None:
        self.portal = portal
        # Without certificates to load, a client is made in no time.
        self.http = httpx.Client(base_url=portal.url + DATASETS, timeout=10, verify=False)

    def get(self, path: str, **params: object) -> httpx.Response:
        return self.http.get(DATASET + path, params={name: str(value) for name, value in params.items()})

    def count(self, **params: object) -> int:
        return self.get("/records", limit=0, **params).json()["total_count"]


@pytest.fixture(scope="session")
def town() -> SimulatedCity:
    return SimulatedCity(7, 10, ZONE, "FR")


@pytest.fixture(scope="session")
def counts(town) -> pd.DataFrame:
    return town.counts(FIRST, LAST)


@pytest.fixture
def table(counts) -> PublishedTable:
    published = PublishedTable(FIELDS, ZONE)
    published.put(counts)
    return published


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Serves publications until the test is over."""
    clients: list[Client] = []

    def serve(publication: Publication, now: datetime = NOW, **options: object) -> Client:
        portal = PortalSimulator(publication, DATASET, clock=Clock(now), **options)
        portal.start()
        clients.append(Client(portal))
        return clients[-1]

    yield serve
    for client in clients:
        client.http.close()
        client.portal.stop()


@pytest.fixture
def client(serve, table) -> Client:
    return serve(table)
