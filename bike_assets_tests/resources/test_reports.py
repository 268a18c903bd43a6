"""The folder of drift reports: the newest stay, the oldest make room, and metadata name only what is there."""

from datetime import date, timedelta

import pytest

from bike_assets.resources.reports import KEPT, DriftReports

API = "http://127.0.0.1:8000"
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
    assert kept == [f"drift-{FIRST + timedelta(days=number)}.html" for number in range(15, KEPT + 15)]


def test_the_first_thirty_all_stay(reports):
    write(reports, KEPT)
    assert len(list(reports.folder.iterdir())) == KEPT == 30
    reports.path(FIRST).write_text("again")
    assert len(list(reports.folder.iterdir())) == KEPT
    assert reports.path(FIRST).read_text() == "again"


def test_an_old_day_that_is_made_again_has_its_report(reports):
    write(reports, KEPT + 15)
    reports.path(FIRST).write_text("made again")
    assert reports.metadata(FIRST, API)
    assert len(list(reports.folder.iterdir())) == KEPT


def test_other_files_in_the_folder_are_left_alone(reports):
    reports.folder.mkdir()
    (reports.folder / "a-note.html").write_text("mine")
    write(reports, KEPT + 5)
    assert (reports.folder / "a-note.html").read_text() == "mine"


def test_metadata_lead_to_a_report_that_is_there(reports):
    write(reports, 1)
    assert reports.metadata(FIRST, API)["report"].value == f"{API}/reports/drift-2025-01-01.html"
    assert reports.metadata(FIRST + timedelta(days=1), API) == {}


def test_asking_for_the_metadata_of_a_day_without_a_report_removes_none(reports):
    assert reports.metadata(FIRST, API) == {}
    assert not reports.folder.exists()
    write(reports, KEPT)
    assert reports.metadata(FIRST + timedelta(days=KEPT + 1), API) == {}
    assert len(list(reports.folder.iterdir())) == KEPT
