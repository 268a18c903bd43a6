"""Which weather a home has, and what becomes of it by local days: over real HTTP, and from a file."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import WEATHER_COLUMNS
from bike_assets.errors import BikeError, SourceUnavailableError
from bike_assets.home.record import Home
from bike_assets.resources.weather_source import FileWeather, NoWeather, ServiceWeather, open_weather
from bike_assets.settings import Settings
from bike_assets.simulator.publication import SimulatedPublication

ZONE = "Europe/Paris"
NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)
YESTERDAY = date(2026, 6, 9)
DAY = timedelta(days=1)
TRUTH = SimulatedWeather(7, ZONE)


def home(folder: Path, source: str, **values) -> Home:
    return Home(folder, source, date(2026, 1, 1), None, ZONE, **values)


@pytest.fixture
def portal(serve_portal, monkeypatch):
    monkeypatch.setattr("bike_assets.resources.weather_source.yesterday", lambda _: YESTERDAY)
    return serve_portal(SimulatedPublication(SimulatedCity(7, 4, ZONE, "FR"), Settings().portal_fields), NOW)


@pytest.fixture
def settings(tmp_path, portal) -> Settings:
    """Settings of a portal's home whose weather service is the simulated one, and which does not keep one waiting."""
    return Settings(
        home=tmp_path,
        weather_archive_url=portal.url,
        weather_forecast_url=portal.url,
        portal_timeout_seconds=30.0,
        portal_attempts=2,
        portal_backoff_seconds=0.001,
    )


@pytest.fixture
def service(tmp_path, settings) -> ServiceWeather:
    source = open_weather(home(tmp_path, "paris"), settings)
    assert isinstance(source, ServiceWeather)
    return source


@pytest.fixture
def file(tmp_path) -> Path:
    rows = [f"2026-06-0{day}T{hour:02}:00Z,{10 * day + hour / 10},0,1,5" for day in (1, 2, 3) for hour in range(24)]
    path = tmp_path / "weather.csv"
    path.write_text("\n".join(["at,temperature_c,rain_mm,wind_mps,cloud_pct", *rows]))
    return path


def truth(span: Span) -> pd.DataFrame:
    """What every hour of some local days was like."""
    start, end = utc_bounds(span.first, ZONE)[0], utc_bounds(span.last, ZONE)[1]
    rows = TRUTH.hours(span.first - DAY, span.last + DAY)
    return rows[(rows["at"] >= start) & (rows["at"] < end)].reset_index(drop=True)


def together(parts) -> pd.DataFrame:
    return pd.concat(list(parts)).sort_values("at").reset_index(drop=True)


@pytest.mark.parametrize("first", [date(2026, 6, 1), date(2026, 3, 20), date(2025, 10, 20)])
def test_every_hour_of_local_days_has_its_own_weather_and_its_own_rain(service, first):
    span = Span(first, min(first + timedelta(days=14), YESTERDAY))
    rows, expected = together(service.observed(span)), truth(span)
    assert len(rows) == len(expected)
    assert rows["at"].tolist() == expected["at"].tolist()
    for name in WEATHER_COLUMNS:
        assert rows[name].tolist() == pytest.approx(expected[name].tolist()), name
    assert expected["rain"].sum() > 0
    assert (rows["implausible"] == 0).all()


def test_a_year_takes_a_few_requests_and_the_newest_days_come_from_the_forecast_first(service, portal):
    span = Span(date(2025, 5, 10), YESTERDAY)
    assert together(service.observed(span))[list(WEATHER_COLUMNS)].notna().all(axis=None)
    paths = [path for path, _, _ in portal.requests]
    assert paths == ["/v1/forecast"] + ["/v1/archive"] * 5
    assert portal.requests[0][1]["start_date"] == "2026-06-03"
    assert portal.requests[1][1]["end_date"] == "2026-06-03"


def test_old_days_come_from_the_archive_alone_and_one_day_in_one_request(service, portal):
    day = date(2026, 2, 1)
    assert len(together(service.observed(Span(day, day)))) == 24
    assert [path for path, _, _ in portal.requests] == ["/v1/archive"]


