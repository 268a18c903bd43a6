"""The outline of an export file: which days a home gets, and which files are refused before one is made."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from bike_assets.core.export_outline import outline_export
from bike_assets.core.portal_export import read_export
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import DifferingRowsError
from bike_assets.errors import BikeError

FIELDS = PortalFields(counter_id="counter", bike_count="bikes", counted_at="hour")
FORM = PublishedForm(FIELDS, None, "Europe/Paris", "Europe/Paris", "refuse", 60)
NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)


@pytest.fixture
def export(tmp_path):
    """Writes an export of one counter from its times; returns its path."""

    def write(*times: str):
        path = tmp_path / "counts.csv"
        path.write_text("counter,hour,bikes\n" + "".join(f"a,{time},3\n" for time in times))
        return path

    return write


def june(hours: int = 200, end: str = "+02:00") -> list[str]:
    return [f"2026-06-{1 + hour // 24:02}T{hour % 24:02}:00:00{end}" for hour in range(hours)]


def test_a_file_with_offsets_needs_no_zone(export):
    outline = outline_export(export(*june()), FORM, NOW)
    assert (outline.first_day, outline.last_day) == (date(2026, 6, 1), date(2026, 6, 9))
    assert (outline.naive_zone, outline.rows_without_day) == (None, 0)


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC"])
def test_the_zone_of_times_without_an_offset_is_reported(export, zone):
    assert outline_export(export(*june(end="")), replace(FORM, naive_zone=zone), NOW).naive_zone == zone


def test_days_in_the_future_bound_nothing_and_are_counted(export):
    outline = outline_export(export(*june(), "2099-01-01T00:00:00+01:00", ""), FORM, NOW)
    assert (outline.last_day, outline.rows_without_day) == (date(2026, 6, 9), 2)


@pytest.mark.parametrize("stray", ["1970-01-01T01:00:00+01:00", "2024-06-01T00:00:00+02:00"])
def test_a_few_rows_years_away_are_refused_with_their_day(export, stray):
    with pytest.raises(BikeError, match=rf"counts\.csv: 1 row\(s\) from {stray[:10]}.*the other 200"):
        outline_export(export(stray, *june()), FORM, NOW)


def test_a_pause_of_years_between_many_rows_is_no_slip(export):
    times = [time.replace("2026", "2023") for time in june(50)]
    assert outline_export(export(*times, *june()), FORM, NOW).first_day == date(2023, 6, 1)


def test_a_file_of_the_future_is_refused(export):
    with pytest.raises(BikeError, match="no row with a counter, a count and a date that is over"):
        outline_export(export("2099-01-01T00:00:00+01:00"), FORM, NOW)


def test_rows_that_differ_are_refused_with_the_column_that_distinguishes_them(tmp_path):
    path = tmp_path / "counts.csv"
    ways = [(time, count, way) for time in june(48) for count, way in ((3, "IN"), (5, "OUT"))]
    rows = "".join(f"{number},a,{time},{count},{way}\n" for number, (time, count, way) in enumerate(ways))
    path.write_text(f"row,counter,hour,bikes,direction\n{rows}")
    with pytest.raises(
        DifferingRowsError, match=r'The column direction distinguishes them.*\["counter", "direction"\]'
    ):
        outline_export(path, FORM, NOW)
    for form in (
        replace(FORM, repeated_rows="add"),
        replace(FORM, fields=FIELDS.model_copy(update={"counter_id": ("counter", "direction")})),
    ):
        assert outline_export(path, form, NOW).last_day == date(2026, 6, 2)


def test_dates_without_an_hour_are_refused_at_the_door(export):
    with pytest.raises(BikeError, match=r"every hour is a date without an hour.*hour_of_day under \[portal_fields\]"):
        outline_export(export("2026-06-01", "2026-06-02", "2026-06-03"), FORM, NOW)


def test_a_date_and_an_hour_in_two_columns_are_a_time_of_the_citys_clock(tmp_path):
    path = tmp_path / "counts.csv"
    rows = "".join(f"a,2026-06-{day:02},{hour},3\n" for day in (1, 2) for hour in range(24))
    path.write_text(f"counter,date,hour,bikes\n{rows}")
    fields = PortalFields(counter_id="counter", bike_count="bikes", counted_at="date", hour_of_day="hour")
    form = PublishedForm(fields, None, "Australia/Melbourne", "Australia/Melbourne", "refuse", 60)
    outline = outline_export(path, form, NOW)
    assert (outline.first_day, outline.last_day) == (date(2026, 6, 1), date(2026, 6, 2))
    hours = read_export(path, form)["counted_at"].dt.tz_convert("Australia/Melbourne").dt.hour
    assert hours.tolist() == [*range(24), *range(24)]
    path.write_text("counter,date,hour,bikes\na,2026-06-01,24,3\n")
    with pytest.raises(BikeError, match="line 2: date is '2026-06-01'"):
        outline_export(path, form, NOW)


def test_counts_of_15_minutes_without_a_word_are_refused_with_the_line_that_settles_it(export):
    quarters = [time.replace(":00:00+", f":{minute}:00+") for time in june(48) for minute in ("00", "15", "30", "45")]
    with pytest.raises(BikeError, match=r"if counts cover 15 minutes, interval_minutes = 15 adds them up"):
        outline_export(export(*quarters), FORM, NOW)
    assert outline_export(export(*quarters), replace(FORM, interval_minutes=15), NOW).last_day == date(2026, 6, 2)


def test_exact_doubles_are_no_error(export):
    assert outline_export(export(*june(), *june()), FORM, NOW).first_day == date(2026, 6, 1)
