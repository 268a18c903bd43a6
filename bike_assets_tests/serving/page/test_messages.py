"""The page's texts about champion, freshness, times and troubles; names are never markup."""

import re
import shutil
from datetime import date, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.registry import SUMMARY
from bike_assets_tests.conftest import LAST_DAY, poll
from bike_assets_tests.serving.page.visits import (
    LIGATURE,
    MARKUP,
    PARIS,
    Visitor,
    by_mouse,
    expect_shown,
    names,
    open_search,
    points,
    served,
)

pytestmark = pytest.mark.slow


def test_the_head_shows_champion_and_freshness(visitor, api):
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


def test_old_counts_are_marked_as_old_and_no_day_is_called_tomorrow(visitor):
    page = visitor.open()
    expect(page.locator("#summary")).to_contain_text("Tomorrow")
    page.clock.fast_forward(timedelta(days=30).total_seconds() * 1000)
    expect(page.locator("#fact-counts")).to_have_text("Thu 7 Oct, 31 days old")
    expect(page.locator("#notice")).to_contain_text("every forecast day here has passed")
    expect(page.locator("#summary")).to_contain_text(re.compile("^Friday 8 October: about"))


def test_names_states_and_missing_positions_are_shown_as_text_and_never_as_markup(visitor, api, counters):
    changed = [dict(counter) for counter in counters]
    changed[0].update(counter_name=MARKUP, state="new", last_count=500)
    changed[1].update(counter_name=LIGATURE, latitude=None, longitude=None)
    changed[2].update(state="silent")
    changed[3].update(state="gone", has_forecast=False, last_counted_at=None, last_count=None)
    changed[4].update(latitude=0.0, longitude=0.0)
    gone = changed[3]
    page = visitor.open(answers={"/counters": changed})
    expect(points(page)).to_have_count(4)
    expect(page.locator("#map-states")).to_contain_text("not on the map, only in the search: 2")
    options = open_search(page)
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


def test_times_are_local_to_the_city_in_any_browser_zone(visitor, api, counters):
    page = visitor.open(f"/#counter={quote(counters[0]['counter_id'])}")
    assert page.evaluate("new Date().getDate()") == 7
    last = datetime.fromisoformat(counters[0]["last_counted_at"]).astimezone(PARIS)
    expect(page.locator("#chosen-state")).to_contain_text(f"last count Thursday 7 October, {last:%H:%M}: ")
    expect(page.locator("#days li").first).to_contain_text("Fri 8Today")
    expect(page.get_by_role("contentinfo")).to_contain_text("Europe/Paris")


def test_the_page_redraws_nothing_without_changes_and_follows_a_new_champion(visitor, api, home, counters):
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
    poll(lambda: page.clock.fast_forward(61_000) or visitor.times("/forecast/") > 2, 10, "two more refreshes")
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
    poll(lambda: page.clock.fast_forward(61_000) or visitor.times("/forecast/") > before, 10, "another refresh")
    expect(page.locator("#fact-model")).to_contain_text(f"version {champion.version}")


def test_a_trouble_is_shown_in_the_apis_words_until_it_ends(visitor, api, home):
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


def test_without_a_champion_the_page_shows_the_apis_message_and_then_the_city(browser, home, tmp_path, counters):
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
    assert all("503" in error for error in visitor.errors)


def test_a_lost_server_is_reported_and_the_last_data_stay(visitor):
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    page.context.set_offline(True)
    page.clock.fast_forward(61_000)
    expect(page.locator("#notice")).to_have_text("The server does not answer. This page keeps trying.")
    expect(page.locator("#table tbody")).to_have_count(10)
    page.context.set_offline(False)
    page.clock.fast_forward(6_000)
    expect(page.locator("#notice")).to_be_hidden()
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in visitor.errors)
    visitor.errors.clear()
