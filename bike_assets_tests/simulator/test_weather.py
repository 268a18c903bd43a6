"""The simulated weather service as a plain client meets it: the days, the lag, forecasts, refusals, faults."""

from datetime import UTC, date, datetime, timedelta

import httpx
import pandas as pd
import pytest

from bike_assets.core.simulated_weather import SimulatedWeather
from bike_assets.errors import BikeError
from bike_assets.simulator.faults import BY_NAME
from bike_assets.simulator.publication import PublishedTable, ReplayedPublication, SimulatedPublication
from bike_assets_tests.export_files import write_export
from bike_assets_tests.simulator.conftest import FIELDS, FORM, NOW, ZONE

TODAY = NOW.date()
DAY = timedelta(days=1)
NAMES = {"temperature": "temperature_2m", "rain": "rain", "wind": "wind_speed_10m", "cloud": "cloud_cover"}
UNITS = {"time": "iso8601", "temperature_2m": "°C", "rain": "mm", "wind_speed_10m": "m/s", "cloud_cover": "%"}
BOTH = ["archive", "forecast"]


@pytest.fixture
def portal(serve, town):
    return serve(SimulatedPublication(town, FIELDS)).portal


def ask(portal, endpoint: str, first: object, last: object, timeout: float = 10, **changes: object) -> httpx.Response:
    asked = {
        "latitude": 48.85,
        "longitude": 2.35,
        "start_date": first,
        "end_date": last,
        "hourly": ",".join(NAMES.values()),
        "wind_speed_unit": "ms",
        "timezone": "UTC",
        **changes,
    }
    given = {name: str(value) for name, value in asked.items() if value is not None}
    return httpx.get(f"{portal.url}/v1/{endpoint}", params=given, timeout=timeout)


