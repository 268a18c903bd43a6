"""The schedules: jobs that run at fixed times. `sensors` starts runs after events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from bike_assets.automation.jobs import check_baseline, daily, ingest, rebaseline, retrain
from bike_assets.automation.sensors import ACTIVE_STATUSES
from bike_assets.core.local_time import days_between
from bike_assets.core.splits import Span, spans_of
from bike_assets.home.record import Home
from bike_assets.instance.materialized import REREAD_DAYS, new_days
from bike_assets.resources.counts_source import CountsSource
from bike_assets.resources.queries.counts import days_to_read_again, days_tried
from bike_assets.resources.queries.splits import recorded_split
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import CAUSE_TAG, PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, TRIGGER_TAG, Trigger
from bike_assets.settings import Settings

FIRST_HOUR = 10
HOURLY_DAYS = 2


def daily_refresh(
    context: dg.ScheduleEvaluationContext,
    home: dg.ResourceParam[Home],
    counts_source: dg.ResourceParam[CountsSource],
    warehouse: dg.ResourceParam[Warehouse],
) -> list[dg.RunRequest] | dg.SkipReason:
    """Request each published day that is not done, every hour from 10:30: the source is a day late, or more."""
    if home.source == "file":
        return dg.SkipReason("the source is a file, whose days are over: bike materialize ingests the rest")
    tick, newest = context.scheduled_execution_time, counts_source.newest_day()
    if newest is None:
        return dg.SkipReason("the source has published nothing lately")
    if recorded_split(warehouse, "train_baseline") is None:
        return dg.SkipReason("the frozen sets of this home are not cut yet: bike materialize does the first pass")
    local = _local_time(context, home)
    last = min(newest, (local - timedelta(days=1)).date())
    active_days = {
        run.tags.get(PARTITION_TAG)
        for run in context.instance.get_runs(dg.RunsFilter(job_name=daily.name, statuses=ACTIVE_STATUSES))
    }
    due = _due_days(new_days(context.instance, warehouse, last), warehouse, last, local.hour == FIRST_HOUR)
    requests = [
        dg.RunRequest(run_key=f"{day}, asked for at {tick:%Y-%m-%d %H:%M}", partition_key=day.isoformat())
        for day in due
        if day.isoformat() not in active_days
    ]
    if requests:
        return requests
    active = f"; {len(active_days)} queued or running" if active_days else ""
    return dg.SkipReason(f"every day to {last} is done, queued or running: the source ends with {newest}{active}")


def _due_days(days: list[date], warehouse: Warehouse, last: date, first_tick: bool) -> list[date]:
    """Leave out failed days that are not due: a day is retried hourly for 2 days, daily for a week, then never."""
    tried = days_tried(warehouse, Span(days[0], days[-1])) if days else set()
    return [
        day
        for day in days
        if day not in tried or (last - day).days < HOURLY_DAYS or (first_tick and (last - day).days < REREAD_DAYS)
    ]


def daily_corrections(
    context: dg.ScheduleEvaluationContext,
    home: dg.ResourceParam[Home],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> list[dg.RunRequest] | dg.SkipReason:
    """Read the newest days again, in the morning before the new day. Skip a file: it cannot change."""
    if home.source == "file":
        return dg.SkipReason("the source is a file, which does not change")
    done = sorted(context.instance.get_materialized_partitions(dg.AssetKey("raw_counts")))
    if not done:
        return dg.SkipReason("no day is ingested yet")
    last = date.fromisoformat(done[-1])
    again = set(days_between(max(home.first_day, last - timedelta(days=REREAD_DAYS - 1)), last))
    again |= set(days_to_read_again(warehouse, home, settings, last))
    return [
        dg.RunRequest(
            run_key=f"{span.first} to {span.last}, asked for at {context.scheduled_execution_time:%Y-%m-%d}",
            tags={RANGE_START_TAG: span.first.isoformat(), RANGE_END_TAG: span.last.isoformat()},
        )
        for span in spans_of(again)
    ]


def monthly_challenge(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home], warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """Retrain in the afternoon, after yesterday was ingested. No cooldown applies."""
    if why_not := _why_no_training(home, warehouse):
        return dg.SkipReason(why_not)
    month = f"{context.scheduled_execution_time:%Y-%m}"
    return dg.RunRequest(
        run_key=f"challenge of {month}",
        tags={TRIGGER_TAG: str(Trigger.MONTHLY_CHALLENGE), CAUSE_TAG: f"the challenge of {month}"},
    )


def quarterly_rebaseline(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home], warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """Cut the frozen sets anew once a quarter, if a person turned the schedule on."""
    if why_not := _why_no_training(home, warehouse):
        return dg.SkipReason(why_not)
    return dg.RunRequest(run_key=f"rebaseline of {context.scheduled_execution_time:%Y-%m}")


def weekly_baseline_check(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home], warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """Check the frozen sets once a week: a correction of an old day changes what every challenger is judged on."""
    if why_not := _why_no_training(home, warehouse):
        return dg.SkipReason(why_not)
    return dg.RunRequest(run_key=f"check of {context.scheduled_execution_time:%Y-%m-%d}")


def _why_no_training(home: Home, warehouse: Warehouse) -> str | None:
    if home.source == "file":
        return "the source is a file, whose days are over"
    return None if recorded_split(warehouse, "train_baseline") else "the frozen sets of this home are not cut yet"


def _local_time(context: dg.ScheduleEvaluationContext, home: Home) -> datetime:
    return context.scheduled_execution_time.astimezone(ZoneInfo(home.timezone))


@dataclass(frozen=True)
class Cadence:
    """A schedule without its time zone, which is the home's.

    Attributes:
        decide: returns the runs that a tick requests; the schedule has its name.
        job: the job that the tick launches.
        cron: when it ticks, in local time.
        description: what the UI shows.
        is_on: whether it runs by default.
    """

    decide: Callable[..., Any]
    job: Any
    cron: str
    description: str
    is_on: bool = True


CADENCES = (
    Cadence(
        daily_refresh,
        daily,
        f"30 {FIRST_HOUR}-22 * * *",
        "The daily job for every published day that is not done yet, oldest first: mostly for yesterday.",
    ),
    Cadence(
        daily_corrections,
        ingest,
        "0 10 * * *",
        f"Reads the newest {REREAD_DAYS} ingested days again, and days that could not be read.",
    ),
    Cadence(
        monthly_challenge,
        retrain,
        "0 14 1 * *",
        "A retrain through the same gate on the first of the month, so that a healthy champion is also challenged.",
    ),
    Cadence(
        weekly_baseline_check,
        check_baseline,
        "0 16 * * 1",
        "Compares the counts of both frozen sets with those on the day of the cut, on Mondays.",
    ),
    Cadence(
        quarterly_rebaseline,
        rebaseline,
        "0 16 1 1,4,7,10 *",
        "Cuts both frozen sets anew each quarter; off, because challengers then wait 28 days.",
        is_on=False,
    ),
)


def schedules(timezone: str) -> list[dg.ScheduleDefinition]:
    """Return all schedules, in a time zone."""
    status = {True: dg.DefaultScheduleStatus.RUNNING, False: dg.DefaultScheduleStatus.STOPPED}
    return [
        dg.schedule(
            job=each.job,
            cron_schedule=each.cron,
            execution_timezone=timezone,
            default_status=status[each.is_on],
            description=each.description,
        )(each.decide)
        for each in CADENCES
    ]
