"""A visitor of the page, and helpers to find its parts and to check their texts."""

import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, PATIENCE, poll
from serving.server import create_app

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2021, 10, 8, 1, tzinfo=PARIS)
"""The day after the last one of counts; in New York it is still the evening of that one."""
MARKUP = '<img src=x onerror="window.hurt=1"><b>Rue</b>'
FAR_AWAY = "America/New_York"
NONE = "\u2013"
LIGATURE = "Œuvre d\u2019Orléans"


class Visitor:
    """A visitor of the page, with the requests and the errors of the browser."""

    def __init__(self, browser: Browser, api: httpx.Client) -> None:
        self._browser, self._api = browser, api
        self.errors: list[str] = []
        self.requested: list[str] = []
        self.pages: list[Page] = []

    def open(self, path: str = "/", *, answers: dict[str, Any] | None = None, **options: Any) -> Page:
        """Open the page in a new browser context; `answers` are given in place of the API's, by path."""
        context = self._browser.new_context(**{"timezone_id": FAR_AWAY, "locale": "fr-FR", **options})
        page = context.new_page()
        self.pages.append(page)
        page.set_default_timeout(10_000 * PATIENCE)
        page.clock.install(time=NOW)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        for route_path, answer in (answers or {}).items():
            page.route(re.compile(rf"{re.escape(route_path)}(\?|$)"), fulfill_with(answer))
        page.goto(str(self._api.base_url.join(path)))
        return page

    def times(self, part: str) -> int:
        """How often the browser requested addresses with a part."""
        return sum(part in url for url in self.requested)

    def hosts(self) -> set[str]:
        """The hosts that the browser requested."""
        return {urlsplit(url).netloc for url in self.requested}


def fulfill_with(answer: Any) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=answer)


def points(page: Page) -> Locator:
    return page.get_by_role("group", name="Map of the counters").get_by_role("button")


def point(page: Page, name: str) -> Locator:
    return points(page).filter(has=page.locator(f'xpath=self::*[starts-with(@aria-label, "{name},")]'))


def names(options: Locator) -> list[str]:
    return options.locator(".option-name").all_text_contents()


def centre(element: Locator) -> tuple[float, float]:
    box = element.locator(".mark").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def number(text: str) -> float | None:
    return None if text == NONE else float(text.replace(",", ""))


def about(value: float) -> str:
    step = 1 if value < 100 else 10 if value < 10_000 else 100
    return f"{math.floor(value / step + 0.5) * step:,}"


def day_sentence(forecast: dict, day: date) -> str:
    """The page's sentence about a day."""
    hours = [hour for hour in forecast["hours"] if hour["at"].startswith(day.isoformat())]
    busiest = max(hours, key=lambda hour: hour["predicted_count"])
    total = about(sum(hour["predicted_count"] for hour in hours))
    most = about(busiest["predicted_count"])
    return f"{total} bikes, busiest at {busiest['at'][11:16]} with about {most}."


def expect_shown(page: Page, api: httpx.Client, counter: dict) -> None:
    """Everything on the page is about this counter, with the very numbers of the API."""
    name, counter_id = counter["counter_name"], quote(counter["counter_id"])
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page).to_have_title(f"{name} {NONE} Bike traffic")
    assert page.get_by_role("combobox").input_value() == name
    assert [pressed.get_attribute("data-counter") for pressed in points(page).all() if _pressed(pressed)] == [
        counter["counter_id"]
    ]
    counts, forecast = api.get(f"/counts/{counter_id}?days=7").json(), api.get(f"/forecast/{counter_id}?days=3").json()
    tomorrow = LAST_DAY + timedelta(days=2)
    expect(page.locator("#summary")).to_have_text(
        f"Tomorrow, Saturday 9 October: about {day_sentence(forecast, tomorrow)}"
    )
    rows = page.locator("tr[data-at]").evaluate_all(
        "rows => rows.map(row => [row.dataset.at, ...[...row.children].map(cell => cell.textContent)])"
    )
    past = [(hour["at"], hour["bike_count"], hour["predicted_count"], None) for hour in counts["hours"]]
    ahead = [(hour["at"], None, hour["predicted_count"], hour["naive_count"]) for hour in forecast["hours"]]
    assert len(rows) == 10 * 24
    for (at, *numbers), (shown_at, clock, *shown) in zip(past + ahead, rows, strict=True):
        assert (shown_at, clock) == (at, at[11:16])
        assert [number(text) for text in shown] == pytest.approx(numbers, abs=0.0501)
    lines = page.locator("#chart path.line").evaluate_all("all => all.map(line => line.getAttribute('d').length)")
    assert all(length > 300 for length in lines)
    assert len(lines) == 3


def _pressed(element: Locator) -> bool:
    return element.get_attribute("aria-pressed") == "true"


def by_mouse(page: Page, counter: dict) -> None:
    page.mouse.click(*centre(point(page, counter["counter_name"])))


def open_search(page: Page) -> Locator:
    page.get_by_role("combobox").click()
    return page.get_by_role("option")


@contextmanager
def served(home: Path) -> Iterator[httpx.Client]:
    """Serve a home on a free port, and return a client of it."""
    server = uvicorn.Server(uvicorn.Config(create_app(Settings(home=home, quick=True)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        poll(lambda: server.started, 30, "the server")
        host, port = server.servers[0].sockets[0].getsockname()
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(120)
