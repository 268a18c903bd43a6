"""When the jobs run by the clock."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from bike_assets.automation.jobs import daily, ingest, rebaseline, retrain
from bike_assets.automation.sensors import UNDER_WAY
from bike_assets.core.local_time import days_between
from bike_assets.core.splits import Span
from bike_assets.home import Home
from bike_assets.partitions import DAILY
from bike_assets.plan import CORRECTED_DAYS, new_days, spans_of
from bike_assets.resources.counts_source import CountsSource
from bike_assets.resources.queries import days_to_read_again, days_tried, recorded_split
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings
from bike_assets.triggers import CAUSE_TAG, PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, TRIGGER_TAG, Trigger

FIRST_HOUR = 10
HOURLY_DAYS = 2


@dg.schedule(
    job=daily,
    cron_schedule=f"30 {FIRST_HOUR}-22 * * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The daily job for every published day that is not done yet, oldest first: mostly for yesterday.",
)
def daily_refresh(
    context: dg.ScheduleEvaluationContext,
    home: dg.ResourceParam[Home],
    counts_source: dg.ResourceParam[CountsSource],
    warehouse: dg.ResourceParam[Warehouse],
) -> list[dg.RunRequest] | dg.SkipReason:
    """From half past ten, every hour until all published days are done: the publisher is a day late, or more."""
    if home.source == "file":
        return dg.SkipReason("the source is a file, whose days are over: bike materialize does what is left of them")
    tick, newest = context.scheduled_execution_time, counts_source.newest_day()
    if newest is None:
        return dg.SkipReason("the source has published nothing lately")
    if recorded_split(warehouse, "train_baseline") is None:
        return dg.SkipReason("this home has no champion yet: bike materialize does the first pass")
    last = min(newest, _day_before(context))
    under_way = {
        run.tags.get(PARTITION_TAG)
        for run in context.instance.get_runs(dg.RunsFilter(job_name=daily.name, statuses=UNDER_WAY))
    }
    wanted = _worth_asking(new_days(context.instance, warehouse, last), warehouse, last, _is_first_tick(context))
    requests = [
        dg.RunRequest(run_key=f"{day}, asked for at {tick:%Y-%m-%d %H:%M}", partition_key=day.isoformat())
        for day in wanted
        if day.isoformat() not in under_way
    ]
    if requests:
        return requests
    waiting = f"; {len(under_way)} under way" if under_way else ""
    return dg.SkipReason(f"every day to {last} is done or under way: the source ends with {newest}{waiting}")


def _worth_asking(days: list[date], warehouse: Warehouse, last: date, first_tick: bool) -> list[date]:
    """Leave out days that failed before: such a day is tried hourly at first, then daily for a week, then no more."""
    tried = days_tried(warehouse, Span(days[0], days[-1])) if days else set()
    return [
        day
        for day in days
        if day not in tried or (last - day).days < HOURLY_DAYS or (first_tick and (last - day).days < CORRECTED_DAYS)
    ]


@dg.schedule(
    job=ingest,
    cron_schedule="0 10 * * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=f"Reads the last {CORRECTED_DAYS} days that are in, and days that could not be read, once more.",
)
def daily_corrections(
    context: dg.ScheduleEvaluationContext,
    home: dg.ResourceParam[Home],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> list[dg.RunRequest] | dg.SkipReason:
    """In the morning before the new day is read; a file cannot change."""
    if home.source == "file":
        return dg.SkipReason("the source is a file, which does not change")
    done = sorted(context.instance.get_materialized_partitions(dg.AssetKey("raw_counts")))
    if not done:
        return dg.SkipReason("no day is in yet")
    last = date.fromisoformat(done[-1])
    again = set(days_between(max(home.first_day, last - timedelta(days=CORRECTED_DAYS - 1)), last))
    again |= set(days_to_read_again(warehouse, home, settings, last))
    return [
        dg.RunRequest(
            run_key=f"{span.first} to {span.last}, asked for at {context.scheduled_execution_time:%Y-%m-%d}",
            tags={RANGE_START_TAG: span.first.isoformat(), RANGE_END_TAG: span.last.isoformat()},
        )
        for span in spans_of(again)
    ]


@dg.schedule(
    job=retrain,
    cron_schedule="0 14 1 * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A retrain through the same gate on the first of the month: a healthy champion must not age unseen.",
)
def monthly_challenge(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home], warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """In the afternoon, when the day before is in; no cooldown holds it back."""
    if why_not := _cannot_train(home, warehouse):
        return dg.SkipReason(why_not)
    month = f"{context.scheduled_execution_time:%Y-%m}"
    return dg.RunRequest(
        run_key=f"challenge of {month}",
        tags={TRIGGER_TAG: str(Trigger.MONTHLY_CHALLENGE), CAUSE_TAG: f"the challenge of {month}"},
    )


@dg.schedule(
    job=rebaseline,
    cron_schedule="0 16 1 1,4,7,10 *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Cuts both frozen sets anew each quarter; off, because challengers then wait 28 days.",
)
def quarterly_rebaseline(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home], warehouse: dg.ResourceParam[Warehouse]
) -> dg.RunRequest | dg.SkipReason:
    """Once a quarter, where somebody turned it on."""
    if why_not := _cannot_train(home, warehouse):
        return dg.SkipReason(why_not)
    return dg.RunRequest(run_key=f"rebaseline of {context.scheduled_execution_time:%Y-%m}")


def _cannot_train(home: Home, warehouse: Warehouse) -> str | None:
    if home.source == "file":
        return "the source is a file, whose days are over"
    return None if recorded_split(warehouse, "train_baseline") else "this home has no champion yet"


def _is_first_tick(context: dg.ScheduleEvaluationContext) -> bool:
    return context.scheduled_execution_time.astimezone(ZoneInfo(DAILY.timezone)).hour == FIRST_HOUR


def _day_before(context: dg.ScheduleEvaluationContext) -> date:
    return (context.scheduled_execution_time.astimezone(ZoneInfo(DAILY.timezone)) - timedelta(days=1)).date()


SCHEDULES = (daily_refresh, daily_corrections, monthly_challenge, quarterly_rebaseline)
