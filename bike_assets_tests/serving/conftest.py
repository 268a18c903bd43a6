"""Fixtures of the API's tests: the application over the home after its first pass, with its lifespan."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bike_assets.settings import Settings
from bike_assets_tests.conftest import City
from serving.server import create_app

KEY = "0123456789abcdef"


@pytest.fixture
def serve() -> Iterator[Callable[[Settings], TestClient]]:
    """Run applications until the test ends; their errors are answers, not exceptions."""
    with ExitStack() as running:
        yield lambda settings: running.enter_context(TestClient(create_app(settings), raise_server_exceptions=False))


@pytest.fixture
def api(city: City, serve) -> TestClient:
    """The API of the test's own home, with a key for alice and without Dagster."""
    return serve(city.settings.model_copy(update={"api_keys": SecretStr(f"alice:{KEY}")}))


def predict(api: TestClient, *records: dict, **more: object) -> httpx.Response:
    """Post records to /predict."""
    return api.post("/predict", json={"records": list(records), **more})
