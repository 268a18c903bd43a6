"""What a city brings along: its file of settings, its portal's addresses, and what is refused in them."""

from pathlib import Path

import pytest

from bike_assets.errors import BikeError
from bike_assets.settings import Settings, load_settings
from bike_assets_tests import bare_environment

environment = bare_environment.environment


CITY = """
timezone = "America/New_York"
holidays_country = "US"
portal_url = "https://data.example.org"
portal_dataset = "bikes"

[portal_fields]
counter_id = "station"
bike_count = "n"
counted_at = "t"
"""


@pytest.fixture
def city(environment, tmp_path):
    """Writes a city's file and names it."""

    def write(text: str = CITY) -> Path:
        path = tmp_path / "city.toml"
        path.write_text(text)
        environment.setenv("BIKE_CITY_FILE", str(path))
        return path

    return write


def test_without_another_city_it_is_paris(environment):
    settings = load_settings()
    assert (settings.timezone, settings.holidays_country) == ("Europe/Paris", "FR")
    assert settings.portal_dataset == "comptage-velo-donnees-compteurs"
    assert len(settings.portal_url.split()) == 2
    assert settings.portal_fields.by_column["bike_count"] == "sum_counts"
    assert set(settings.portal_labels.by_column) == set(settings.portal_fields.by_column)
    assert (settings.named_portal, settings.named_dataset) == (None, None)


def test_another_city_brings_its_own_zone_portal_and_fields(city):
    path = city()
    settings = load_settings()
    assert (settings.timezone, settings.holidays_country) == ("America/New_York", "US")
    assert (settings.portal_url, settings.portal_dataset) == ("https://data.example.org", "bikes")
    assert settings.portal_fields.by_column == {"counter_id": "station", "bike_count": "n", "counted_at": "t"}
    assert settings.portal_labels is None, "the titles of Paris are none of its"
    assert (settings.city_file, settings.named_portal, settings.named_dataset) == (path, None, None)
    assert Settings(city_file=path) == settings


def test_any_setting_may_stand_in_a_citys_file(city):
    city("history_months = 24\noutlier_floor = 50\n" + CITY)
    settings = load_settings()
    assert (settings.history_months, settings.outlier_rule.floor) == (24, 50.0)


def test_the_environment_wins_over_the_citys_file_and_what_is_passed_over_both(environment, city):
    city()
    environment.setenv("BIKE_TIMEZONE", "America/Chicago")
    environment.setenv("BIKE_PORTAL_DATASET", "other-bikes")
    environment.setenv("BIKE_PORTAL_FIELDS__COUNTER_ID", "id")
    settings = load_settings()
    assert (settings.timezone, settings.portal_dataset) == ("America/Chicago", "other-bikes")
    assert settings.portal_fields.by_column == {"counter_id": "id", "bike_count": "n", "counted_at": "t"}
    assert settings.named_dataset == "other-bikes"
    assert Settings(timezone="UTC").timezone == "UTC"


def test_the_place_of_the_weather_is_the_citys_and_both_of_its_numbers(environment, city):
    assert (load_settings().weather_latitude, load_settings().weather_longitude) == (48.8566, 2.3522)
    city()
    assert (load_settings().weather_latitude, load_settings().weather_longitude) == (None, None), "Paris is elsewhere"
    environment.setenv("BIKE_WEATHER", "open_meteo")
    with pytest.raises(BikeError, match="open_meteo needs BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE"):
        load_settings()
    city("weather_latitude = 40.7\n" + CITY)
    with pytest.raises(BikeError, match="of BIKE_WEATHER_LATITUDE and BIKE_WEATHER_LONGITUDE, only one is set"):
        load_settings()


def test_a_tilde_in_the_path_of_a_citys_file_is_the_users_folder(environment, city):
    path = city()
    environment.setenv("HOME", str(path.parent))
    environment.setenv("BIKE_CITY_FILE", "~/city.toml")
    assert load_settings().timezone == "America/New_York"


def test_an_unknown_setting_is_named_with_its_file(city):
    path = city('colour = "red"\nbridges = 3\n' + CITY)
    with pytest.raises(BikeError, match=rf"BIKE_CITY_FILE={path}: bridges, colour: no such setting\."):
        load_settings()


@pytest.mark.parametrize("text", ["a = = b", "timezone = ", "[portal_fields", '{"timezone": "UTC"}'])
def test_a_file_that_is_not_toml_is_named(city, text):
    path = city(text)
    with pytest.raises(BikeError, match=rf"BIKE_CITY_FILE={path} is not TOML: .*(line|end)"):
        load_settings()


def test_a_binary_file_is_named(city):
    path = city()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BikeError, match=rf"BIKE_CITY_FILE={path} is not TOML"):
        load_settings()


