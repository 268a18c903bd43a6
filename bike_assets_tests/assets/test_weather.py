"""The asset and its check: what a run reports of its weather; missing weather fails no run."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.build import build_defs
from bike_assets.core.features import HORIZONS
from bike_assets.core.local_time import utc_bounds
from bike_assets.core.service_access import Retries
from bike_assets.core.weather_cube import WEATHER_FEATURES
from bike_assets.resources.open_meteo import OpenMeteo
from bike_assets.resources.weather_source import NoWeather, ServiceWeather
from bike_assets_tests.conftest import FIRST_DAY, City
from bike_assets_tests.export_files import ZONE
from bike_assets_tests.stub_source import StubSource
from bike_assets_tests.stub_weather import StubWeather

DAY = FIRST_DAY + timedelta(days=4)
ALL = "SELECT * FROM bike_traffic_raw.weather ORDER BY `at`, lead_days"


@pytest.fixture
def young(tmp_path, open_city) -> City:
    return open_city(tmp_path)


def run(city: City, source, assets: tuple[str, ...] = ("weather",), job: str = "ingest", first=FIRST_DAY, last=DAY):
    """Run a part of a job over some days, with weather of our own."""
    overrides = {"counts_source": StubSource(), "weather_source": source}
    defs = build_defs(settings=city.settings, resource_overrides=overrides)
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return defs.resolve_job_def(job).execute_in_process(
        instance=city.instance, tags=tags, asset_selection=[dg.AssetKey(name) for name in assets]
    )


def metadata_of(result) -> dict[str, object]:
    materialized = result.asset_materializations_for_node("weather")
    return {name: value.value for name, value in materialized[0].metadata.items()}


def check(result) -> dg.AssetCheckEvaluation:
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == "weather_is_complete")


def warnings(city: City, result) -> str:
    """What the run's log has of warnings of its own."""
    logged = city.instance.all_logs(result.run_id)
    return "\n".join(each.user_message for each in logged if each.level >= 30 and each.step_key == "weather")


def test_the_weather_of_a_range_is_read_in_one_request_and_reported(young):
    source = StubWeather()
    result = run(young, source)
    assert source.requests == [("observed", FIRST_DAY, DAY)]
    assert metadata_of(result) == {
        "weather": "whole",
        "source": "a stub",
        "hours_observed": 120,
        "hours_forecast": 0,
        "implausible_values": 0,
    }
    assert check(result).passed
    assert len(result.asset_materializations_for_node("weather")) == 5
    assert warnings(young, result) == ""


def test_a_home_without_weather_reports_it_and_its_check_passes(young):
    result = run(young, NoWeather("BIKE_WEATHER is off"))
    assert metadata_of(result) == {"weather": "none, because BIKE_WEATHER is off"}
    assert (check(result).passed, check(result).description) == (True, "none, because BIKE_WEATHER is off")
    assert warnings(young, result) == ""
    assert young.query(ALL).empty


def test_days_that_are_not_whole_are_a_warning_that_names_them(young):
    result = run(young, StubWeather(lambda rows: rows.head(4 * 24 + 5)))
    assert check(result).severity is dg.AssetCheckSeverity.WARN
    assert (check(result).passed, check(result).description) == (False, f"not whole: {DAY}")
    assert metadata_of(result)["weather"] == "1 of 5 days are not whole"
    assert metadata_of(result)["hours_observed"] == 101
    assert f"Weather of {FIRST_DAY} to {DAY}: 1 of 5 days are not whole" in warnings(young, result)


def service(address: str) -> ServiceWeather:
    client = OpenMeteo(address, address, 48.8566, 2.3522, Retries(0.3, attempts=2, backoff_seconds=0.001))
    return ServiceWeather(client, ZONE, "a service")


FAHRENHEIT = {
    "hourly_units": {"time": "iso8601", "temperature_2m": "°F", "rain": "mm", "wind_speed_10m": "m/s"},
    "hourly": {"time": [], "temperature_2m": [], "rain": [], "wind_speed_10m": [], "cloud_cover": []},
}
FAILURES = [
    (
        400,
        {"error": True, "reason": "Parameter 'start_date' is out of range."},
        "with HTTP 400: Parameter 'start_date'",
    ),
    (429, {"error": True, "reason": "Minutely API request limit exceeded."}, "more requests for now: Minutely API"),
    (500, {"error": True, "reason": "Oh."}, "failed with HTTP 500: Oh"),
    (200, FAHRENHEIT, "'°F', expected °C"),
    (200, {"hourly": None}, "without hourly and hourly_units"),
    (200, "hello", "is not JSON"),
]


@pytest.mark.parametrize(("status", "body", "why"), FAILURES)
def test_a_service_that_fails_is_a_plain_warning_and_no_failed_run(young, serve_answer, status, body, why):
    result = run(young, service(serve_answer(body, status)))
    assert result.success
    assert metadata_of(result)["weather"].startswith("none, because http://127.0.0.1")
    assert why in metadata_of(result)["weather"]
    assert why in warnings(young, result)
    assert not check(result).passed


def test_a_service_that_is_unreachable_or_does_not_answer_fails_no_run_either(young, deaf_address, serve_portal):
    from bike_assets.simulator.publication import PublishedTable

    assert "cannot be reached" in metadata_of(run(young, service(deaf_address)))["weather"]
    portal = serve_portal(PublishedTable(young.settings.portal_fields, ZONE))
    portal.fail("timeout", times=None)
    assert "did not answer in time" in metadata_of(run(young, service(portal.url)))["weather"]


def test_a_later_run_reads_the_missing_days_and_one_more_requests_nothing(young, deaf_address):
    run(young, service(deaf_address))
    source = StubWeather()
    assert metadata_of(run(young, source, first=DAY))["hours_observed"] == 24
    assert source.requests == [("observed", FIRST_DAY, DAY)], "the days before are asked for again"
    before, source = young.query(ALL), StubWeather()
    assert metadata_of(run(young, source))["weather"] == "whole"
    assert source.requests == []
    assert young.query(ALL).equals(before)


def test_features_of_the_same_run_know_the_weather(young):
    last = FIRST_DAY + timedelta(days=20)

    def colder_at_first(rows):
        first_week = rows["at"] < utc_bounds(FIRST_DAY + timedelta(days=7), ZONE)[0]
        return rows.assign(temperature=rows["temperature"].mask(first_week, 4.0))

    assets = ("raw_counts", "weather", "hourly_features")
    assert run(young, StubWeather(colder_at_first), assets, last=last).success
    columns = ", ".join(WEATHER_FEATURES)
    rows = young.query(
        f"SELECT horizon_days, {columns} FROM bike_traffic_raw.hourly_features WHERE day = @day", day=last
    )
    assert set(rows["horizon_days"]) == set(HORIZONS)
    assert rows[list(WEATHER_FEATURES)].notna().all(axis=None)
    assert set(rows["warmer"]) == {3.0}, "10 °C, where one of the two weeks before had 4 and the other 10"