def test_the_days_ahead_are_a_forecast(service, portal):
    span = Span(YESTERDAY + DAY, YESTERDAY + 3 * DAY)
    rows, later = service.forecast(span), truth(span)
    assert rows["at"].tolist() == later["at"].tolist()
    assert rows[list(WEATHER_COLUMNS)].notna().all(axis=None)
    assert rows["temperature"].tolist() != pytest.approx(later["temperature"].tolist())
    assert abs(rows["temperature"].to_numpy() - later["temperature"]).mean() < 4
    assert [path for path, _, _ in portal.requests] == ["/v1/forecast"]


def test_the_newest_days_are_read_before_a_failing_archive(service, portal):
    days = service.observed(Span(date(2026, 5, 1), YESTERDAY))
    assert len(next(days)) == 6 * 24
    portal.fail("error_503", times=None)
    with pytest.raises(SourceUnavailableError, match="failed with HTTP 503"):
        next(days)


def test_auto_follows_the_source_of_the_counts(tmp_path, settings, file):
    portals = [open_weather(home(tmp_path, source), settings) for source in ("paris", "portal")]
    assert all(each.description.startswith("Open-Meteo at 48.8566, 2.3522 (http://127.0.0.1") for each in portals)
    simulated = open_weather(home(tmp_path, "simulator", seed=7, counters=4, country="FR"), settings)
    assert "synthetic" in simulated.description
    assert open_weather(home(tmp_path, "file"), settings) == NoWeather(
        "the counts are those of a file, and BIKE_WEATHER_FILE is not set"
    )
    named = settings.model_copy(update={"weather_file": file})
    assert isinstance(open_weather(home(tmp_path, "file"), named), FileWeather)


def test_the_simulators_weather_belongs_to_the_homes_city(tmp_path, settings):
    source = open_weather(home(tmp_path, "simulator", seed=7, counters=4, country="FR"), settings)
    span = Span(date(2026, 2, 1), date(2026, 2, 3))
    assert together(source.observed(span))["temperature"].tolist() == truth(span)["temperature"].tolist()


def test_weather_may_have_another_source_than_the_counts(tmp_path, settings):
    for source in ("simulator", "file"):
        named = settings.model_copy(update={"weather": "open_meteo"})
        assert open_weather(home(tmp_path, source), named).description.startswith("Open-Meteo")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"weather": "off"}, "BIKE_WEATHER is off"),
        ({"weather": "simulator"}, "BIKE_WEATHER is simulator, and the counts of this home are not the simulator's"),
        ({"weather_latitude": None, "weather_longitude": None}, "BIKE_WEATHER_LATITUDE and .* are not set"),
    ],
)
def test_a_home_without_weather_has_the_reason(tmp_path, settings, changes, why):
    source = open_weather(home(tmp_path, "portal"), settings.model_copy(update=changes))
    assert isinstance(source, NoWeather)
    assert pd.Series([source.why]).str.fullmatch(why).all()


def test_a_file_returns_its_hours_of_local_days_and_no_forecast(file):
    source = FileWeather(file, ZONE)
    rows = together(source.observed(Span(date(2026, 6, 2), date(2026, 6, 2))))
    assert rows["at"].tolist() == list(pd.date_range("2026-06-01T22:00Z", "2026-06-02T21:00Z", freq="h"))
    assert rows["temperature"].iloc[[0, -1]].tolist() == [12.2, 22.1]
    assert len(together(source.observed(Span(date(2026, 6, 3), date(2026, 6, 30))))) == 26
    assert source.forecast(Span(date(2026, 6, 2), date(2026, 6, 2))).empty


def test_an_invalid_file_is_reported_when_it_is_read(file):
    file.write_text(file.read_text() + "\n2026-06-04T00:00Z,cold,0,1,5\n")
    with pytest.raises(BikeError, match="line 74: temperature_c is 'cold'"):
        list(FileWeather(file, ZONE).observed(Span(date(2026, 6, 2), date(2026, 6, 2))))
