"""The daily schedules: every published day that is not done, oldest first, each once, and a reason for every skip."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import dagster as dg
import pandas as pd
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from bike_assets.automation.schedules import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, schedules
from bike_assets.build import build_defs
from bike_assets.core.schemas import COMPTAGE_VELO, INGESTIONS
from bike_assets.home.record import Home
from bike_assets.resources.table_rows import frame
from bike_assets.settings import Settings
from bike_assets_tests.conftest import FIRST_DAY, LAST_DAY, City
from bike_assets_tests.stub_source import StubSource

SCHEDULES = {each.name: each for each in schedules("Europe/Paris")}
daily_refresh, daily_corrections = SCHEDULES["daily_refresh"], SCHEDULES["daily_corrections"]
monthly_challenge = SCHEDULES["monthly_challenge"]


def after(days: int) -> date:
    return LAST_DAY + timedelta(days=days)


def morning(day: date) -> datetime:
    """Half past ten in Paris, in summer time."""
    return datetime(day.year, day.month, day.day, 8, 30, tzinfo=UTC)


@lru_cache
def repository(home: Home) -> dg.RepositoryDefinition:
    """The jobs that the schedules request."""
    return build_defs(settings=Settings(home=home.folder)).get_repository_def()


def context_at(city: City, at: datetime, resources: dict) -> dg.ScheduleEvaluationContext:
    return dg.build_schedule_context(city.instance, at, resources=resources, repository_def=repository(city.home))


def tick(city: City, at: datetime, newest: date | None):
    """The result of the schedule at a time, while the source has published up to a day."""
    resources = {
        "home": city.home,
        "warehouse": city.resource("warehouse"),
        "counts_source": StubSource(newest=newest),
    }
    return daily_refresh.evaluate_tick(context_at(city, at, resources))


def requested(city: City, at: datetime, newest: date | None) -> list[date]:
    return [date.fromisoformat(request.partition_key) for request in tick(city, at, newest).run_requests]


def start_run(city: City, day: date, status: dg.DagsterRunStatus) -> None:
    """Have a run of the daily job in some state."""
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("bike_assets"), "__repository__")
    city.instance.create_run_for_job(
        repository(city.home).get_job("daily"),
        tags={PARTITION_TAG: day.isoformat()},
        status=status,
        remote_job_origin=RemoteJobOrigin(origin, "daily"),
    )


def decide(city: City, *days: date) -> None:
    """Have the last asset of some days materialized."""
    for day in days:
        event = dg.AssetMaterialization("retrain_decision", partition=day.isoformat())
        city.instance.report_runless_asset_event(event)


def test_yesterday_is_requested_once_it_is_published(city: City):
    assert requested(city, morning(after(2)), after(1)) == [after(1)]


def test_the_tick_is_skipped_until_yesterday_is_published(city: City):
    result = tick(city, morning(after(2)), LAST_DAY)
    assert not result.run_requests
    assert f"every day to {LAST_DAY} is done, queued or running: the source ends with {LAST_DAY}" in result.skip_message


def test_after_days_off_every_missing_day_is_requested_oldest_first(city: City):
    assert requested(city, morning(after(6)), after(5)) == [after(days) for days in (1, 2, 3, 4, 5)]


def test_no_day_is_requested_that_the_source_has_not_published(city: City):
    assert requested(city, morning(after(9)), after(2)) == [after(1), after(2)]


@pytest.mark.parametrize(
    ("at", "days"),
    [
        (datetime(2021, 10, 9, 21, 59, tzinfo=UTC), [after(1)]),
        (datetime(2021, 10, 9, 22, 0, tzinfo=UTC), [after(1), after(2)]),
    ],
    ids=["a minute before midnight in Paris", "midnight in Paris"],
)
def test_a_source_ahead_of_the_clock_is_followed_to_yesterday_alone(city: City, at, days):
    assert requested(city, at, date(2099, 12, 31)) == days


def test_a_day_that_is_done_is_not_requested(city: City):
    decide(city, after(1), after(3))
    assert requested(city, morning(after(4)), after(3)) == [after(2)]


def test_the_tick_is_skipped_once_every_day_is_done(city: City):
    decide(city, after(1))
    result = tick(city, morning(after(2)), after(1))
    assert not result.run_requests
    assert f"every day to {after(1)} is done" in result.skip_message


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED"])
def test_a_day_that_is_queued_or_running_is_not_requested_twice(city: City, status):
    start_run(city, after(1), dg.DagsterRunStatus[status])
    assert requested(city, morning(after(3)), after(2)) == [after(2)]
    result = tick(city, morning(after(2)), after(1))
    assert not result.run_requests
    assert "1 queued or running" in result.skip_message


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED", "SUCCESS"])
def test_a_day_whose_run_ended_without_its_decision_is_requested_again(city: City, status):
    start_run(city, after(1), dg.DagsterRunStatus[status])
    assert requested(city, morning(after(2)), after(1)) == [after(1)]


def test_the_next_hour_has_another_run_key_and_the_same_hour_the_same(city: City):
    at = morning(after(2))
    keys = [
        tick(city, each, after(1)).run_requests[0].run_key
        for each in (at, at, at + timedelta(hours=1), at + timedelta(days=1))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def unreadable(city: City, day: date, at: str = "2030-01-01", why: str | None = "the portal broke off") -> None:
    """Have the newest reading of a day fail, or not."""
    row = {"day": day, "ingested_at": pd.Timestamp(at, tz="UTC"), "unread": why}
    city.resource("warehouse").merge(INGESTIONS, frame(INGESTIONS, [row]))


def test_a_new_day_that_failed_is_retried_hourly_then_daily_for_a_week_then_no_more(city: City):
    bad = after(1)
    unreadable(city, bad)
    decide(city, *(after(days) for days in range(2, 12)))
    hourly = [requested(city, morning(after(2)) + timedelta(hours=hours), after(1)) for hours in (0, 1, 5)]
    assert hourly == [[bad]] * 3
    daily = [requested(city, morning(after(5)) + timedelta(hours=hours), after(4)) for hours in (0, 1, 5)]
    assert daily == [[bad], [], []]
    assert requested(city, morning(after(8)), after(7)) == [bad]
    assert requested(city, morning(after(9)), after(8)) == []


def test_a_day_that_was_never_tried_is_requested_whatever_its_age(city: City):
    assert requested(city, morning(after(40)) + timedelta(hours=3), after(39))[0] == after(1)


def test_a_file_is_left_to_its_passes(city: City):
    resources = {
        "home": dataclasses.replace(city.home, source="file", last_day=after(3)),
        "warehouse": city.resource("warehouse"),
        "counts_source": StubSource(newest=after(3)),
    }
    result = daily_refresh.evaluate_tick(context_at(city, morning(after(9)), resources))
    assert "bike materialize ingests the rest" in result.skip_message


def test_a_source_that_has_nothing_is_skipped(city: City):
    assert "published nothing" in tick(city, morning(after(2)), None).skip_message


def test_a_home_before_its_first_pass_is_skipped(tmp_path, open_city):
    young = open_city(tmp_path)
    assert "bike materialize does the first pass" in tick(young, morning(after(2)), after(1)).skip_message


def test_days_before_the_home_was_ready_are_never_requested(city: City):
    assert not tick(city, morning(FIRST_DAY), LAST_DAY).run_requests


def corrections(city: City, at: datetime, **changes):
    home = dataclasses.replace(city.home, **changes)
    resources = {"home": home, "warehouse": city.resource("warehouse"), "settings": city.settings}
    return daily_corrections.evaluate_tick(context_at(city, at, resources))


def ranges(city: City, at: datetime) -> list[tuple[str, str]]:
    requests = corrections(city, at).run_requests
    return [(request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) for request in requests]


def test_days_that_could_not_be_read_are_read_again_as_long_as_the_source_may_have_them(city: City):
    bad, gone = LAST_DAY - timedelta(days=20), FIRST_DAY
    week = (str(LAST_DAY - timedelta(days=6)), str(LAST_DAY))
    unreadable(city, bad)
    assert ranges(city, morning(after(1))) == [(str(bad), str(bad)), week]
    unreadable(city, bad, "2030-01-02", None)
    assert ranges(city, morning(after(1))) == [week]
    unreadable(city, gone)
    short = dataclasses.replace(city, settings=city.settings.model_copy(update={"history_months": 3}))
    assert ranges(short, morning(after(1))) == [week]


def test_the_newest_ingested_days_are_read_again_every_morning(city: City):
    [request] = corrections(city, morning(after(1))).run_requests
    first = LAST_DAY - timedelta(days=6)
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == (str(first), str(LAST_DAY))
    again, tomorrow = (corrections(city, morning(day)).run_requests[0].run_key for day in (after(1), after(2)))
    assert request.run_key == again != tomorrow


def test_a_young_home_is_read_again_from_its_first_day(city: City):
    first = LAST_DAY - timedelta(days=2)
    [request] = corrections(city, morning(after(1)), first_day=first).run_requests
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == (str(first), str(LAST_DAY))


def test_a_file_is_not_read_again(city: City):
    result = corrections(city, morning(after(1)), source="file", last_day=LAST_DAY)
    assert not result.run_requests
    assert "does not change" in result.skip_message


def test_a_home_without_days_has_none_to_read_again(tmp_path, open_city):
    assert "no day is ingested yet" in corrections(open_city(tmp_path), morning(after(1))).skip_message


def test_a_requested_correction_runs(city: City):
    [request] = corrections(city, morning(after(1))).run_requests
    job = city.defs.resolve_job_def("ingest")
    assert job.execute_in_process(instance=city.instance, tags=dict(request.tags)).success
    read = city.query("SELECT day, rows_added, rows_changed FROM monitoring_audit.ingestions ORDER BY ingested_at, day")
    assert len(read.tail(7)["day"].unique()) == 7
    assert not read.tail(7)[["rows_added", "rows_changed"]].any(axis=None)


def challenged(city: City, schedule: dg.ScheduleDefinition, **changes):
    resources = {"home": dataclasses.replace(city.home, **changes), "warehouse": city.resource("warehouse")}
    return schedule.evaluate_tick(context_at(city, datetime(2021, 11, 1, 13, tzinfo=UTC), resources))


@pytest.mark.parametrize("name", ["weekly_baseline_check", "monthly_challenge", "quarterly_rebaseline"])
def test_runs_by_the_calendar_are_requested_once_and_never_for_a_file_or_an_empty_home(
    city: City, tmp_path, open_city, name
):
    schedule = SCHEDULES[name]
    [request] = challenged(city, schedule).run_requests
    assert "2021-11" in request.run_key
    assert challenged(city, schedule).run_requests[0].run_key == request.run_key
    assert "days are over" in challenged(city, schedule, source="file", last_day=LAST_DAY).skip_message
    assert "are not cut yet" in challenged(open_city(tmp_path / "young"), schedule).skip_message


def test_a_correction_of_a_frozen_day_fails_the_check_of_its_set_alone(city: City):
    assert city.run("check_baseline").success
    counts = city.query("SELECT * FROM bike_traffic_raw.comptage_velo WHERE day = @day", day=FIRST_DAY)
    city.resource("warehouse").merge(COMPTAGE_VELO, counts.assign(bike_count=counts["bike_count"] + 1))
    result = city.run("check_baseline")
    checks = {each.check_name: (each.passed, each.severity) for each in result.get_asset_check_evaluations()}
    warning = dg.AssetCheckSeverity.WARN
    assert checks == {"train_baseline_is_unchanged": (False, warning), "test_baseline_is_unchanged": (True, warning)}


def test_a_challenge_is_the_trigger_of_its_training(city: City):
    [request] = challenged(city, monthly_challenge).run_requests
    assert request.tags["bike/trigger"] == "MONTHLY_CHALLENGE"
    assert city.run("retrain", tags=dict(request.tags)).success
    trained = city.query("SELECT * FROM monitoring_audit.training_runs WHERE trigger = 'MONTHLY_CHALLENGE'")
    assert set(trained["status"]) == {"known"}
    judged = city.query("SELECT * FROM monitoring_audit.evaluations ORDER BY recorded_at").iloc[-1]
    assert (judged["trigger"], judged["decision"]) == ("MONTHLY_CHALLENGE", "SKIP")
