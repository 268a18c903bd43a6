"""Counters on the map and in the search, the one that is chosen, and the chart of it."""

import math
import re
import unicodedata
from datetime import datetime
from itertools import pairwise
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from bike_assets_tests.serving.page.visits import (
    NONE,
    PARIS,
    about,
    by_mouse,
    centre,
    expect_shown,
    names,
    open_search,
    point,
    points,
)

pytestmark = pytest.mark.slow


def test_every_counter_is_on_the_map_at_its_position_and_in_the_search(visitor, counters):
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
    place = names(open_search(page)).index(counter["counter_name"])
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


@pytest.mark.parametrize("choose", [by_mouse, by_keyboard_on_the_map, by_keyboard_in_the_list, by_search])
def test_a_chosen_counter_is_shown_with_the_numbers_of_the_api(visitor, api, counters, choose):
    page = visitor.open()
    first = max(counters, key=lambda counter: counter["last_count"])
    expect_shown(page, api, first)
    chosen = next(counter for counter in reversed(counters) if counter != first)
    choose(page, chosen)
    expect_shown(page, api, chosen)
    assert page.url.endswith(f"#counter={quote(chosen['counter_id'])}")


def test_a_bookmark_shows_its_counter_and_going_back_shows_the_previous_one(visitor, api, counters):
    first, second = counters[1], counters[4]
    page = visitor.open(f"/#counter={quote(first['counter_id'])}")
    expect_shown(page, api, first)
    by_mouse(page, second)
    expect_shown(page, api, second)
    page.go_back()
    expect_shown(page, api, first)


def test_a_bookmark_of_an_unknown_counter_is_reported_and_another_can_be_chosen(visitor, api, counters):
    page = visitor.open("/#counter=%3Cb%3Enowhere")
    expect(page.locator("#summary")).to_contain_text("There is no counter “<b>nowhere” in this city.")
    expect(page.locator("#fact-model")).to_be_visible()
    expect(page.locator("#table")).to_be_hidden()
    by_mouse(page, counters[2])
    expect_shown(page, api, counters[2])


def test_the_chart_is_read_by_pointer_and_by_keyboard(visitor, api, counters):
    counter_id = quote(counters[0]["counter_id"])
    page = visitor.open(f"/#counter={counter_id}")
    counts, forecast = api.get(f"/counts/{counter_id}?days=7").json(), api.get(f"/forecast/{counter_id}?days=3").json()
    expect(page.locator("#table tbody")).to_have_count(10)
    chart = page.get_by_role("img", name=re.compile("Last week and the next days"))
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 100)
    expect(page.locator("#moment")).to_have_text(re.compile(r"^Friday 1 October, 0[0-3]:00$"))
    expect(page.locator("#series")).to_contain_text(re.compile(rf"Counted \d+ *Forecast \d+ *As in .+ {NONE}"))
    slider = page.get_by_role("slider", name="Hour to read")
    slider.press("Home")
    first = counts["hours"][0]
    reading = f"Counted {first['bike_count']:,}, Forecast {about(first['predicted_count'])}"
    expect(slider).to_have_attribute("aria-valuetext", f"Friday 1 October, 00:00: {reading}")
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


def test_a_day_of_25_hours_is_wider_and_its_repeated_hour_shows_the_offset(visitor, counters):
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
    expect(page.locator("#remark")).to_have_text("The model did not learn from this counter.")
    starts = [line.bounding_box()["x"] for line in page.locator(".day").all()]
    assert (starts[2] - starts[1]) / (starts[1] - starts[0]) == pytest.approx(25 / 24, rel=0.01)
