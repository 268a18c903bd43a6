"""Phones, keyboards, screen readers and browsers without scripts: all users can read and use the page."""

import json
import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from bike_assets_tests.serving.page.visits import centre, open_search, point

pytestmark = pytest.mark.slow


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
def test_on_a_phone_everything_fits_is_readable_and_can_be_touched(visitor, api, counters, scheme):
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
    open_search(page)
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


HAS_VISIBLE_FOCUS = """at => getComputedStyle(at).outlineStyle !== "none"
  || getComputedStyle(at.querySelector(".mark")).strokeWidth === "3px"
"""


def test_the_tab_key_reaches_everything_once_with_a_visible_focus(visitor):
    page = visitor.open()
    expect(page.locator("#table tbody")).to_have_count(10)
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.locator(":focus").evaluate("at => at.id || at.dataset.counter || at.textContent"))
        assert page.locator(":focus").evaluate(HAS_VISIBLE_FOCUS), reached[-1]
    chosen = page.locator("[aria-pressed=true]").get_attribute("data-counter")
    assert reached[:5] == ["skip", "API documentation", "search", chosen, "hour"]
    assert "table" in reached[5]
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_be_focused()


def test_without_javascript_the_page_links_to_the_alternatives(visitor):
    page = visitor.open(java_script_enabled=False, viewport={"width": 360, "height": 760})
    main = page.get_by_role("main")
    assert main.inner_text().startswith("This page needs JavaScript.")
    assert main.locator("noscript a").all_inner_texts() == ["/docs", "/counters"]
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_has_strict_headers_is_revalidated_and_is_not_in_the_document(api):
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
