"""The report: one file with the figures of the home, that requests nothing."""

import base64
import re
from html.parser import HTMLParser

import pytest

from bike_assets.commands.report.page import write_report
from bike_assets.errors import BikeError
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City, claim


class Cells(HTMLParser):
    """The texts of a page's cells, row by row, and the addresses it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in {"src", "href"}]
        self._in_cell = tag in {"td", "th"}
        if tag == "tr":
            self.rows.append([])
        if self._in_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def page(city: City) -> str:
    return write_report(city.settings, None).read_text(encoding="utf-8")


def test_it_is_stored_in_the_home_and_requests_nothing(city: City, page):
    assert (city.home.folder / "report.html").read_text(encoding="utf-8") == page
    addresses = Cells(page).addresses
    assert len(addresses) == 2
    for address in addresses:
        kind, _, content = address.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)


def test_its_figures_are_those_of_the_audit(city: City, page):
    rows = Cells(page).rows
    [live] = city.query(
        "SELECT r2, rmse FROM monitoring_audit.newest_performance_metrics "
        "WHERE day = @day AND role = 'champion' AND horizon_days = 1",
        day=LAST_DAY,
    ).to_dict("records")
    [champion] = [row for row in rows if row[0] == "champion"]
    assert (champion[1], champion[4]) == (f"{live['r2']:.3f}", f"{live['rmse']:.1f}")
    [decided] = city.query(
        "SELECT decision, reason FROM monitoring_audit.newest_retrain_decisions WHERE day = @day", day=LAST_DAY
    ).to_dict("records")
    assert [str(LAST_DAY), decided["decision"]] == next(row[:2] for row in rows if row[0] == str(LAST_DAY))
    serving = city.resource("registry").read().champion
    assert any(row[1:2] == [f"{serving.family} {serving.version}"] and "evaluation" in row for row in rows)
    assert ["baseline is not regressed", "holds", "double_evaluation"] in [row[:3] for row in rows]
    assert "synthetic counts of 6 invented counters" in page


def test_names_are_texts_and_never_markup(city: City):
    registry = city.resource("registry")
    text = (registry.folder / "summary.json").read_text()
    family = registry.read().champion.family
    (registry.folder / "summary.json").write_text(text.replace(f'"{family}"', '"<script>alert(1)</script>"'))
    assert "<script>" not in write_report(city.settings, None).read_text(encoding="utf-8")


def test_an_empty_home_and_an_unwritable_path_are_refused(city: City, tmp_path):
    with pytest.raises(BikeError, match="holds no counts yet"):
        write_report(Settings(home=tmp_path / "none"), None)
    claim(tmp_path / "claimed")
    with pytest.raises(BikeError, match="holds no counts yet"):
        write_report(Settings(home=tmp_path / "claimed"), None)
    with pytest.raises(BikeError, match="cannot be written"):
        write_report(city.settings, tmp_path / "nowhere" / "report.html")
