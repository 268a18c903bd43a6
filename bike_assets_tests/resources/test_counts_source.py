"""Where counts come from: only the days that were asked for, all rows of them, and only the source of the home."""

import dataclasses
import os
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from bike_assets.core.export_outline import outline_export
from bike_assets.core.local_time import days_between, hours_of, local_days
from bike_assets.core.portal_fields import PortalFields
from bike_assets.errors import BikeError, SourceUnavailableError
from bike_assets.home.record import Home
from bike_assets.resources.counts_source import open_source
from bike_assets.resources.home_source import claim_home, outline_home
from bike_assets.settings import Settings
from bike_assets.simulator.publication import PublishedTable
from bike_assets_tests.conftest import PORTAL_DATASET
from bike_assets_tests.export_files import ZONE, city_counts, write_export
from bike_assets_tests.resources.conftest import EXPORTED_FROM, EXPORTED_UNTIL

FIRST, LAST = EXPORTED_FROM, EXPORTED_UNTIL
SPRING, UNTIL = date(2025, 3, 30), date(2025, 5, 31)
AUTUMN = date(2025, 10, 26)
NOW = datetime(2025, 11, 3, 8, 30, tzinfo=UTC)
FIELDS = Settings().portal_fields
TEXTS = ["counter_id", "counter_name", "site_id", "site_name"]


@pytest.fixture
def portal_has(serve_portal):
    """Publishes rows on a portal in November 2025; opens it as the source of a home of some zone."""

    def portal_has(rows: pd.DataFrame, zone: str = ZONE, fields: PortalFields = FIELDS):
        table = PublishedTable(fields, zone)
        table.put(rows)
        url = serve_portal(table, NOW).url
        settings = Settings(
            portal_url=url, portal_dataset=PORTAL_DATASET, portal_fields=fields, timezone=zone, portal_attempts=1
        )
        home = Home(settings.home_folder, "paris", FIRST, None, zone, portal=url, dataset=PORTAL_DATASET)
        return open_source(home, settings)

    return portal_has


def simulated(folder, **changes) -> Settings:
    return Settings(home=folder, source="simulator", simulator_counters=6, **changes)


def from_file(folder, export, **changes) -> Settings:
    return Settings(home=folder, source="file", counts_file=export, **changes)


def opened(settings: Settings):
    return open_source(outline_home(settings, UNTIL if settings.source != "file" else None), settings)


def read(settings: Settings, first: date, last: date):
    return opened(settings).read(first, last)


def days_in(rows: pd.DataFrame) -> set[date]:
    return {each.date() for each in local_days(rows["counted_at"], ZONE)}


def plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of their keys, categories as text."""
    return rows.astype(dict.fromkeys(TEXTS, object)).sort_values(["counter_id", "counted_at"], ignore_index=True)


def hourly(days: list[date], zone: str = ZONE, counter: str = "a") -> pd.DataFrame:
    """One counter's rows for every hour of some local days."""
    hours = pd.concat([hours_of(day, zone) for day in days])["counted_at"]
    return pd.DataFrame({"counter_id": counter, "counted_at": hours, "bike_count": 1}).reset_index(drop=True)


@pytest.mark.parametrize("source", ["simulator", "file"])
@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [(SPRING, SPRING, 23), (date(2025, 3, 29), date(2025, 3, 31), 71), (FIRST, LAST, 9 * 24 - 1)],
)
def test_a_source_returns_exactly_the_hours_of_the_requested_local_days(folder, export, source, first, last, hours):
    settings = simulated(folder) if source == "simulator" else from_file(folder, export)
    batch = read(settings, first, last)
    assert days_in(batch.rows) == set(days_between(first, last))
    assert batch.rows["counted_at"].nunique() == hours
    assert not batch.rows.duplicated(["counter_id", "counted_at"]).any()
    assert batch.rows.notna().all(axis=None)
    assert batch.reported == len(batch.rows)