def as_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows but those of the first day, each with the rain of the hour before it."""
    return rows.assign(rain=rows["rain"].shift(1)).iloc[24:].reset_index(drop=True)


def rows_of(response: httpx.Response) -> pd.DataFrame:
    """The answer in our words."""
    assert response.status_code == 200, response.text
    hourly = response.json()["hourly"]
    values = {column: pd.Series(hourly[name], dtype="float64") for column, name in NAMES.items()}
    return pd.DataFrame({"at": pd.to_datetime(hourly["time"], utc=True).as_unit("us"), **values})


@pytest.mark.parametrize("endpoint", BOTH)
def test_past_weather_is_that_of_the_city_in_the_protocol(portal, town, endpoint):
    first, last = TODAY - 20 * DAY, TODAY - 2 * DAY
    response = ask(portal, endpoint, first, last)
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["hourly_units"] == UNITS
    assert response.json()["hourly"]["time"][:2] == [f"{first}T00:00", f"{first}T01:00"]
    truth = as_published(SimulatedWeather(town.seed, ZONE).hours(first - DAY, last))
    pd.testing.assert_frame_equal(rows_of(response), truth)


def test_rain_is_that_of_the_hour_before_as_the_service_reports_it(portal, town):
    first, last = TODAY - 60 * DAY, TODAY - 5 * DAY
    drawn = SimulatedWeather(town.seed, ZONE).hours(first, last)
    answered = rows_of(ask(portal, "archive", first, last))
    begins = [rows["at"][rows["rain"] > 0].iloc[0] for rows in (drawn, answered)]
    assert begins[1] - begins[0] == pd.Timedelta(hours=1)


def test_only_the_requested_variables_are_returned(portal):
    body = ask(portal, "archive", TODAY - 9 * DAY, TODAY - 9 * DAY, hourly="cloud_cover,rain").json()
    assert list(body["hourly"]) == ["time", "cloud_cover", "rain"]
    assert body["hourly_units"] == {name: UNITS[name] for name in ("time", "cloud_cover", "rain")}


def test_the_place_is_ignored(portal):
    here, there = (
        ask(portal, "archive", TODAY - 9 * DAY, TODAY - 5 * DAY, latitude=north, longitude=north).json()
        for north in (48, -33)
    )
    assert here == there


def test_the_archive_lacks_yesterday_and_today(portal):
    rows = rows_of(ask(portal, "archive", TODAY - 3 * DAY, TODAY))
    known = rows["at"] < pd.Timestamp(TODAY - DAY, tz="UTC")
    assert (known.sum(), len(rows)) == (48, 96)
    assert rows.loc[known].notna().all(axis=None)
    assert rows.loc[~known, list(NAMES)].isna().all(axis=None)


def test_the_archive_fills_up_as_the_clock_goes_on(portal):
    before = rows_of(ask(portal, "archive", TODAY - DAY, TODAY - DAY))
    portal.clock.set(NOW + DAY)
    after = rows_of(ask(portal, "archive", TODAY - DAY, TODAY - DAY))
    assert before["rain"].isna().all()
    assert after["rain"].notna().all()


def test_the_forecast_is_exact_for_today_and_errs_about_tomorrow(portal, town):
    truth = as_published(SimulatedWeather(town.seed, ZONE).hours(TODAY - DAY, TODAY + DAY))
    foretold = rows_of(ask(portal, "forecast", TODAY, TODAY + DAY))
    pd.testing.assert_frame_equal(foretold.head(24), truth.head(24))
    assert not foretold.tail(24)["temperature"].equals(truth.tail(24)["temperature"])
    pd.testing.assert_frame_equal(rows_of(ask(portal, "forecast", TODAY, TODAY + DAY)), foretold)
    portal.clock.set(NOW + DAY)
    pd.testing.assert_frame_equal(rows_of(ask(portal, "forecast", TODAY, TODAY + DAY)), truth)


def test_today_is_the_utc_day(serve, town):
    portal = serve(SimulatedPublication(town, FIELDS), now=datetime(2026, 6, 9, 22, 30, tzinfo=UTC)).portal
    assert ask(portal, "archive", date(2026, 6, 10), date(2026, 6, 10)).status_code == 400
    assert ask(portal, "archive", date(2026, 6, 9), date(2026, 6, 9)).status_code == 200


@pytest.mark.parametrize(
    ("endpoint", "earliest", "latest"),
    [("archive", date(1940, 1, 1), TODAY), ("forecast", TODAY - 92 * DAY, TODAY + 15 * DAY)],
)
def test_days_beyond_its_range_are_refused_with_the_range(portal, endpoint, earliest, latest):
    assert ask(portal, endpoint, earliest, earliest).status_code == 200
    assert ask(portal, endpoint, latest, latest).status_code == 200
    for first, last, name in ((earliest - DAY, earliest, "start_date"), (latest, latest + DAY, "end_date")):
        refused = ask(portal, endpoint, first, last)
        assert refused.status_code == 400
        message = f"Parameter '{name}' is out of allowed range from {earliest} to {latest}"
        assert refused.json() == {"error": True, "reason": message}


REFUSED = [
    ({"hourly": "temperature_2m,snow"}, "Unknown hourly variable 'snow'"),
    ({"hourly": None}, "Parameter 'hourly' is missing"),
    ({"start_date": "yesterday"}, "Parameter 'start_date' is no date such as 2026-01-31: 'yesterday'"),
    ({"end_date": None}, "Parameter 'end_date' is no date such as 2026-01-31: ''"),
    ({"end_date": TODAY - 9 * DAY}, "End-date must be larger or equals than start-date"),
    ({"wind_speed_unit": None}, "Parameter 'wind_speed_unit' has to be 'ms' here, not ''"),
    ({"timezone": ZONE}, f"Parameter 'timezone' has to be 'UTC' here, not '{ZONE}'"),
    ({"past_days": 3}, "Unknown parameter 'past_days'"),
]


@pytest.mark.parametrize("endpoint", BOTH)
@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_an_invalid_request_is_refused_with_the_reason(portal, endpoint, changes, reason):
    asked = {"start_date": TODAY - 5 * DAY, "end_date": TODAY - 5 * DAY, **changes}
    refused = ask(portal, endpoint, asked.pop("start_date"), asked.pop("end_date"), **asked)
    assert refused.status_code == 400
    assert refused.json() == {"error": True, "reason": reason}


@pytest.mark.parametrize("publication", ["replayed", "put by a test"])
def test_counts_that_are_not_synthetic_have_weather_beside_them(serve, counts, tmp_path, publication):
    replayed = publication == "replayed"
    path = write_export(tmp_path / "export.csv", counts) if replayed else None
    portal = serve(ReplayedPublication(path, FORM) if path else PublishedTable(FIELDS, ZONE)).portal
    rows = rows_of(ask(portal, "archive", TODAY - 5 * DAY, TODAY - 4 * DAY))
    truth = as_published(SimulatedWeather(0, ZONE).hours(TODAY - 6 * DAY, TODAY - 4 * DAY))
    pd.testing.assert_frame_equal(rows, truth)


@pytest.mark.parametrize("fault", sorted(name for name, fault in BY_NAME.items() if "weather" in fault.endpoints))
def test_a_fault_affects_the_weather_and_passes(portal, fault):
    day = TODAY - 5 * DAY
    sound = ask(portal, "archive", day, day).content
    portal.fail(fault, on="weather")
    try:
        seen = ask(portal, "archive", day, day, timeout=0.3 if fault == "timeout" else 10).content
    except httpx.HTTPError:
        seen = b""
    assert seen != sound
    assert ask(portal, "archive", day, day).content == sound


def test_a_fault_of_the_weather_leaves_the_counts_alone_and_one_of_exports_the_weather(portal):
    records = f"{portal.url}/api/explore/v2.1/catalog/datasets/counts/records"
    portal.fail("error_503", times=None, on="weather")
    assert httpx.get(records, timeout=60).status_code == 200
    portal.heal()
    portal.fail("error_503", times=None, on="exports")
    assert ask(portal, "forecast", TODAY, TODAY).status_code == 200
    with pytest.raises(BikeError, match="cannot occur on weather"):
        portal.fail("duplicate_rows", on="weather")


def test_the_quota_counts_requests_for_weather(serve, town):
    portal = serve(SimulatedPublication(town, FIELDS), daily_quota=2).portal
    assert [ask(portal, "forecast", TODAY, TODAY).status_code for _ in range(3)] == [200, 200, 429]
