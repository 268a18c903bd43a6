"""The page at `/` as people use it, in a real browser: found, chosen, read, told what is wrong, and never outside."""

import json
import math
import re
import shutil
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from bike_assets.resources.registry import SUMMARY, LocalRegistry
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, poll
from bike_assets_tests.whole.test_run import CHROMIUM
from serving.server import create_app

pytestmark = pytest.mark.slow
PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2021, 10, 8, 1, tzinfo=PARIS)
"""The day after the last one of counts; in New York it is still the evening of that one."""
MARKUP = '<img src=x onerror="window.hurt=1"><b>Rue</b>'
FAR_AWAY = "America/New_York"
NONE = "\u2013"
LIGATURE = "Œuvre d\u2019Orléans"


@contextmanager
def served(home: Path) -> Iterator[httpx.Client]:
    """Serve a home on a free port, and give a client of it."""
    server = uvicorn.Server(uvicorn.Config(create_app(Settings(home=home, quick=True)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        poll(lambda: server.started, 30, "the server")
        host, port = server.servers[0].sockets[0].getsockname()
        with httpx.Client(base_url=f"http://{host}:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)


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


class Visitor:
    """Somebody who opens the page, and what their browser complained of meanwhile."""

    def __init__(self, browser: Browser, api: httpx.Client) -> None:
        self._browser, self._api = browser, api
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.pages: list[Page] = []

    def open(self, path: str = "/", *, answers: dict[str, Any] | None = None, **options: Any) -> Page:
        """Open the page in a browser of its own; `answers` are given in place of the API's, by path."""
        context = self._browser.new_context(**{"timezone_id": FAR_AWAY, "locale": "fr-FR", **options})
        page = context.new_page()
        self.pages.append(page)
        page.set_default_timeout(10_000)
        page.clock.install(time=NOW)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        for asked, answer in (answers or {}).items():
            page.route(re.compile(rf"{re.escape(asked)}(\?|$)"), answering(answer))
        page.goto(str(self._api.base_url.join(path)))
        return page

    def times(self, part: str) -> int:
        """How often the browser asked for addresses with a part."""
        return sum(part in url for url in self.asked)

    def hosts(self) -> set[str]:
        """Whom the browser asked."""
        return {urlsplit(url).netloc for url in self.asked}


def answering(answer: Any) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=answer)


@pytest.fixture
def visitor(browser: Browser, api: httpx.Client) -> Iterator[Visitor]:
    visitor = Visitor(browser, api)
    yield visitor
    for page in visitor.pages:
        page.context.close()
    assert visitor.complaints == []
    assert visitor.hosts() <= {api.base_url.netloc.decode()}


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


def sentence(forecast: dict, day: date) -> str:
    """What the page has to say of a day."""
    hours = [hour for hour in forecast["hours"] if hour["at"].startswith(day.isoformat())]
    busiest = max(hours, key=lambda hour: hour["predicted_count"])
    total = about(sum(hour["predicted_count"] for hour in hours))
    most = about(busiest["predicted_count"])
    return f"{total} bikes, busiest at {busiest['at'][11:16]} with about {most}."


def expect_shown(page: Page, api: httpx.Client, counter: dict) -> None:
    """Everything on the page is about this counter, with the very numbers of the API."""
    name, asked = counter["counter_name"], quote(counter["counter_id"])
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page).to_have_title(f"{name} {NONE} Bike traffic")
    assert page.get_by_role("combobox").input_value() == name
    assert [pressed.get_attribute("data-counter") for pressed in points(page).all() if _pressed(pressed)] == [
        counter["counter_id"]
    ]
    counts, forecast = api.get(f"/counts/{asked}?days=7").json(), api.get(f"/forecast/{asked}?days=3").json()
    tomorrow = LAST_DAY + timedelta(days=2)
    expect(page.locator("#summary")).to_have_text(f"Tomorrow, Saturday 9 October: about {sentence(forecast, tomorrow)}")
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


def test_every_counter_is_on_the_map_where_it_stands_and_in_the_search(visitor, counters):
    sites = ((48.85, 2.28), (48.88, 2.35), (48.83, 2.42))
    counters = [
        {**counter, "latitude": latitude, "longitude": longitude}
        for (latitude, longitude), pair in zip(sites, zip(counters[::2], counters[1::2], strict=True), strict=True)
        for counter in pair
    ]
    page = visitor.open(answers={"/counters": counters})
    expect(points(page)).to_have_count(len(counters))
    page.get_by_role("combobox", name="Search by name").click()
    options = page.get_by_role("option")
    assert names(options) == [counter["counter_name"] for counter in counters]
    places = [centre(point(page, counter["counter_name"])) for counter in counters]
    pairs = list(zip(places[::2], places[1::2], strict=True))
    assert all(5 < math.dist(*pair) < 40 for pair in pairs)
    middles = [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in pairs]
    metres = _pixels_per_metre(page)
    for (one, other), (at, there) in zip(pairwise(counters[::2]), pairwise(middles), strict=True):
        shown = [(b - a) / metres for a, b in zip(at, there, strict=True)]
        assert shown == pytest.approx(_metres(one, other), rel=0.02, abs=50)
    most = max(counters, key=lambda counter: counter["last_count"])
    width = {c["counter_id"]: point(page, c["counter_name"]).bounding_box()["width"] for c in counters}
    assert width[most["counter_id"]] == max(width.values())


def _metres(one: dict, other: dict) -> tuple[float, float]:
    north = math.radians(one["latitude"])
    east = math.radians(other["longitude"] - one["longitude"]) * 6_378_137 * math.cos(north)
    return east, math.radians(one["latitude"] - other["latitude"]) * 6_378_137


def _pixels_per_metre(page: Page) -> float:
    number, unit = page.locator(".ground .scale-label").first.text_content().split()
    return page.locator(".scale").evaluate("bar => bar.getBBox().width") / (float(number) * {"m": 1, "km": 1000}[unit])


def by_mouse(page: Page, counter: dict) -> None:
    page.mouse.click(*centre(point(page, counter["counter_name"])))


def by_keyboard_on_the_map(page: Page, counter: dict) -> None:
    target = centre(point(page, counter["counter_name"]))
    page.get_by_role("combobox").focus()
    page.keyboard.press("Tab")
    for _ in range(20):
        at = centre(page.locator(":focus"))
        if page.locator(":focus").get_attribute("data-counter") == counter["counter_id"]:
            break
        dx, dy = (b - a for a, b in zip(at, target, strict=True))
        along = ("ArrowRight" if dx > 0 else "ArrowLeft") if abs(dx) > abs(dy) else "ArrowDown" if dy > 0 else "ArrowUp"
        page.keyboard.press(along)
    expect(page.locator(".point-name")).to_have_text(counter["counter_name"])
    page.keyboard.press("Enter")


def by_keyboard_in_the_list(page: Page, counter: dict) -> None:
    place = names(_opened(page)).index(counter["counter_name"])
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    for _ in range(len(names(page.get_by_role("option")))):
        active = page.get_by_role("combobox").get_attribute("aria-activedescendant")
        if active == f"option-{place}":
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


def by_search(page: Page, counter: dict) -> None:
    accented = re.sub("[AEIOU]", lambda vowel: f"{vowel[0]}\u0301", counter["counter_name"].upper())
    page.get_by_role("combobox").focus()
    page.keyboard.type(unicodedata.normalize("NFC", accented))
    expect(page.locator("#found")).to_have_text(re.compile("^[12] counters?$"))
    page.keyboard.press("Enter")


def _opened(page: Page) -> Locator:
    page.get_by_role("combobox").click()
    return page.get_by_role("option")


@pytest.mark.parametrize("choose", [by_mouse, by_keyboard_on_the_map, by_keyboard_in_the_list, by_search])
def test_a_chosen_counter_is_shown_with_the_very_numbers_of_the_api(visitor, api, counters, choose):
    page = visitor.open()
    first = max(counters, key=lambda counter: counter["last_count"])
    expect_shown(page, api, first)
    chosen = next(counter for counter in reversed(counters) if counter != first)
    choose(page, chosen)
    expect_shown(page, api, chosen)
    assert page.url.endswith(f"#counter={quote(chosen['counter_id'])}")


def test_a_bookmark_shows_its_counter_and_the_way_back_the_one_before(visitor, api, counters):
    first, second = counters[1], counters[4]
    page = visitor.open(f"/#counter={quote(first['counter_id'])}")
    expect_shown(page, api, first)
    by_mouse(page, second)
    expect_shown(page, api, second)
    page.go_back()
    expect_shown(page, api, first)


def test_a_bookmark_of_no_counter_is_told_and_another_can_be_chosen(visitor, api, counters):
    page = visitor.open("/#counter=%3Cb%3Enowhere")
    expect(page.locator("#summary")).to_contain_text("There is no counter “<b>nowhere” in this city.")
    expect(page.locator("#fact-model")).to_be_visible()
    expect(page.locator("#table")).to_be_hidden()
    by_mouse(page, counters[2])
    expect_shown(page, api, counters[2])


def test_the_head_tells_champion_and_freshness(visitor, api):
    champion = api.get("/champion").json()
    page = visitor.open()
    facts = page.locator("#facts dd")
    expect(facts.nth(0)).to_have_text(f"{champion['family'].replace('_', ' ')}, version {champion['version']}")
    expect(facts.nth(1)).to_have_text(f"{champion['r2_current']:.3f}")
    promoted = date.fromisoformat(champion["promoted_on"])
    expect(facts.nth(2)).to_have_text(f"{promoted.day} {promoted:%b} {promoted.year}")
    expect(facts.nth(3)).to_have_text("Thu 7 Oct, 1 day old")
    expect(page.get_by_role("status").filter(has_text="counts")).to_have_count(0)
    expect(page.get_by_role("link", name="API documentation")).to_have_attribute("href", "docs")


def test_old_counts_are_called_old_and_no_day_is_called_tomorrow(visitor):
    page = visitor.open()
    expect(page.locator("#summary")).to_contain_text("Tomorrow")
    page.clock.fast_forward(timedelta(days=30).total_seconds() * 1000)
    expect(page.locator("#fact-counts")).to_have_text("Thu 7 Oct, 31 days old")
    expect(page.locator("#notice")).to_contain_text("every day that is forecast here has passed")
    expect(page.locator("#summary")).to_contain_text(re.compile("^Friday 8 October: about"))


def test_the_chart_is_read_by_pointer_and_by_keyboard(visitor, api, counters):
    asked = quote(counters[0]["counter_id"])
    page = visitor.open(f"/#counter={asked}")
    counts, forecast = api.get(f"/counts/{asked}?days=7").json(), api.get(f"/forecast/{asked}?days=3").json()
    expect(page.locator("#table tbody")).to_have_count(10)
    chart = page.get_by_role("img", name=re.compile("Last week and the next days"))
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 100)
    expect(page.locator("#moment")).to_have_text(re.compile(r"^Friday 1 October, 0[0-3]:00$"))
    expect(page.locator("#series")).to_contain_text(re.compile(rf"Counted \d+ *Forecast \d+ *As in .+ {NONE}"))
    slider = page.get_by_role("slider", name="Hour to read")
    slider.press("Home")
    first = counts["hours"][0]
    told = f"Counted {first['bike_count']:,}, Forecast {about(first['predicted_count'])}"
    expect(slider).to_have_attribute("aria-valuetext", f"Friday 1 October, 00:00: {told}")
    slider.press("End")
    slider.press("ArrowLeft")
    before_last = forecast["hours"][-2]
    expect(page.locator("#moment")).to_have_text("Sunday 10 October, 22:00")
    expect(page.locator("#series li").nth(1)).to_have_text(f"Forecast {about(before_last['predicted_count'])}")
    expect(page.locator("#series li").nth(2)).to_have_text(
        f"As in the weeks before {about(before_last['naive_count'])}"
    )
    hair, end = page.locator(".hair").bounding_box(), page.locator(".end").bounding_box()
    assert end["x"] < hair["x"]
    days_after = (box["x"] + box["width"] - 10 - end["x"]) / (box["width"] - 54) * 10
    assert days_after == pytest.approx(3, abs=0.05)


def test_a_day_of_25_hours_is_as_long_and_its_hour_that_comes_twice_is_told_apart(visitor, counters):
    shown = counters[0]
    known = {"counter_id": shown["counter_id"], "counter_name": shown["counter_name"], "timezone": "Europe/Paris"}
    start = datetime(2021, 10, 30, tzinfo=PARIS).timestamp()
    hours = [datetime.fromtimestamp(start + 3600 * n, PARIS).isoformat() for n in range(24 + 25 + 24)]
    counts = {
        **known,
        "counts_until": "2021-10-30",
        "hours": [{"at": at, "bike_count": n, "predicted_count": 1.5} for n, at in enumerate(hours[:24])],
    }
    ahead = [{"at": at, "horizon_days": 1, "predicted_count": 2.0, "naive_count": 2.5} for at in hours[24:]]
    forecast = {**known, "counts_until": "2021-10-30", "family": "blend", "version": 1, "known_counter": False}
    page = visitor.open(
        f"/#counter={quote(shown['counter_id'])}",
        answers={
            f"/counts/{quote(shown['counter_id'])}": counts,
            f"/forecast/{quote(shown['counter_id'])}": {**forecast, "hours": ahead},
        },
    )
    expect(page.locator("tr[data-at]")).to_have_count(73)
    clocks = page.locator("tbody").nth(1).locator("th[scope=row]").all_text_contents()
    assert clocks[1:5] == ["01:00", "02:00 (UTC+02:00)", "02:00 (UTC+01:00)", "03:00"]
    expect(page.locator("#summary")).to_contain_text("Sunday 31 October: about 50 bikes")
    expect(page.locator("#remark")).to_have_text("The model has not learned from this counter.")
    starts = [line.bounding_box()["x"] for line in page.locator(".day").all()]
    assert (starts[2] - starts[1]) / (starts[1] - starts[0]) == pytest.approx(25 / 24, rel=0.01)


def test_names_states_and_missing_places_are_told_in_words_and_never_as_markup(visitor, api, counters):
    changed = [dict(counter) for counter in counters]
    changed[0].update(counter_name=MARKUP, state="new", last_count=500)
    changed[1].update(counter_name=LIGATURE, latitude=None, longitude=None)
    changed[2].update(state="silent")
    changed[3].update(state="gone", has_forecast=False, last_counted_at=None, last_count=None)
    changed[4].update(latitude=0.0, longitude=0.0)
    gone = changed[3]
    page = visitor.open(answers={"/counters": changed})
    expect(points(page)).to_have_count(4)
    expect(page.locator("#map-states")).to_contain_text("without a place on the map, only in the search: 2")
    options = _opened(page)
    assert names(options)[:2] == [MARKUP, LIGATURE]
    page.keyboard.type("oeuvre orleans")
    expect(options).to_have_count(1)
    page.keyboard.press("Control+A")
    page.keyboard.type("onerror")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    expect(page.locator(".point-name")).to_have_text(MARKUP)
    expect(page.locator("caption")).to_contain_text(MARKUP)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hurt") is None
    expect(page.locator("#chosen-state")).to_contain_text("new, counting for less than four weeks; last count")
    shapes = {point.locator(".mark").evaluate("mark => mark.tagName + mark.getAttribute('d')") for point in _all(page)}
    assert len(shapes) == 4
    assert any("silent, counted nothing for three days or more" in label for label in _labels(page))
    by_mouse(page, gone)
    expect(page.locator("#summary")).to_contain_text(
        f"There is no forecast: {gone['counter_name']} has counted nothing"
    )
    expect(page.locator("#chosen-state")).to_contain_text("gone, not seen for four weeks or more")
    assert visitor.times(f"/forecast/{gone['counter_id']}") == 0


def _all(page: Page) -> list[Locator]:
    return points(page).all()


def _labels(page: Page) -> list[str]:
    return [element.get_attribute("aria-label") or "" for element in _all(page)]


def test_times_are_the_citys_wherever_the_browser_is(visitor, api, counters):
    page = visitor.open(f"/#counter={quote(counters[0]['counter_id'])}")
    assert page.evaluate("new Date().getDate()") == 7
    last = datetime.fromisoformat(counters[0]["last_counted_at"]).astimezone(PARIS)
    expect(page.locator("#chosen-state")).to_contain_text(f"last count Thursday 7 October, {last:%H:%M}: ")
    expect(page.locator("#days li").first).to_contain_text("Fri 8Today")
    expect(page.get_by_role("contentinfo")).to_contain_text("Europe/Paris")


def test_it_is_quiet_while_nothing_changes_and_follows_a_new_champion(visitor, api, home, counters):
    registry = LocalRegistry(home / "registry")
    champion = registry.read().champion
    kept = (registry.folder / SUMMARY).read_bytes()
    page = visitor.open()
    first = max(counters, key=lambda counter: counter["last_count"])
    expect_shown(page, api, first)
    points(page).nth(2).focus()
    page.evaluate(
        "window.changes = 0; new MutationObserver(seen => { window.changes += seen.length })"
        ".observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true})"
    )
    poll(lambda: page.clock.fast_forward(61_000) or visitor.times("/forecast/") > 2, 10, "two more looks")
    assert page.evaluate("window.changes") == 0
    try:
        registry.add(champion.model_copy(update={"version": 9, "fingerprint": "other", "is_champion": False}))
        registry.promote(9, LAST_DAY.isoformat())
        poll(lambda: api.get("/champion").json()["version"] == 9, 10, "the promotion")
        by_mouse(page, counters[2])
        expect_shown(page, api, counters[2])
        expect(page.locator("#fact-model")).to_contain_text("version 9")
    finally:
        (registry.folder / SUMMARY).write_bytes(kept)
    poll(lambda: api.get("/champion").json()["version"] == champion.version, 10, "the champion before")
    before = visitor.times("/forecast/")
    poll(lambda: page.clock.fast_forward(61_000) or visitor.times("/forecast/") > before, 10, "another look")
    expect(page.locator("#fact-model")).to_contain_text(f"version {champion.version}")


def test_what_cannot_be_read_is_told_in_the_apis_sentence_until_it_can_be(visitor, api, home):
    summary = home / "registry" / SUMMARY
    kept = summary.read_bytes()
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    expect(page.locator("#notice")).to_be_hidden()
    try:
        summary.write_text("{")
        poll(lambda: api.get("/readyz").json()["status"] == "degraded", 10, "the trouble")
        page.clock.fast_forward(61_000)
        detail = api.get("/readyz").json()["troubles"][0]["detail"]
        expect(page.get_by_role("status").filter(has_text=detail)).to_be_visible()
        expect(page.locator("#table tbody")).to_have_count(10)
    finally:
        summary.write_bytes(kept)
    poll(lambda: api.get("/readyz").json()["status"] == "ready", 10, "the end of the trouble")
    page.clock.fast_forward(61_000)
    expect(page.locator("#notice")).to_be_hidden()


def test_without_a_champion_it_says_what_the_api_says_and_shows_the_city_once_there_is_one(
    browser, home, tmp_path, counters
):
    with served(tmp_path / "empty") as empty:
        visitor = Visitor(browser, empty)
        page = visitor.open()
        detail = empty.get("/readyz").json()["detail"]
        expect(page.get_by_role("status").filter(has_text=detail)).to_be_visible()
        assert "no champion yet" in detail
        expect(page.locator("#city")).to_be_hidden()
        shutil.copytree(home, tmp_path / "empty", dirs_exist_ok=True)
        poll(lambda: empty.get("/readyz").json().get("status") == "ready", 20, "the champion")
        page.clock.fast_forward(6_000)
        expect(points(page)).to_have_count(len(counters))
        expect(page.locator("#notice")).to_be_hidden()
        page.context.close()
    assert all("503" in complaint for complaint in visitor.complaints)


def test_a_server_that_went_away_is_told_and_what_was_read_stays(visitor):
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    page.context.set_offline(True)
    page.clock.fast_forward(61_000)
    expect(page.locator("#notice")).to_have_text("The server does not answer. This page goes on asking.")
    expect(page.locator("#table tbody")).to_have_count(10)
    page.context.set_offline(False)
    page.clock.fast_forward(6_000)
    expect(page.locator("#notice")).to_be_hidden()
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = (c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map(linear);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, noscript")) continue;
    const style = getComputedStyle(element);
    const colour = channels(element instanceof SVGElement ? style.fill : style.color);
    const [low, high] = [light(colour), light(behind(element))].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), texts.currentNode.data.trim()]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off_and_everything_can_be_read_and_touched(visitor, api, counters, scheme):
    changed = [dict(counter) for counter in counters]
    changed[0]["counter_name"] = "Pontnational" * 12
    page = visitor.open(
        viewport={"width": 360, "height": 760},
        has_touch=True,
        is_mobile=True,
        color_scheme=scheme,
        reduced_motion="reduce",
        answers={"/counters": changed},
    )
    expect(page.locator("#table tbody")).to_have_count(10)
    page.locator("summary").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert max(cell.bounding_box()["height"] for cell in page.locator("tr[data-at] th").all()[::24]) < 40
    ratios = page.evaluate(CONTRASTS)
    assert len(ratios) > 700
    assert [(ratio, text) for ratio, text in ratios if ratio < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground))) < 60) == (scheme == "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    page.get_by_role("combobox").tap()
    options = page.get_by_role("option")
    assert min(option.bounding_box()["height"] for option in options.all()) >= 44
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    options.filter(has_text="Pontnational").tap()
    expect(page.get_by_role("heading", name="Pontnational")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    x, y = centre(point(page, counters[5]["counter_name"]))
    page.locator("#map").scroll_into_view_if_needed()
    x, y = centre(point(page, counters[5]["counter_name"]))
    page.touchscreen.tap(x, y + 12)
    expect(page.get_by_role("heading", name=counters[5]["counter_name"])).to_be_in_viewport()


NAMED = {"button", "link", "combobox", "slider", "option", "listbox", "image", "region", "table", "navigation"}


def test_everything_has_a_role_and_a_name_and_the_headings_are_in_order(visitor, counters):
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    _opened(page)
    session = page.context.new_cdp_session(page)
    nodes = [node for node in session.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    assert [role for role, name in found if role in NAMED and not name.strip()] == []
    roles = [role for role, _ in found]
    assert {"main", "banner", "contentinfo", "navigation", "combobox", "listbox", "slider", "image"} <= set(roles)
    assert roles.count("option") == roles.count("button") == len(counters)
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(heading => Number(heading.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("#summary").get_attribute("aria-live") == "polite"
    unlabelled = page.locator("svg").evaluate_all(
        "all => all.filter(svg => !svg.closest('[aria-hidden=true]')"
        " && !(svg.getAttribute('role') && svg.getAttribute('aria-labelledby'))).length"
    )
    assert unlabelled == 0


STANDS_OUT = """at => getComputedStyle(at).outlineStyle !== "none"
  || getComputedStyle(at.querySelector(".mark")).strokeWidth === "3px"
"""


def test_the_tab_key_meets_everything_once_and_each_shows_that_it_has_the_focus(visitor):
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    met = []
    for _ in range(6):
        page.keyboard.press("Tab")
        met.append(page.locator(":focus").evaluate("at => at.id || at.dataset.counter || at.textContent"))
        assert page.locator(":focus").evaluate(STANDS_OUT), met[-1]
    chosen = page.locator("[aria-pressed=true]").get_attribute("data-counter")
    assert met[:5] == ["skip", "API documentation", "search", chosen, "hour"]
    assert "table" in met[5]
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_be_focused()


def test_without_javascript_it_names_what_there_is_instead(visitor):
    page = visitor.open(java_script_enabled=False, viewport={"width": 360, "height": 760})
    told = page.get_by_role("main")
    assert told.inner_text().startswith("This page needs JavaScript.")
    assert told.locator("noscript a").all_inner_texts() == ["/docs", "/counters"]
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_is_served_strictly_and_freshly_and_is_no_part_of_the_api(api):
    for path, kind in (("/", "text/html"), ("/page/page.js", "javascript"), ("/page/icon.svg", "image/svg+xml")):
        answer = api.get(path)
        assert kind in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert api.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert api.head("/").status_code == 200
    assert api.get("/page/../server.py").status_code == 404
    assert api.get("/page/nothing.js").status_code == 404
    assert not [path for path in json.loads(api.get("/openapi.json").text)["paths"] if path in ("/", "/page")]