def test_both_sources_return_the_same_columns_and_counts(folder, export):
    published, exported = (
        plain(read(settings, SPRING, SPRING).rows) for settings in (simulated(folder), from_file(folder, export))
    )
    pd.testing.assert_frame_equal(published, exported)
    assert str(published["counted_at"].dtype.tz) == "UTC"
    drawn = plain(city_counts(SPRING, SPRING)).astype({"bike_count": float, "counted_at": "datetime64[us, UTC]"})
    pd.testing.assert_frame_equal(published[drawn.columns], drawn)


def test_a_simulated_day_does_not_depend_on_the_other_requested_days(folder):
    alone = read(simulated(folder), SPRING, SPRING).rows
    together = read(simulated(folder), FIRST, LAST).rows
    same_day = together[local_days(together["counted_at"], ZONE) == pd.Timestamp(SPRING)]
    pd.testing.assert_frame_equal(plain(alone), plain(same_day))


def test_a_simulated_home_has_nothing_before_its_first_day(folder):
    source = opened(simulated(folder, history_months=3))
    assert days_in(source.read(date(2025, 2, 27), date(2025, 3, 2)).rows) == {date(2025, 3, 1), date(2025, 3, 2)}


@pytest.mark.parametrize("source", ["simulator", "file"])
def test_days_that_a_source_does_not_have_are_empty(folder, export, source):
    settings = simulated(folder) if source == "simulator" else from_file(folder, export)
    first = LAST + timedelta(days=1) if source == "file" else date(2199, 1, 1)
    batch = read(settings, first, first + timedelta(days=2))
    assert batch.rows.empty
    assert batch.reported == 0
    assert list(batch.rows.columns) == list(read(settings, LAST, LAST).rows.columns)


def test_rows_without_a_count_are_among_the_rows_of_their_day(folder, tmp_path):
    counts = city_counts(FIRST, LAST).astype({"bike_count": "Int64"})
    empty = counts.index[local_days(counts["counted_at"], ZONE) == pd.Timestamp(SPRING)][:3]
    counts.loc[empty, "bike_count"] = pd.NA
    settings = from_file(folder, write_export(tmp_path / "holes.csv", counts))
    on_the_day, after = read(settings, SPRING, SPRING), read(settings, SPRING + timedelta(days=1), LAST)
    gaps = on_the_day.rows[on_the_day.rows["bike_count"].isna()]
    assert sorted(gaps["counted_at"]) == sorted(counts.loc[empty, "counted_at"])
    assert len(on_the_day.rows) == on_the_day.reported == len(read(simulated(folder), SPRING, SPRING).rows)
    assert after.rows.notna().all(axis=None)


def test_rows_without_an_id_and_duplicates_of_a_portal_are_all_returned(portal_has):
    rows = hourly([SPRING])
    nameless = rows.iloc[:2].assign(counter_id=None, counter_name="10 avenue [Bike IN]", bike_count=[3, 4])
    corrected = rows.iloc[5:6].assign(bike_count=9)
    batch = portal_has(pd.concat([rows, nameless, corrected])).read(SPRING, SPRING)
    assert len(batch.rows) == batch.reported == 23 + 2 + 1
    assert batch.rows.loc[batch.rows["counter_id"].isna(), "counter_name"].tolist() == ["10 avenue [Bike IN]"] * 2
    same_hour = batch.rows[batch.rows["counted_at"] == rows["counted_at"].iloc[5]]
    assert same_hour["bike_count"].tolist() == [1, 9]


def test_the_time_of_reading_is_by_the_portals_clock(portal_has):
    read_at = portal_has(hourly([SPRING])).read(SPRING, SPRING).read_at
    assert abs(read_at - NOW) < timedelta(minutes=5)