@pytest.mark.parametrize("missing", ["nowhere.toml", "."])
def test_a_citys_file_that_cannot_be_read_is_named(environment, tmp_path, missing):
    environment.setenv("BIKE_CITY_FILE", str(tmp_path / missing))
    with pytest.raises(BikeError, match=rf"BIKE_CITY_FILE={tmp_path / missing} cannot be read"):
        load_settings()


@pytest.mark.parametrize(
    ("line", "other", "named"),
    [
        ('timezone = "America/New_York"', 'timezone = "Mars"', "BIKE_TIMEZONE='Mars'"),
        ('counter_id = "station"', 'counter_id = ""', "BIKE_PORTAL_FIELDS__COUNTER_ID=''"),
        ('counter_id = "station"', 'counter_id = "station"\ncolour = "c"', "BIKE_PORTAL_FIELDS__COLOUR='c'"),
        ('counter_id = "station"', "", "BIKE_PORTAL_FIELDS__COUNTER_ID"),
        ('portal_url = "https://data.example.org"', "", "BIKE_PORTAL_URL"),
    ],
)
def test_a_citys_file_with_a_wrong_or_missing_value_is_refused_by_the_name_of_its_setting(city, line, other, named):
    city(CITY.replace(line, other))
    with pytest.raises(BikeError) as refusal:
        load_settings()
    assert str(refusal.value).startswith(named)


def test_paris_by_name_is_refused_beside_another_city(environment, city):
    city()
    environment.setenv("BIKE_SOURCE", "paris")
    with pytest.raises(BikeError, match=r"BIKE_SOURCE=paris.*BIKE_CITY_FILE.*BIKE_SOURCE=portal"):
        load_settings()
    environment.setenv("BIKE_SOURCE", "portal")
    assert load_settings().source == "portal"


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("http://127.0.0.1:8100", "http://127.0.0.1:8100"),
        ("https://data.example.org/", "https://data.example.org"),
        ("https://new.example.org  https://old.example.org/", "https://new.example.org https://old.example.org"),
        ("http://[::1]:8100", "http://[::1]:8100"),
    ],
)
def test_a_portal_is_one_or_several_addresses(environment, named, kept):
    environment.setenv("BIKE_PORTAL_URL", named)
    settings = load_settings()
    assert settings.portal_url == settings.named_portal == kept


def test_the_citys_own_portal_counts_as_not_named(environment):
    environment.setenv("BIKE_PORTAL_URL", load_settings().portal_url)
    assert load_settings().named_portal is None


@pytest.mark.parametrize(
    "url",
    [
        "data.example.org",
        "ftp://data.example.org",
        "https://",
        "https://data.example.org/api/explore/v2.1",
        "https://data.example.org?lang=fr",
        "https://data.example.org,https://other.example.org",
        "https://data.example.org other.example.org",
        "http://[x",
    ],
)
def test_an_invalid_portal_address_is_refused(environment, url):
    environment.setenv("BIKE_PORTAL_URL", url)
    with pytest.raises(BikeError) as refusal:
        load_settings()
    assert str(refusal.value).startswith(f"BIKE_PORTAL_URL={url!r} is not accepted: ")


def test_the_key_of_a_portal_is_not_shown(environment):
    environment.setenv("BIKE_PORTAL_API_KEY", "open-sesame")
    settings = load_settings()
    assert settings.portal_api_key.get_secret_value() == "open-sesame"
    assert "open-sesame" not in repr(settings)
    assert "open-sesame" not in str(settings)


def test_a_city_without_an_address_is_refused_and_no_secret_is_shown(monkeypatch, tmp_path):
    city = tmp_path / "city.toml"
    city.write_text(
        'timezone = "UTC"\nholidays_country = "US"\nportal_dataset = "x"\n'
        '[portal_fields]\ncounter_id = "a"\nbike_count = "b"\ncounted_at = "c"\n'
    )
    monkeypatch.setenv("BIKE_CITY_FILE", str(city))
    monkeypatch.setenv("BIKE_PORTAL_API_KEY", "open-sesame")
    with pytest.raises(BikeError, match="BIKE_PORTAL_URL is not set") as refusal:
        load_settings()
    assert "open-sesame" not in str(refusal.value)


@pytest.mark.parametrize("url", ["http://localhost:abc", "http://localhost:99999", "http://localhost#part"])
def test_an_address_with_an_impossible_port_or_a_part_is_refused(monkeypatch, url):
    monkeypatch.setenv("BIKE_PORTAL_URL", url)
    with pytest.raises(BikeError, match="BIKE_PORTAL_URL"):
        load_settings()


def test_the_file_of_paris_is_recognized_by_any_path(monkeypatch):
    from bike_assets.settings import PARIS

    monkeypatch.chdir(PARIS.parent)
    monkeypatch.setenv("BIKE_SOURCE", "paris")
    monkeypatch.setenv("BIKE_CITY_FILE", "paris.toml")
    assert load_settings().is_paris
