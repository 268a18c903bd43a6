"""The OpenAPI document is true: generated requests get documented answers, and no failure."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bike_assets.settings import Settings
from bike_assets_tests.serving.conftest import KEY
from bike_assets_tests.serving.processes import FakeDagster, ServedApi
from serving.server import create_app

pytestmark = pytest.mark.slow
DOCUMENT = TestClient(create_app(Settings(home=Path("none")))).get("/openapi.json").json()
without_key = schemathesis.openapi.from_dict(DOCUMENT)
with_key = schemathesis.openapi.from_dict(
    {
        **DOCUMENT,
        "paths": {
            path: {
                method: {k: v for k, v in operation.items() if k != "security"} for method, operation in methods.items()
            }
            for path, methods in DOCUMENT["paths"].items()
        },
    }
)
"""The same for a client that always sends a key, so that no generated case leaves it out."""
EXCLUDED_CHECKS = [positive_data_acceptance]
"""A request of the right form may still name a counter, an hour or a version that does not exist."""


@pytest.fixture(scope="module")
def address(bootstrapped_folder, tmp_path_factory) -> Iterator[str]:
    """A server with a key for alice, over a home of its own, with a stand-in for Dagster."""
    home = tmp_path_factory.mktemp("documented") / "home"
    shutil.copytree(bootstrapped_folder, home)
    dagster = FakeDagster()
    with ServedApi(home, BIKE_API_KEYS=f"alice:{KEY}", BIKE_DAGSTER_PORT=str(dagster.port)) as served:
        yield served.address
    dagster.stop()


@with_key.parametrize()
@settings(max_examples=40, deadline=None)
def test_with_a_key_every_answer_is_as_documented(case, address):
    case.call_and_validate(base_url=address, headers={"X-API-Key": KEY}, excluded_checks=EXCLUDED_CHECKS)


@without_key.parametrize()
@settings(max_examples=20, deadline=None)
def test_without_a_key_every_answer_is_as_documented(case, address):
    case.call_and_validate(base_url=address, excluded_checks=EXCLUDED_CHECKS)