@pytest.mark.parametrize(("zone", "begins"), [("America/New_York", 4), ("Asia/Tokyo", -9), ("UTC", 0)])
def test_the_days_of_another_city_follow_its_zone(portal_has, zone, begins):
    around = [SPRING + timedelta(days=offset) for offset in (-1, 0, 1)]
    batch = portal_has(hourly(around, "UTC"), zone).read(SPRING, SPRING)
    assert batch.rows["counted_at"].min() == pd.Timestamp(SPRING, tz="UTC") + pd.Timedelta(hours=begins)
    assert len(batch.rows) == 24


def test_another_portals_fields_are_renamed_to_ours(portal_has):
    fields = PortalFields(counter_id="station", bike_count="passages", counted_at="heure", site_name="lieu")
    rows = portal_has(hourly([SPRING]).assign(site_name="Pont Neuf"), fields=fields).read(SPRING, SPRING).rows
    assert (rows["counter_id"] == "a").all()
    assert (rows["counter_name"] == "a").all(), "a portal without names has those of the ids"
    assert (rows["site_name"] == "Pont Neuf").all()
    assert rows["latitude"].isna().all()


@pytest.mark.parametrize("day", [AUTUMN, SPRING, date(2025, 6, 1)])
def test_a_portals_newest_day_is_the_last_completely_published_one(portal_has, day):
    rows = hourly([day - timedelta(days=1), day])
    assert portal_has(rows).newest_day() == day
    assert portal_has(rows.iloc[:-1]).newest_day() == day - timedelta(days=1)
    assert portal_has(rows.iloc[:-12]).newest_day() == day - timedelta(days=1)


def test_a_portal_without_rows_has_no_newest_day(portal_has):
    assert portal_has(hourly([SPRING]).iloc[:0]).newest_day() is None


def test_a_portal_that_does_not_answer_is_reported_as_unavailable(deaf_address):
    settings = Settings(portal_url=deaf_address, portal_dataset=PORTAL_DATASET, portal_attempts=1)
    home = Home(settings.home_folder, "paris", FIRST, None, ZONE, portal=deaf_address, dataset=PORTAL_DATASET)
    with pytest.raises(SourceUnavailableError, match=f"{deaf_address} cannot be reached"):
        open_source(home, settings).read(SPRING, SPRING)


def test_the_recorded_portal_is_used_unless_the_settings_name_a_new_address(serve_portal, deaf_address):
    table = PublishedTable(FIELDS, ZONE)
    table.put(hourly([SPRING]))
    url = serve_portal(table, NOW).url
    recorded = Home(Settings().home_folder, "paris", FIRST, None, ZONE, portal=url, dataset=PORTAL_DATASET)
    plain_settings = Settings(portal_attempts=1)
    assert len(open_source(recorded, plain_settings).read(SPRING, SPRING).rows) == 23
    old = dataclasses.replace(recorded, portal=deaf_address)
    moved = Settings(portal_attempts=1, portal_url=f"{url} {deaf_address}")
    assert len(open_source(old, moved).read(SPRING, SPRING).rows) == 23


def test_a_home_without_a_source_cannot_be_opened(folder):
    with pytest.raises(ValueError, match="has no portal"):
        opened(Settings(home=folder, source="auto"))


def test_a_file_with_changed_content_is_refused(folder, export):
    settings = from_file(folder, export)
    claim_home(settings)
    write_export(export, city_counts(FIRST, LAST, seed=21))
    with pytest.raises(BikeError, match=r"export\.csv is another export"):
        outline_home(settings)
    with pytest.raises(BikeError, match=r"export\.csv is no longer the file"):
        opened(Settings(home=folder)).read(SPRING, SPRING)


def test_a_file_with_another_modification_time_is_accepted(folder, export):
    settings = from_file(folder, export)
    claim_home(settings)
    os.utime(export, (0, 0))
    assert len(read(settings, SPRING, SPRING).rows)


def test_a_missing_file_is_named(folder, export):
    claim_home(from_file(folder, export))
    export.unlink()
    with pytest.raises(BikeError, match=r"export\.csv cannot be read"):
        opened(Settings(home=folder)).read(SPRING, SPRING)


