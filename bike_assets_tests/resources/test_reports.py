"""Drift reports in a folder and in a bucket: the newest stay, the oldest make room, and metadata name what is there."""

from datetime import date, timedelta

import pytest

from bike_assets.resources.reports import MAX_REPORTS, DriftReports, report_name
from bike_assets_tests.resources.storages import Storage

API = "http://127.0.0.1:8000"
FIRST = date(2025, 1, 1)


@pytest.fixture
def reports(storage) -> DriftReports:
    return storage.reports()


def write_one(reports: DriftReports, day: date, text: str = "report") -> None:
    with reports.writing(day) as path:
        path.write_text(text)


def write_half_of(reports: DriftReports, day: date) -> None:
    with reports.writing(day) as path:
        path.write_text("half of i")
        raise ZeroDivisionError


def fill(storage: Storage, days: int) -> None:
    """Put reports there as if they had been written on as many days, one after the other."""
    for number in range(days):
        storage.write(report_name(FIRST + timedelta(days=number)), b"report")


def test_a_report_is_stored_once_although_the_answer_got_lost(storage, reports, monkeypatch):
    write_one(reports, FIRST)
    # What a client finds that repeats a write: the report that it stored itself, with another generation.
    monkeypatch.setattr("bike_assets.resources.gcs.BucketFolder.generation", lambda *_: None)
    write_one(reports, FIRST)
    assert reports.read("drift-2025-01-01.html") == b"report"


def test_a_day_has_one_report(storage, reports):
    write_one(reports, FIRST)
    write_one(reports, FIRST, "again")
    assert storage.names() == ["drift-2025-01-01.html"]
    assert reports.read("drift-2025-01-01.html") == b"again"


def test_the_oldest_reports_are_deleted_for_the_newest(storage, reports):
    for number in range(MAX_REPORTS + 3):
        write_one(reports, FIRST + timedelta(days=number))
    assert storage.names() == [report_name(FIRST + timedelta(days=number)) for number in range(3, MAX_REPORTS + 3)]


def test_the_first_thirty_reports_stay(storage, reports):
    fill(storage, MAX_REPORTS)
    write_one(reports, FIRST, "again")
    assert len(storage.names()) == MAX_REPORTS == 30
    assert reports.read(report_name(FIRST)) == b"again"


def test_a_new_report_of_an_old_day_stays(storage, reports):
    fill(storage, MAX_REPORTS + 15)
    storage.remove(report_name(FIRST))
    write_one(reports, FIRST, "made again")
    assert reports.metadata(FIRST, API)
    assert len(storage.names()) == MAX_REPORTS


def test_an_unfinished_report_leaves_the_old_one(storage, reports):
    write_one(reports, FIRST)
    with pytest.raises(ZeroDivisionError):
        write_half_of(reports, FIRST)
    assert storage.names() == [report_name(FIRST)]
    assert reports.read(report_name(FIRST)) == b"report"


def test_a_day_without_enough_rows_leaves_no_report(storage, reports):
    with reports.writing(FIRST):
        pass
    assert storage.names() == []
    assert reports.metadata(FIRST, API) == {}


def test_other_files_are_neither_deleted_nor_returned(storage, reports):
    storage.write("a-note.html", b"mine")
    fill(storage, MAX_REPORTS + 5)
    write_one(reports, FIRST + timedelta(days=60))
    assert storage.read("a-note.html") == b"mine"
    assert reports.read("a-note.html") is None
    assert reports.read("../summary.json") is None


def test_metadata_link_to_an_existing_report(storage, reports):
    write_one(reports, FIRST)
    metadata = reports.metadata(FIRST, API)
    assert metadata["report"].value == f"{API}/reports/drift-2025-01-01.html"
    assert metadata["report_file"] == f"{storage}/drift-2025-01-01.html"
    assert reports.metadata(FIRST + timedelta(days=1), API) == {}


def test_reading_the_metadata_of_a_day_without_a_report_deletes_none(storage, reports):
    assert reports.metadata(FIRST, API) == {}
    assert storage.names() == []
    fill(storage, MAX_REPORTS)
    assert reports.metadata(FIRST + timedelta(days=MAX_REPORTS + 1), API) == {}
    assert len(storage.names()) == MAX_REPORTS
