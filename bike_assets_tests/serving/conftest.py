"""What the API's tests share: the application over the home after its first pass, alive as uvicorn has it."""

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
    """Let applications live until the test is over; what they fail at is answered and not raised."""
    with ExitStack() as living:
        yield lambda settings: living.enter_context(TestClient(create_app(settings), raise_server_exceptions=False))


@pytest.fixture
def api(city: City, serve) -> TestClient:
    """The API of a home of one's own, with a key of Alice's and with no Dagster behind it."""
    return serve(city.settings.model_copy(update={"api_keys": SecretStr(f"alice:{KEY}")}))


def ask(api: TestClient, *records: dict, **more: object) -> httpx.Response:
    """Ask for predictions."""
    return api.post("/predict", json={"records": list(records), **more})
