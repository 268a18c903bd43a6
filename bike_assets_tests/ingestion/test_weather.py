"""Weather on its way into the warehouse: asked for once, again where it is missing, and forecasts kept as issued."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.schemas import INGESTIONS
from bike_assets.core.splits import Span
from bike_assets.core.weather_cube import WEATHER_COLUMNS
from bike_assets.ingestion.weather import RETRIED_DAYS, WeatherIngestion, WeatherReading
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.export_files import ZONE
from bike_assets_tests.stub_weather import StubWeather

FIRST = date(2026, 1, 1)
DAY = date(2026, 3, 10)
NEXT = DAY + timedelta(days=1)
ALL = "SELECT * FROM bike_traffic_raw.weather ORDER BY `at`, lead_days"


@pytest.fixture
def warehouse(tmp_path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


@pytest.fixture
def today(monkeypatch):
    """Sets the last day that is over."""

    def over(day: date) -> None:
        monkeypatch.setattr("bike_assets.ingestion.weather.yesterday", lambda _: day)

    over(DAY)
    return over


def ingest(warehouse, source, first: date = DAY, last: date | None = None, since: date | None = None) -> WeatherReading:
    """Ingest days of a home that began some day; by default that one."""
    return WeatherIngestion(source, warehouse, ZONE, since or first).ingest(Span(first, last or first))


def hours(warehouse, lead: int = 0) -> pd.Series:
    """Hours in the table by day."""
    rows = warehouse.query(ALL)
    return rows[rows["lead_days"] == lead].groupby(rows["day"].dt.date).size()


def without(columns: tuple[str, ...], from_hour: int = 0):
    """Publishes nothing in some columns from an hour of each answer on."""

    def change(rows):
        rows.loc[rows.index[from_hour:], list(columns)] = np.nan
        return rows

    return change


def test_the_newest_day_has_the_forecast_of_the_next_three_days(warehouse, today):
    source = StubWeather()
    reading = ingest(warehouse, source)
    assert (reading.hours_observed, reading.hours_forecast, reading.failure) == (24, 72, None)
    assert str(reading) == "whole"
    assert source.requests == [("forecast", NEXT, DAY + timedelta(days=3)), ("observed", DAY, DAY)]
    rows = warehouse.query(ALL)
    ahead = rows[rows["lead_days"] > 0]
    assert ((ahead["day"].dt.date - DAY).map(lambda gap: gap.days) == ahead["lead_days"]).all()
    assert set(ahead["temperature"]) == {20.0}
    assert set(rows["source"]) == {"a stub"}


def test_a_repeated_ingestion_requests_and_changes_nothing(warehouse, today):
    first, source = ingest(warehouse, StubWeather()), StubWeather()
    before = warehouse.query(ALL)
    assert ingest(warehouse, source) == first
    assert source.requests == []
    pd.testing.assert_frame_equal(warehouse.query(ALL), before)


def test_a_forecast_stays_as_issued_beside_the_later_observation(warehouse, today):
    ingest(warehouse, StubWeather())
    today(NEXT)
    later = StubWeather()
    later.observed_temperature, later.forecast_temperature = 15.0, 25.0
    ingest(warehouse, later, NEXT, since=DAY)
    rows = warehouse.query(ALL)
    temperatures = rows[rows["day"].dt.date == NEXT].groupby("lead_days")["temperature"].unique().map(list)
    assert temperatures.to_dict() == {0: [15.0], 1: [20.0]}
    two_ahead = rows[rows["day"].dt.date == NEXT + timedelta(days=1)].groupby("lead_days")["temperature"].first()
    assert two_ahead.to_dict() == {1: 25.0, 2: 20.0}


def test_a_partial_forecast_is_completed_and_not_replaced(warehouse, today):
    ingest(warehouse, StubWeather(lambda rows: rows.head(30)))
    assert hours(warehouse, 1).tolist() == [24]
    later = StubWeather()
    later.forecast_temperature = 30.0
    assert ingest(warehouse, later).hours_forecast == 72
    rows = warehouse.query(ALL)
    assert rows[rows["lead_days"] > 0].groupby("lead_days")["temperature"].unique().map(sorted).to_dict() == {
        1: [20.0],
        2: [20.0, 30.0],
        3: [30.0],
    }


def test_no_forecast_is_issued_for_a_day_that_is_not_the_newest(warehouse, today):
    now = pd.Timestamp.now(tz="UTC")
    readings = [{"day": NEXT, "ingested_at": now, "hours": 24}]
    warehouse.merge(INGESTIONS, frame(INGESTIONS, readings))
    source = StubWeather()
    assert ingest(warehouse, source).hours_forecast == 0
    assert [kind for kind, *_ in source.requests] == ["observed"]


@pytest.mark.parametrize(("days_late", "forecasts"), [(0, 72), (2, 72), (3, 0), (300, 0)])
def test_a_day_whose_forecast_days_are_over_has_no_forecast(warehouse, today, days_late, forecasts):
    today(DAY + timedelta(days=days_late))
    assert ingest(warehouse, StubWeather()).hours_forecast == forecasts


def test_missing_weather_of_earlier_days_is_requested_again_in_one_request(warehouse, today):
    since, last = DAY - timedelta(days=9), DAY + timedelta(days=1)
    gaps = {DAY - timedelta(days=6), DAY - timedelta(days=3)}

    def with_gaps(rows):
        return rows[~rows["at"].dt.tz_convert(ZONE).dt.date.isin(gaps)]

    reading = ingest(warehouse, StubWeather(with_gaps), since, DAY)
    assert reading.missing == 2
    assert str(reading) == "2 of 10 days are not whole"
    today(last)
    source = StubWeather()
    assert str(ingest(warehouse, source, last, since=since)) == "whole"
    assert source.requests[1:] == [("observed", min(gaps), last)]
    assert (hours(warehouse) == 24).all()
    assert len(hours(warehouse)) == 11


def test_weather_is_requested_again_for_the_days_that_features_need_but_not_before_the_home(warehouse, today):
    source = StubWeather()
    ingest(warehouse, source, since=FIRST)
    assert source.requests[1] == ("observed", DAY - timedelta(days=RETRIED_DAYS), DAY)
    source = StubWeather()
    ingest(LocalWarehouse(warehouse.folder.parent / "another"), source, since=DAY - timedelta(days=3))
    assert source.requests[1] == ("observed", DAY - timedelta(days=3), DAY)


def test_missing_hours_and_columns_are_reported_and_added_later(warehouse, today):
    reading = ingest(warehouse, StubWeather(without(("rain", "cloud"), from_hour=5)))
    assert (reading.missing, reading.hours_observed) == (1, 24)
    rows = warehouse.query(ALL)
    assert rows.loc[rows["lead_days"] == 0, "rain"].notna().sum() == 5
    assert ingest(warehouse, StubWeather()).missing == 0
    rows = warehouse.query(ALL)
    assert rows.loc[rows["lead_days"] == 0, list(WEATHER_COLUMNS)].notna().all(axis=None)


def test_an_hour_is_not_replaced_by_one_with_fewer_values(warehouse, today):
    ingest(warehouse, StubWeather(without(("cloud",))))
    ingest(warehouse, StubWeather(without(("rain", "cloud"))))
    rows = warehouse.query(ALL)
    assert rows["rain"].notna().all()


def test_hours_without_any_value_are_not_stored(warehouse, today):
    reading = ingest(warehouse, StubWeather(without(WEATHER_COLUMNS, from_hour=20)))
    assert hours(warehouse).tolist() == [20]
    assert (reading.hours_observed, reading.missing) == (20, 1)
    nothing = ingest(LocalWarehouse(warehouse.folder.parent / "another"), StubWeather(without(WEATHER_COLUMNS)))
    assert str(nothing) == "none, because the source has none of these days"


def test_a_source_that_stops_answering_keeps_the_earlier_rows_and_is_reported(warehouse, today):
    source = StubWeather()
    source.archive_silent = True
    reading = ingest(warehouse, source, DAY - timedelta(days=20), DAY)
    assert reading.failure == "The stub did not answer"
    assert str(reading) == "14 of 21 days are not whole, because The stub did not answer"
    assert (reading.hours_observed, reading.hours_forecast) == (7 * 24, 72)
    assert hours(warehouse).index.tolist()[-1] == DAY


def test_a_silent_source_gets_one_request_and_raises_nothing(warehouse, today):
    source = StubWeather()
    source.silent = True
    reading = ingest(warehouse, source)
    assert str(reading) == "none, because The stub did not answer"
    assert len(source.requests) == 1


def test_implausible_values_are_counted(warehouse, today):
    reading = ingest(warehouse, StubWeather(lambda rows: rows.assign(implausible=[1, 2] + [0] * (len(rows) - 2))))
    assert reading.implausible == 6


@pytest.mark.parametrize(("day", "number"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_the_days_of_the_clock_changes_are_whole_with_their_own_hours(warehouse, today, day, number):
    reading = ingest(warehouse, StubWeather(), day)
    assert (reading.hours_observed, reading.missing) == (number, 0)
    short = ingest(
        LocalWarehouse(warehouse.folder.parent / "short"), StubWeather(lambda rows: rows.head(number - 1)), day
    )
    assert short.missing == 1
