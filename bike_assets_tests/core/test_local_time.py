"""Local days and UTC hours: every hour belongs to exactly one day, also where the clocks change."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.local_time import as_date, day_numbers, days_between, hours_of, local_days, utc_bounds

ZONES = ("Europe/Paris", "UTC", "America/New_York", "Australia/Sydney")
SPRING, AUTUMN = date(2021, 3, 28), date(2020, 10, 25)
days = st.dates(date(1990, 1, 1), date(2037, 12, 30))
zones = st.sampled_from(ZONES)
HOUR = pd.Timedelta(hours=1)


@given(day=days, zone=zones)
@settings(max_examples=60)
def test_a_local_day_has_23_to_25_hours_that_fill_its_utc_bounds(day, zone):
    hours, (start, end) = hours_of(day, zone), utc_bounds(day, zone)
    assert len(hours) in {23, 24, 25}
    assert hours["counted_at"].iloc[0] == start
    assert hours["counted_at"].iloc[-1] == end - HOUR
    assert (hours["counted_at"].diff().dropna() == HOUR).all()


@given(day=days, zone=zones)
@settings(max_examples=60)
def test_every_hour_of_a_day_lies_in_that_day_and_the_next_day_begins_where_it_ends(day, zone):
    hours = hours_of(day, zone)
    assert set(local_days(hours["counted_at"], zone)) == {pd.Timestamp(day)}
    start, end = utc_bounds(day, zone)
    assert utc_bounds(day + timedelta(days=1), zone)[0] == end
    around = local_days(pd.Series([start - HOUR, end]), zone)
    assert list(around) == [pd.Timestamp(day) - pd.Timedelta(days=1), pd.Timestamp(day) + pd.Timedelta(days=1)]


@given(day=days, zone=zones)
@settings(max_examples=40)
def test_the_local_hours_of_a_day_rise_from_0_to_23(day, zone):
    hours = hours_of(day, zone)["hour"]
    assert (hours.iloc[0], hours.iloc[-1]) == (0, 23)
    assert hours.is_monotonic_increasing


def test_the_spring_day_lacks_the_hour_that_the_clocks_skip():
    hours = hours_of(SPRING, "Europe/Paris")
    assert list(hours["hour"]) == [0, 1, *range(3, 24)]


def test_the_autumn_day_has_hour_2_twice_at_two_instants():
    hours = hours_of(AUTUMN, "Europe/Paris")
    assert len(hours) == 25
    doubled = hours.loc[hours["hour"] == 2, "counted_at"]
    assert list(doubled) == [pd.Timestamp("2020-10-25T00:00Z"), pd.Timestamp("2020-10-25T01:00Z")]


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2021-06-30T21:00Z", "2021-06-30"),
        ("2021-06-30T22:00Z", "2021-07-01"),
        ("2020-12-31T22:00Z", "2020-12-31"),
        ("2020-12-31T23:00Z", "2021-01-01"),
    ],
)
def test_the_local_midnight_of_summer_and_winter_divides_days(instant, day):
    assert local_days(pd.Series([pd.Timestamp(instant)]), "Europe/Paris").iloc[0] == pd.Timestamp(day)


@given(first=days, length=st.integers(-5, 500))
@settings(max_examples=40)
def test_days_between_counts_both_ends_and_is_empty_backwards(first, length):
    found = days_between(first, first + timedelta(days=length))
    assert len(found) == max(0, length + 1)
    assert found == sorted(set(found))
    if found:
        assert (found[0], found[-1]) == (first, first + timedelta(days=length))


def test_day_numbers_count_from_the_epoch_for_lists_and_columns():
    listed = [date(1970, 1, 1), date(1970, 1, 2), date(2021, 3, 28)]
    expected = [0, 1, (date(2021, 3, 28) - date(1970, 1, 1)).days]
    assert list(day_numbers(listed)) == expected
    assert list(day_numbers(pd.Series(pd.to_datetime(listed)))) == expected


@pytest.mark.parametrize(
    "value", ["2021-03-28", date(2021, 3, 28), np.datetime64("2021-03-28"), pd.Timestamp("2021-03-28T23:00")]
)
def test_a_day_is_read_from_text_and_every_kind_of_time(value):
    found = as_date(value)
    assert found == SPRING
    assert type(found) is date


@pytest.mark.parametrize(
    ("day", "timezone", "hours"),
    [
        (date(2025, 9, 7), "America/Santiago", 23),
        (date(2025, 4, 25), "Africa/Cairo", 23),
        (date(2025, 11, 2), "America/Havana", 25),
    ],
)
def test_a_day_whose_clocks_change_at_midnight_has_its_hours(day, timezone, hours):
    assert len(hours_of(day, timezone)) == hours
    assert set(local_days(hours_of(day, timezone)["counted_at"], timezone).dt.date) == {day}
