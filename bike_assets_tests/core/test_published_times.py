"""Published times: an offset decides, else the clock of a zone, with its doubled and skipped hours by a stated rule."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bike_assets.core.local_time import days_between, hours_of
from bike_assets.core.published_times import read_times

PARIS = "Europe/Paris"
AUTUMN, SPRING = date(2021, 10, 31), date(2021, 3, 28)
ZONES = [PARIS, "America/Los_Angeles", "Australia/Adelaide", "Asia/Kolkata", "America/Santiago", "UTC"]
"""Whole and half hours, both hemispheres, and changes of the clock at midnight."""


def clock(day: date, zone: str = PARIS) -> pd.Series:
    """Every hour of a day as a clock shows it, without an offset."""
    return hours_of(day, zone)["counted_at"].dt.tz_convert(zone).dt.strftime("%Y-%m-%dT%H:%M")


def one_counter(times: pd.Series | list, zone: str = PARIS) -> list[pd.Timestamp]:
    times = pd.Series(times)
    return read_times(times, pd.Series("a", times.index), zone).at.tolist()


@pytest.mark.parametrize("zone", ZONES)
@given(day=st.dates(date(2019, 1, 1), date(2026, 12, 31)))
def test_the_hours_of_a_clock_are_the_hours_of_its_days(zone, day):
    expected = hours_of(day, zone)["counted_at"].tolist()
    assert one_counter(clock(day, zone), zone) == expected
    assert one_counter(clock(day, zone)[::-1].reset_index(drop=True), zone) == expected[::-1]
    assert one_counter(pd.to_datetime(clock(day, zone)), zone) == expected


OFFSETS = st.sampled_from(["", "Z", "+02:00", "-0330", "+05"])


@given(hours=st.lists(st.tuples(st.integers(0, 24 * 1000), OFFSETS), max_size=9, unique=True))
def test_no_time_depends_on_the_rows_around_it(hours):
    times = [(pd.Timestamp("2020-06-01") + pd.Timedelta(hours=hour)).isoformat() + offset for hour, offset in hours]
    assert one_counter(times) == [one_counter([time])[0] for time in times]


def test_an_offset_decides_whatever_the_zone_of_the_others():
    times = ["2021-06-01T00:00:00+02:00", "2021-06-01T00:00:00", "2021-05-31T22:00Z", "2021-06-01"]
    read = read_times(pd.Series(times), pd.Series(["a"] * 4), "America/Los_Angeles")
    assert read.has_offset.tolist() == [True, False, True, False]
    assert read.at.dt.strftime("%d %H").tolist() == ["31 22", "01 07", "31 22", "01 07"]


def test_a_doubled_hour_is_told_apart_for_each_counter():
    times = pd.Series(["2021-10-31T02:00"] * 5)
    read = read_times(times, pd.Series(["a", "b", "a", "b", "c"]), PARIS).at
    assert read.dt.hour.tolist() == [0, 0, 1, 1, 0]


def test_two_directions_in_a_doubled_hour_stay_together():
    times = pd.Series(["2021-10-31T02:00"] * 4)
    assert read_times(times, pd.Series(["a"] * 4), PARIS).at.dt.hour.tolist() == [0, 0, 1, 1]


def test_an_hour_that_the_clocks_skip_is_marked_and_lies_in_its_day():
    grid = pd.Series([f"{SPRING}T{hour:02}:00" for hour in range(24)])
    read = read_times(grid, pd.Series("a", grid.index), PARIS)
    assert [position for position, skipped in enumerate(read.is_skipped) if skipped] == [2]
    assert (read.at.dt.tz_convert(PARIS).dt.date == SPRING).all()
    assert not read_times(grid, pd.Series("a", grid.index), "UTC").is_skipped.any()


def test_what_cannot_be_read_is_missing():
    read = read_times(pd.Series(["2021-06-01T00:00", None, "soon", "2021-13-01T00:00Z"]), pd.Series(["a"] * 4), PARIS)
    assert read.at.isna().tolist() == [False, True, True, True]
    assert not read.is_skipped.any()


@pytest.mark.parametrize("zone", ZONES)
def test_the_standard_library_agrees(zone):
    for day in days_between(date(2021, 1, 1), date(2021, 1, 5)):
        first = one_counter([f"{day}T05:00"], zone)[0]
        assert first == pd.Timestamp(f"{day}T05:00").replace(tzinfo=ZoneInfo(zone))
        assert one_counter([f"{day + timedelta(days=1)}T05:00"], zone)[0] == first + timedelta(days=1)
