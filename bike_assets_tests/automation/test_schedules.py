"""The daily schedule: the day before, in the home's time zone, and nothing that the source does not have."""

from datetime import UTC, datetime

import dagster as dg

from bike_assets.automation.schedules import daily_refresh


def tick(at: datetime):
    return daily_refresh(dg.build_schedule_context(scheduled_execution_time=at))


def test_it_asks_for_the_local_day_before():
    assert tick(datetime(2021, 10, 8, 8, 30, tzinfo=UTC)).partition_key == "2021-10-07"


def test_shortly_after_midnight_in_paris_the_day_before_is_the_local_one():
    assert tick(datetime(2021, 10, 7, 22, 30, tzinfo=UTC)).partition_key == "2021-10-07"


def test_days_before_the_home_began_are_skipped_with_a_reason():
    assert "before this home's first day" in tick(datetime(2021, 1, 1, 9, 30, tzinfo=UTC)).skip_message
