"""The page's tests share a home that is served, and a browser; each test has a visitor of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from bike_assets_tests.serving.page.visits import Visitor, served
from bike_assets_tests.whole.test_run import CHROMIUM


@pytest.fixture(scope="module")
def home(bootstrapped_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "home"
    shutil.copytree(bootstrapped_folder, folder)
    return folder


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[httpx.Client]:
    with served(home) as client:
        yield client


@pytest.fixture(scope="module")
def counters(api: httpx.Client) -> list[dict]:
    return api.get("/counters").json()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: Browser, api: httpx.Client) -> Iterator[Visitor]:
    visitor = Visitor(browser, api)
    yield visitor
    for page in visitor.pages:
        page.context.close()
    assert visitor.errors == []
    assert visitor.hosts() <= {api.base_url.netloc.decode()}
