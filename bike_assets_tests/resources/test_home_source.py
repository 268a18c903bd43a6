"""Which source a home has: decided by the settings, or once by asking the portal, and kept from then on."""

import dataclasses
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from bike_assets.core.local_time import hours_of
from bike_assets.errors import BikeError, SourceUnavailableError
from bike_assets.home.record import Home, describe_source, recorded_home
from bike_assets.resources import home_source
from bike_assets.resources import portal as portal_module
from bike_assets.resources.counts_source import open_source
from bike_assets.resources.home_source import claim_home, outline_home, yesterday
from bike_assets.resources.portal import Portal
from bike_assets.settings import Settings
from bike_assets.simulator.publication import PublishedTable
from bike_assets_tests.conftest import PORTAL_DATASET
from bike_assets_tests.export_files import ZONE
from bike_assets_tests.resources.conftest import EXPORTED_FROM, EXPORTED_UNTIL

pytestmark = pytest.mark.dated

FIRST, LAST, UNTIL = EXPORTED_FROM, EXPORTED_UNTIL, date(2025, 5, 31)
NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
FIELDS = Settings().portal_fields


@pytest.fixture
def portal(serve_portal):
    """A portal that answers; its last day is UNTIL."""
    table = PublishedTable(FIELDS, ZONE)
    table.put(pd.DataFrame({"counter_id": "a", "counted_at": hours_of(UNTIL, ZONE)["counted_at"], "bike_count": 1}))
    return serve_portal(table, NOW)


def auto(folder, url: str, **changes) -> Settings:
    return Settings(home=folder, portal_url=url, portal_dataset=PORTAL_DATASET, **changes)


def simulated(folder, **changes) -> Settings:
    return Settings(home=folder, source="simulator", simulator_counters=6, **changes)


def from_file(folder, export, **changes) -> Settings:
    return Settings(home=folder, source="file", counts_file=export, **changes)


def test_outlining_a_home_writes_nothing(folder, export, deaf_address):
    for settings in (simulated(folder), from_file(folder, export), auto(folder, deaf_address)):
        outline_home(settings, UNTIL)
    assert not folder.exists()


def test_a_simulated_home_begins_the_months_of_history_before_its_last_day(folder):
    home = outline_home(simulated(folder, history_months=3, seed=5), date(2025, 5, 31))
    assert home == Home(folder, "simulator", date(2025, 3, 1), None, ZONE, seed=5, counters=6, country="FR")


def test_a_portals_home_begins_the_months_before_the_last_day_it_has_published(folder, portal):
    home = claim_home(auto(folder, portal.url, source="paris", history_months=3))
    assert home == Home(folder, "paris", date(2025, 3, 1), None, ZONE, portal=portal.url, dataset=PORTAL_DATASET)
    assert recorded_home(Settings(home=folder)) == home


@pytest.mark.parametrize(
    ("until", "first"), [(date(2025, 4, 30), date(2025, 2, 1)), (date(2999, 1, 1), date(2025, 3, 1))]
)
def test_a_portals_home_as_of_a_day_begins_the_months_before_that_day(folder, portal, until, first):
    assert claim_home(auto(folder, portal.url, source="paris", history_months=3), until).first_day == first


def test_a_configured_portal_that_does_not_answer_creates_no_home(folder, deaf_address):
    with pytest.raises(SourceUnavailableError, match=f"{deaf_address} cannot be reached"):
        claim_home(auto(folder, deaf_address, source="paris", portal_attempts=1), UNTIL)
    assert not folder.exists()


def test_a_configured_portal_without_rows_creates_no_home(folder, serve_portal):
    empty = serve_portal(PublishedTable(FIELDS, ZONE), NOW)
    with pytest.raises(SourceUnavailableError, match=f"{empty.url} has no rows in {PORTAL_DATASET}"):
        claim_home(auto(folder, empty.url, source="paris"), UNTIL)
    assert not folder.exists()


def test_a_new_home_with_a_future_end_is_outlined_as_of_yesterday(folder):
    outlined = outline_home(simulated(folder), date(2999, 1, 1))
    assert outlined == outline_home(simulated(folder))
    assert outlined.first_day < yesterday(ZONE) < date(2999, 1, 1)


def test_yesterday_is_the_day_before_the_local_today():
    zones = ("Pacific/Kiritimati", "Pacific/Pago_Pago")
    east, west = (yesterday(zone) for zone in zones)
    assert east - west in {timedelta(days=1), timedelta(days=2)}


@pytest.mark.parametrize("until", [date(1, 1, 1), date(1600, 1, 1), date(1989, 12, 31)])
def test_a_new_home_for_days_before_calendars_are_known_is_refused(folder, until):
    with pytest.raises(BikeError, match=f"--until {until} is too long ago"):
        outline_home(simulated(folder), until)
    assert outline_home(simulated(folder, history_months=120), date(1990, 1, 1)).first_day == date(1980, 1, 2)


def test_a_file_home_has_the_local_days_of_the_file(folder, export):
    home = outline_home(from_file(folder, export))
    assert (home.source, home.first_day, home.last_day, home.file) == ("file", FIRST, LAST, export)


def test_a_file_that_is_named_without_its_source_is_refused(folder, export):
    with pytest.raises(BikeError, match="set BIKE_SOURCE=file"):
        outline_home(Settings(home=folder, counts_file=export))


def test_a_file_source_without_a_file_is_refused(folder):
    with pytest.raises(BikeError, match="needs BIKE_COUNTS_FILE"):
        outline_home(Settings(home=folder, source="file"))


def test_later_settings_do_not_move_a_recorded_home(folder):
    made = claim_home(simulated(folder, seed=5), UNTIL)
    later = claim_home(simulated(folder, seed=6, history_months=24), date(2026, 1, 1))
    assert later == made == recorded_home(Settings(home=folder))
    assert later.seed == 5