def test_the_same_export_at_another_place_is_accepted(folder, export, tmp_path):
    claim_home(from_file(folder, export))
    moved = export.rename(tmp_path / "moved.csv")
    settings = from_file(folder, moved)
    assert outline_home(settings).file == moved
    assert len(read(settings, SPRING, SPRING).rows)


def test_the_first_and_last_day_of_a_file_have_usable_rows(folder, tmp_path):
    counts = city_counts(FIRST, LAST).astype({"bike_count": "Int64"})
    days = local_days(counts["counted_at"], ZONE)
    counts.loc[days == pd.Timestamp(FIRST), "counter_id"] = None
    counts.loc[days == pd.Timestamp(LAST), "bike_count"] = pd.NA
    export = write_export(tmp_path / "holes.csv", counts)
    outline = outline_export(export, Settings().published_form, NOW)
    assert (outline.first_day, outline.last_day) == (FIRST + timedelta(days=1), LAST - timedelta(days=1))


def test_a_files_newest_day_is_its_last_complete_or_not(folder, tmp_path):
    counts = city_counts(FIRST, LAST)
    torn = counts[counts["counted_at"] < pd.Timestamp(LAST, tz=ZONE) + pd.Timedelta(hours=3)]
    assert opened(from_file(folder, write_export(tmp_path / "torn.csv", torn))).newest_day() == LAST


def test_a_simulated_city_keeps_the_holidays_that_its_home_was_made_for(folder):
    bastille, day_after = date(2025, 7, 14), date(2025, 7, 15)
    settings = simulated(folder, holidays_country="FR")
    french = outline_home(settings, UNTIL)
    german = dataclasses.replace(french, country="DE")
    drawn = [open_source(home, settings).read(bastille, bastille).rows["bike_count"].sum() for home in (french, german)]
    assert drawn[0] < 0.9 * drawn[1]
    same = [open_source(home, settings).read(day_after, day_after).rows for home in (french, german)]
    pd.testing.assert_frame_equal(*same)

    french.claim()
    later = simulated(folder, holidays_country="DE")
    assert outline_home(later) == french
    assert read(later, bastille, bastille).rows["bike_count"].sum() == drawn[0]


def test_a_record_without_a_country_uses_the_holidays_of_the_settings(folder):
    settings = simulated(folder)
    french = outline_home(settings, UNTIL)
    older = dataclasses.replace(french, country=None)
    pd.testing.assert_frame_equal(*(open_source(each, settings).read(SPRING, SPRING).rows for each in (french, older)))


def test_a_scenario_changes_the_counts_of_the_simulator(folder):
    undisturbed = read(simulated(folder), FIRST, LAST).rows
    nameless = read(simulated(folder, simulator_scenarios="null_ids"), FIRST, LAST).rows
    assert undisturbed["counter_id"].notna().all()
    assert 0 < nameless["counter_id"].isna().mean() < 0.1
    assert len(nameless) == len(undisturbed)


def test_an_unknown_scenario_is_refused_by_the_source(folder):
    with pytest.raises(BikeError, match="There is no scenario 'rain'"):
        opened(simulated(folder, simulator_scenarios="rain"))


def test_the_description_says_whether_counts_are_real(folder, export):
    real = opened(from_file(folder, export)).description
    invented = opened(simulated(folder)).description
    assert str(export) in real
    assert "synthetic" in invented
    assert "synthetic" not in real


def test_the_real_counts_of_a_day_are_read(folder, shared_data):
    settings = from_file(folder, shared_data / "paris_counts_2020-09_2021-06.parquet")
    home = outline_home(settings)
    assert (home.first_day, home.last_day) == (date(2020, 9, 1), date(2021, 6, 30))
    rows = open_source(home, settings).read(date(2021, 3, 28), date(2021, 3, 28)).rows
    assert days_in(rows) == {date(2021, 3, 28)}
    assert rows["counted_at"].nunique() == 23
    assert rows["counter_id"].nunique() > 40
