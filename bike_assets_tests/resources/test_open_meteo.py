"""The client of the weather service over real HTTP: every hour or a reason, whatever goes wrong on the way."""

import time
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.service_access import Retries
from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.core.simulation import SimulatedCity
from bike_assets.errors import BikeError, SourceUnavailableError, UnreliableAnswerError
from bike_assets.resources.open_meteo import OpenMeteo
from bike_assets.settings import Settings
from bike_assets.simulator.faults import BY_NAME
from bike_assets.simulator.publication import SimulatedPublication

ZONE = "Europe/Paris"
NOW = datetime(2026, 6, 10, 8, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
FIELDS: PortalFields = Settings().portal_fields
COLUMNS = ["temperature", "rain", "wind", "cloud"]
TRUTH = SimulatedWeather(7, ZONE)
LASTING = {
    "quota": "refuses more requests for now: Too many requests.*it is reset in",
    "quota_without_headers": "refuses more requests for now: Too many requests",
    "error_500": "failed with HTTP 500: An unexpected error occurred",
    "error_503": "failed with HTTP 503: The service is unavailable",
    "timeout": "did not answer in time",
    "reset": "broke",
    "truncated": "broke off its answer",
    "truncated_clean": "answer is not JSON",
    "malformed_json": "answer is not JSON",
    "html": "answer is not JSON",
}
"""The error message of each lasting fault."""


@pytest.fixture
def portal(serve_portal):
    return serve_portal(SimulatedPublication(SimulatedCity(7, 4, ZONE, "FR"), FIELDS), NOW)


def as_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows but those of the first day, each with the rain of the hour before it."""
    return rows.assign(rain=rows["rain"].shift(1)).iloc[24:].reset_index(drop=True)


def observed(first: date, last: date) -> pd.DataFrame:
    """The weather that the service should return for some days."""
    return as_published(TRUTH.hours(first - DAY, last))


def client(archive: str, forecast: str | None = None, timeout_seconds: float = 30.0, attempts: int = 3) -> OpenMeteo:
    return OpenMeteo(archive, forecast or archive, 48.8566, 2.3522, Retries(timeout_seconds, attempts, 0.001))


def test_observed_weather_has_every_hour_of_the_days_in_our_columns(portal):
    rows = client(portal.url).observed(TODAY - 10 * DAY, TODAY - 4 * DAY)
    assert list(rows.columns) == ["at", *COLUMNS]
    assert str(rows["at"].dtype) == "datetime64[us, UTC]"
    pd.testing.assert_frame_equal(rows, observed(TODAY - 10 * DAY, TODAY - 4 * DAY))


def test_unknown_values_are_missing_numbers(portal):
    rows = client(portal.url).observed(TODAY - DAY, TODAY)
    assert len(rows) == 48
    assert rows[COLUMNS].isna().all(axis=None)
    assert set(rows[COLUMNS].dtypes.astype(str)) == {"float64"}


def test_a_forecast_has_the_same_form_and_the_newest_days(portal):
    rows = client(portal.url).forecast(TODAY - DAY, TODAY + 3 * DAY)
    pd.testing.assert_frame_equal(rows, as_published(TRUTH.forecast(TODAY - 2 * DAY, TODAY + 3 * DAY, TODAY)))


def test_archive_and_forecast_have_their_own_addresses(portal, deaf_address):
    assert len(client(portal.url, deaf_address).observed(TODAY - 5 * DAY, TODAY - 5 * DAY)) == 24
    assert len(client(deaf_address, portal.url).forecast(TODAY, TODAY)) == 24


def test_the_request_follows_the_documented_protocol(portal):
    client(portal.url).observed(TODAY - 5 * DAY, TODAY - 4 * DAY)
    path, parameters, _ = portal.requests[-1]
    assert path == "/v1/archive"
    assert parameters == {
        "latitude": "48.8566",
        "longitude": "2.3522",
        "start_date": "2026-06-05",
        "end_date": "2026-06-06",
        "hourly": "temperature_2m,rain,wind_speed_10m,cloud_cover",
        "wind_speed_unit": "ms",
        "timezone": "UTC",
    }


@pytest.mark.parametrize(("days", "requests"), [(1, 1), (92, 1), (93, 2), (184, 2), (400, 5)])
def test_a_long_range_is_requested_in_parts_of_92_days_without_gaps(portal, days, requests):
    first = TODAY - 500 * DAY
    last = first + (days - 1) * DAY
    rows = client(portal.url).observed(first, last)
    pd.testing.assert_frame_equal(rows, observed(first, last))
    asked = [
        tuple(date.fromisoformat(each[name]) for name in ("start_date", "end_date")) for _, each, _ in portal.requests
    ]
    assert len(asked) == requests
    assert all((end - start).days < 92 for start, end in asked)


def test_a_range_without_days_is_an_error(portal):
    with pytest.raises(ValueError, match="weather from"):
        client(portal.url).observed(TODAY, TODAY - DAY)


@pytest.mark.parametrize("fault", sorted(set(LASTING) - {"quota"}))
def test_the_weather_is_complete_after_a_passing_fault(portal, fault):
    portal.fail(fault, times=1)
    rows = client(portal.url, timeout_seconds=0.3).observed(TODAY - 5 * DAY, TODAY - 5 * DAY)
    pd.testing.assert_frame_equal(rows, observed(TODAY - 5 * DAY, TODAY - 5 * DAY))
    assert len(portal.requests) == 2


@pytest.mark.parametrize("fault", sorted(name for name, fault in BY_NAME.items() if "weather" in fault.endpoints))
def test_a_lasting_fault_is_an_error_of_one_sentence_after_limited_attempts(portal, fault):
    portal.fail(fault, times=None)
    with pytest.raises((SourceUnavailableError, UnreliableAnswerError), match=LASTING[fault]) as failure:
        client(portal.url, timeout_seconds=0.3).forecast(TODAY, TODAY)
    assert portal.url in str(failure.value)
    assert "\n" not in str(failure.value)
    assert len(portal.requests) == (1 if fault == "quota" else 3)


def test_a_refusal_is_reported_with_its_reason_and_not_retried(portal):
    with pytest.raises(
        SourceUnavailableError, match=r"HTTP 400: Parameter 'end_date' is out of allowed range"
    ) as failure:
        client(portal.url).forecast(TODAY, TODAY + 40 * DAY)
    assert portal.url in str(failure.value)
    assert len(portal.requests) == 1


def test_an_unreachable_service_is_named(deaf_address):
    with pytest.raises(SourceUnavailableError, match=f"{deaf_address} cannot be reached"):
        client(deaf_address).observed(TODAY, TODAY)
    with pytest.raises(SourceUnavailableError, match=r"http://weather\.invalid cannot be reached: the name does not"):
        client("http://weather.invalid", attempts=1).observed(TODAY, TODAY)


def sound_answer() -> dict:
    """A right answer for one day."""
    units = {"temperature_2m": "°C", "rain": "mm", "wind_speed_10m": "m/s", "cloud_cover": "%"}
    times = [f"{TODAY}T{hour:02}:00" for hour in range(24)]
    return {
        "hourly_units": {"time": "iso8601", **units},
        "hourly": {"time": times, **{name: [1] * 24 for name in units}},
    }


def test_whole_numbers_and_nulls_are_numbers(serve_answer):
    answer = sound_answer()
    answer["hourly"]["cloud_cover"][3] = None
    rows = client(serve_answer(answer)).observed(TODAY, TODAY)
    assert rows["rain"].tolist() == [1.0] * 24
    assert rows["cloud"].isna().tolist() == [hour == 3 for hour in range(24)]
    assert rows["cloud"].dtype == rows["rain"].dtype == "float64"


def test_an_endless_slow_answer_fails(serve_answer):
    dripping = client(serve_answer(sound_answer(), seconds=0.01), timeout_seconds=0.05, attempts=1)
    began = time.monotonic()
    with pytest.raises(SourceUnavailableError, match="did not answer in time"):
        dripping.observed(TODAY, TODAY)
    assert time.monotonic() - began < 3


def changed(key: str, name: str, value: object) -> dict:
    answer = sound_answer()
    answer[key] = {**answer[key], name: value}
    return {**answer, key: {each: content for each, content in answer[key].items() if content != "gone"}}


LATER = [f"{TODAY + DAY}T{hour:02}:00" for hour in range(24)]
BAD = [
    ([1, 2], "answer is not JSON"),
    ({"hourly": {}}, r"answered without hourly and hourly_units \(found: hourly\)"),
    (changed("hourly", "rain", "gone"), r"answered without rain \(found: time, temperature_2m, wind_speed_10m, cloud"),
    (changed("hourly", "time", None), "answered without time"),
    (changed("hourly", "cloud_cover", [1] * 23), "gives 23 values of cloud_cover, expected 24"),
    (changed("hourly", "rain", [*[0] * 23, "dry"]), "gives 'dry' as rain, expected a number or null"),
    (changed("hourly", "rain", [*[0] * 23, True]), "gives True as rain, expected a number or null"),
    (changed("hourly", "rain", [*[0] * 23, float("inf")]), "gives inf as rain, expected a number or null"),
    (changed("hourly_units", "wind_speed_10m", "km/h"), "gives wind_speed_10m in 'km/h', expected m/s"),
    (changed("hourly_units", "temperature_2m", "gone"), "gives temperature_2m in None, expected °C"),
    (changed("hourly", "time", LATER), f"from {TODAY} to {TODAY}, and answered with 24 from {LATER[0]} to {LATER[-1]}"),
    (changed("hourly", "time", []), "and answered with none"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_an_answer_that_does_not_match_the_request_is_refused_in_one_sentence(serve_answer, content, message):
    address = serve_answer(content)
    with pytest.raises(UnreliableAnswerError, match=message) as refused:
        client(address, attempts=2).observed(TODAY, TODAY)
    assert isinstance(refused.value, BikeError)
    assert str(refused.value).startswith(address)
    assert str(refused.value).endswith(".")