def test_auto_is_not_decided_while_a_home_is_only_outlined(folder, portal):
    home = outline_home(auto(folder, portal.url), UNTIL)
    assert home.source is None
    assert (home.first_day, home.timezone) == (date(2024, 5, 1), ZONE)
    assert "not decided yet" in describe_source(home)
    assert not portal.requests


def test_auto_chooses_the_portal_if_it_answers(folder, portal):
    home = claim_home(auto(folder, portal.url), UNTIL)
    assert (home.source, home.portal, home.dataset) == ("paris", portal.url, PORTAL_DATASET)
    assert (home.reason, home.seed) == (None, None)
    assert recorded_home(Settings(home=folder)) == home
    assert portal.url in describe_source(home)
    assert "synthetic" not in describe_source(home)


def test_auto_chooses_the_simulator_if_the_portal_does_not_answer_and_records_why(folder, deaf_address):
    home = claim_home(auto(folder, deaf_address, seed=5, simulator_counters=6), UNTIL)
    assert (home.source, home.portal, home.seed, home.counters, home.country) == ("simulator", None, 5, 6, "FR")
    assert f"{deaf_address} cannot be reached" in home.reason
    for description in (describe_source(home), describe_source(recorded_home(Settings(home=folder)))):
        assert "synthetic counts of 6 invented counters" in description
        assert home.reason in description


@pytest.mark.parametrize("fault", ["error_503", "html", "quota", "malformed_json", "reset"])
def test_auto_chooses_the_simulator_if_the_portals_answer_is_invalid(folder, portal, fault):
    portal.fail(fault, None)
    home = claim_home(auto(folder, portal.url), UNTIL)
    assert home.source == "simulator"
    assert home.reason
    assert len(portal.requests) == 1, "auto is a question, not a siege"


def test_auto_chooses_the_simulator_if_the_dataset_is_not_published(folder, portal):
    home = claim_home(auto(folder, portal.url).model_copy(update={"portal_dataset": "trees"}), UNTIL)
    assert home.source == "simulator"
    assert "has no dataset trees" in home.reason


def test_auto_chooses_the_simulator_if_nothing_is_published(folder, serve_portal):
    home = claim_home(auto(folder, serve_portal(PublishedTable(FIELDS, ZONE), NOW).url), UNTIL)
    assert home.source == "simulator"
    assert f"has no rows in {PORTAL_DATASET}" in home.reason


def test_auto_does_not_wait_for_a_silent_portal(folder, portal, monkeypatch):
    monkeypatch.setattr(portal_module, "QUICK_SECONDS", 0.2)
    portal.fail("timeout", None)
    home = claim_home(auto(folder, portal.url), UNTIL)
    assert home.source == "simulator"
    assert f"{portal.url} did not answer in time" in home.reason


def test_auto_does_not_wait_for_names_that_do_not_resolve_in_time(folder, portal, monkeypatch):
    monkeypatch.setattr(home_source, "ANSWER_WITHIN_SECONDS", 0.2)
    portal.fail("timeout", None)
    assert f"the portal ({portal.url}) did not answer within" in claim_home(auto(folder, portal.url), UNTIL).reason


def test_auto_stays_the_simulator_when_the_portal_comes_back(folder, portal):
    portal.fail("error_503", None)
    settings = auto(folder, portal.url)
    first = claim_home(settings, UNTIL)
    portal.heal()
    portal.requests.clear()
    assert claim_home(settings) == outline_home(settings) == first
    assert not portal.requests


def test_auto_stays_the_portal_when_it_no_longer_answers(folder, portal):
    settings = auto(folder, portal.url, portal_attempts=1)
    first = claim_home(settings, UNTIL)
    portal.fail("error_503", None)
    assert claim_home(settings) == outline_home(settings) == first
    with pytest.raises(SourceUnavailableError, match="503"):
        open_source(first, settings).read(UNTIL, UNTIL)


def test_auto_keeps_what_the_home_was_made_for(folder, export):
    claim_home(from_file(folder, export))
    home = claim_home(Settings(home=folder, source="auto"))
    assert (home.source, home.file, home.first_day) == ("file", export, FIRST)


def test_two_concurrent_claims_follow_the_first(folder, portal, monkeypatch):
    other = dataclasses.replace(outline_home(simulated(folder), UNTIL), reason="the portal did not answer the other")
    ask = Portal.newest_hour

    def meanwhile(*arguments, **options):
        other.claim()
        return ask(*arguments, **options)

    monkeypatch.setattr(Portal, "newest_hour", meanwhile)
    assert claim_home(auto(folder, portal.url), UNTIL) == other
    assert portal.requests


def test_another_citys_portal_is_called_a_portal_and_that_of_paris_paris(folder, tmp_path, portal):
    city = tmp_path / "city.toml"
    city.write_text(
        'timezone = "America/New_York"\nholidays_country = "US"\n'
        f'portal_url = "{portal.url}"\nportal_dataset = "{PORTAL_DATASET}"\n'
        '[portal_fields]\ncounter_id = "id_compteur"\nbike_count = "sum_counts"\ncounted_at = "date"\n'
    )
    home = claim_home(Settings(home=folder, city_file=city), UNTIL)
    assert (home.source, home.portal, home.timezone) == ("portal", portal.url, "America/New_York")
    assert outline_home(auto(tmp_path / "other", portal.url, source="portal"), UNTIL).source == "paris"


def test_a_simulated_city_of_another_country_keeps_its_holidays(folder, deaf_address):
    assert claim_home(auto(folder, deaf_address, holidays_country="DE"), UNTIL).country == "DE"
