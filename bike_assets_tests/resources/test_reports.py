"""The folder of drift reports: the newest stay, the oldest make room, and metadata name only what is there."""

from datetime import date, timedelta

import pytest

from bike_assets.resources.reports import KEPT, DriftReports

FIRST = date(2025, 1, 1)


@pytest.fixture
def reports(tmp_path) -> DriftReports:
    return DriftReports(tmp_path / "reports")


def write(reports: DriftReports, days: int) -> None:
    for number in range(days):
        reports.path(FIRST + timedelta(days=number)).write_text("report")


def test_a_day_has_one_place(reports):
    path = reports.path(FIRST)
    path.write_text("report")
    assert path.name == "drift-2025-01-01.html"
    assert reports.path(FIRST) == path
    assert path.read_text() == "report"


def test_the_oldest_make_room_for_the_newest(reports):
    write(reports, KEPT + 15)
    kept = sorted(path.name for path in reports.folder.iterdir())
    assert KEPT <= len(kept) <= KEPT + 1
    assert kept[-1] == f"drift-{FIRST + timedelta(days=KEPT + 14)}.html"
    assert kept[0] >= f"drift-{FIRST + timedelta(days=14)}.html"


def test_other_files_in_the_folder_are_left_alone(reports):
    reports.folder.mkdir()
    (reports.folder / "a-note.html").write_text("mine")
    write(reports, KEPT + 5)
    assert (reports.folder / "a-note.html").read_text() == "mine"


def test_metadata_lead_to_a_report_that_is_there(reports):
    write(reports, 1)
    assert reports.metadata(FIRST)["report"].value == str(reports.folder / "drift-2025-01-01.html")
    assert reports.metadata(FIRST + timedelta(days=1)) == {}
