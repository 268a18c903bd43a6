"""Where counts come from: only the days that were asked for, and only the source that the home was made for."""

import dataclasses
import os
from datetime import date, timedelta

import pandas as pd
import pytest

from bike_assets.core.local_time import days_between, local_days
from bike_assets.errors import BikeError
from bike_assets.home import Home
from bike_assets.resources.counts_source import newest_day, open_home, open_source
from bike_assets.settings import Settings
from bike_assets_tests.export_files import ZONE, city_counts, write_export

FIRST, LAST = date(2025, 3, 25), date(2025, 4, 2)
SPRING, UNTIL = date(2025, 3, 30), date(2025, 5, 31)


@pytest.fixture
def export(tmp_path):
    return write_export(tmp_path / "export.csv", city_counts(FIRST, LAST))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home"


def simulated(folder, **changes) -> Settings:
    return Settings(home=folder, source="simulator", simulator_counters=6, **changes)


def from_file(folder, export, **changes) -> Settings:
    return Settings(home=folder, source="file", counts_file=export, **changes)


def read(settings: Settings, first: date, last: date):
    return open_source(open_home(settings, UNTIL if settings.source != "file" else None)).read(first, last)


def days_in(rows: pd.DataFrame) -> set[date]:
    return {each.date() for each in local_days(rows["counted_at"], ZONE)}


@pytest.mark.parametrize("source", ["simulator", "file"])
@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [(SPRING, SPRING, 23), (date(2025, 3, 29), date(2025, 3, 31), 71), (FIRST, LAST, 9 * 24 - 1)],
)
def test_a_source_gives_the_hours_of_the_asked_local_days_and_no_others(folder, export, source, first, last, hours):
    settings = simulated(folder) if source == "simulator" else from_file(folder, export)
    batch = read(settings, first, last)
    assert days_in(batch.rows) == set(days_between(first, last))
    assert batch.rows["counted_at"].nunique() == hours
    assert not batch.rows.duplicated(["counter_id", "counted_at"]).any()
    assert batch.incomplete.empty


def test_both_sources_give_the_same_columns_and_the_same_counts(folder, export):
    columns = ["counter_id", "counted_at"]
    drawn, published = (
        read(settings, SPRING, SPRING).rows.sort_values(columns).reset_index(drop=True)
        for settings in (simulated(folder), from_file(folder, export))
    )
    pd.testing.assert_frame_equal(published[drawn.columns], drawn, check_dtype=False)
    assert str(published["counted_at"].dtype.tz) == str(drawn["counted_at"].dtype.tz) == "UTC"


def test_a_simulated_day_does_not_depend_on_the_days_asked_with_it(folder):
    alone = read(simulated(folder), SPRING, SPRING).rows
    together = read(simulated(folder), FIRST, LAST).rows
    same_day = together[local_days(together["counted_at"], ZONE) == pd.Timestamp(SPRING)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same_day)


def test_days_that_the_file_does_not_have_are_empty(folder, export):
    batch = read(from_file(folder, export), LAST + timedelta(days=1), LAST + timedelta(days=3))
    assert batch.rows.empty
    assert {"counter_id", "counted_at", "bike_count"} <= set(batch.rows.columns)


def test_rows_without_a_count_are_told_with_their_day_and_left_out(folder, tmp_path):
    counts = city_counts(FIRST, LAST).astype({"bike_count": "Int64"})
    empty = counts.index[local_days(counts["counted_at"], ZONE) == pd.Timestamp(SPRING)][:3]
    counts.loc[empty, "bike_count"] = pd.NA
    settings = from_file(folder, write_export(tmp_path / "holes.csv", counts))
    on_the_day, after = read(settings, SPRING, SPRING), read(settings, SPRING + timedelta(days=1), LAST)
    assert sorted(on_the_day.incomplete) == sorted(counts.loc[empty, "counted_at"])
    assert len(on_the_day.rows) == len(read(simulated(folder), SPRING, SPRING).rows) - 3
    assert after.incomplete.empty


def test_a_file_whose_content_changed_since_is_refused(folder, export):
    settings = from_file(folder, export)
    open_home(settings).claim()
    write_export(export, city_counts(FIRST, LAST, seed=21))
    with pytest.raises(BikeError, match=r"export\.csv is another export"):
        open_home(settings)
    home = open_home(Settings(home=folder))
    with pytest.raises(BikeError, match=r"export\.csv is no longer the file"):
        open_source(home).read(SPRING, SPRING)


def test_a_file_that_only_has_another_date_is_the_same_file(folder, export):
    settings = from_file(folder, export)
    open_home(settings).claim()
    os.utime(export, (0, 0))
    assert len(read(settings, SPRING, SPRING).rows)


def test_a_file_that_is_gone_is_named(folder, export):
    settings = from_file(folder, export)
    open_home(settings).claim()
    export.unlink()
    home = open_home(Settings(home=folder))
    with pytest.raises(BikeError, match=r"export\.csv cannot be read"):
        open_source(home).read(SPRING, SPRING)


def test_the_same_export_at_another_place_is_accepted(folder, export, tmp_path):
    open_home(from_file(folder, export)).claim()
    moved = export.rename(tmp_path / "moved.csv")
    settings = from_file(folder, moved)
    assert open_home(settings).file == moved
    assert len(read(settings, SPRING, SPRING).rows)


def test_describing_a_home_writes_nothing(folder, export):
    for settings in (simulated(folder), from_file(folder, export), Settings(home=folder)):
        open_home(settings, UNTIL)
    assert not folder.exists()


def test_a_simulated_home_begins_the_months_of_history_before_its_last_day(folder):
    home = open_home(simulated(folder, history_months=3, seed=5), date(2025, 5, 31))
    assert home == Home(folder, "simulator", date(2025, 3, 1), None, ZONE, seed=5, counters=6, country="FR")


def test_a_new_home_for_days_to_come_is_described_as_of_yesterday(folder):
    described = open_home(simulated(folder), date(2999, 1, 1))
    assert described == open_home(simulated(folder))
    assert described.first_day < newest_day(described) < date(2999, 1, 1)


@pytest.mark.parametrize("until", [date(1, 1, 1), date(1600, 1, 1), date(1989, 12, 31)])
def test_a_new_home_for_days_before_calendars_are_known_is_refused(folder, until):
    with pytest.raises(BikeError, match=f"--until {until} is too long ago"):
        open_home(simulated(folder), until)
    assert open_home(simulated(folder, history_months=120), date(1990, 1, 1)).first_day == date(1980, 1, 2)


def test_a_simulated_city_keeps_the_holidays_that_its_home_was_made_for(folder):
    bastille, day_after = date(2025, 7, 14), date(2025, 7, 15)
    french = open_home(simulated(folder, holidays_country="FR"), UNTIL)
    german = dataclasses.replace(french, country="DE")
    drawn = [open_source(home).read(bastille, bastille).rows["bike_count"].sum() for home in (french, german)]
    assert drawn[0] < 0.9 * drawn[1]
    same = [open_source(home).read(day_after, day_after).rows for home in (french, german)]
    pd.testing.assert_frame_equal(*same)

    french.claim()
    later = open_home(simulated(folder, holidays_country="DE"))
    assert later == french
    assert open_source(later).read(bastille, bastille).rows["bike_count"].sum() == drawn[0]


def test_a_record_that_was_made_before_countries_were_is_a_french_city(folder):
    french = open_home(simulated(folder), UNTIL)
    older = dataclasses.replace(french, country=None)
    pd.testing.assert_frame_equal(*(open_source(each).read(SPRING, SPRING).rows for each in (french, older)))


def test_a_file_home_has_the_local_days_of_the_file(folder, export):
    home = open_home(from_file(folder, export))
    assert (home.source, home.first_day, home.last_day, home.file) == ("file", FIRST, LAST, export)
    assert newest_day(home) == LAST


def test_auto_is_the_simulator(folder):
    assert open_home(Settings(home=folder, source="auto"), UNTIL).source == "simulator"


def test_auto_keeps_what_the_home_was_made_for(folder, export):
    open_home(from_file(folder, export)).claim()
    home = open_home(Settings(home=folder, source="auto"))
    assert (home.source, home.file, home.first_day) == ("file", export, FIRST)


def test_later_settings_do_not_move_a_recorded_home(folder):
    open_home(simulated(folder, seed=5), UNTIL).claim()
    later = open_home(simulated(folder, seed=6, history_months=24), date(2026, 1, 1))
    assert later == open_home(simulated(folder, seed=5), UNTIL)
    assert later.seed == 5


def test_a_file_that_is_named_without_its_source_is_refused(folder, export):
    with pytest.raises(BikeError, match="set BIKE_SOURCE=file"):
        open_home(Settings(home=folder, counts_file=export))


def test_a_file_source_without_a_file_is_refused(folder):
    with pytest.raises(BikeError, match="needs BIKE_COUNTS_FILE"):
        open_home(Settings(home=folder, source="file"))


def test_the_description_says_whether_counts_are_real(folder, export):
    real = open_source(open_home(from_file(folder, export))).description
    invented = open_source(open_home(simulated(folder), UNTIL)).description
    assert str(export) in real
    assert "synthetic" in invented
    assert "synthetic" not in real


def test_the_real_counts_of_a_day_are_read(folder, shared_data):
    settings = from_file(folder, shared_data / "paris_counts_2020-09_2021-06.parquet")
    home = open_home(settings)
    assert (home.first_day, home.last_day) == (date(2020, 9, 1), date(2021, 6, 30))
    rows = open_source(home).read(date(2021, 3, 28), date(2021, 3, 28)).rows
    assert days_in(rows) == {date(2021, 3, 28)}
    assert rows["counted_at"].nunique() == 23
    assert rows["counter_id"].nunique() > 40
