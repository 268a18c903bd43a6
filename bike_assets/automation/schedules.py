"""When the jobs run by the clock."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from bike_assets.automation.jobs import daily, ingest
from bike_assets.home import Home
from bike_assets.partitions import DAILY
from bike_assets.plan import CORRECTED_DAYS, days_to_do
from bike_assets.resources.counts_source import CountsSource
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.schedule(
    job=daily,
    cron_schedule="30 10-22 * * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The daily job for every published day that is not done yet, oldest first: mostly for yesterday.",
)
def daily_refresh(
    context: dg.ScheduleEvaluationContext,
    home: dg.ResourceParam[Home],
    counts_source: dg.ResourceParam[CountsSource],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> list[dg.RunRequest] | dg.SkipReason:
    """From half past ten, every hour until all published days are done: the publisher is a day late, or more."""
    tick = context.scheduled_execution_time
    yesterday = _day_before(context)
    newest = counts_source.newest_day()
    if newest is None:
        return dg.SkipReason("the source has published nothing lately")
    under_way = {
        run.tags.get(PARTITION_TAG)
        for run in context.instance.get_runs(dg.RunsFilter(job_name=daily.name, statuses=UNDER_WAY))
    }
    wanted = days_to_do(context.instance, warehouse, home, settings, min(newest, yesterday))
    if wanted is None:
        return dg.SkipReason("this home has no champion yet: bike materialize does the first pass")
    requests = [
        dg.RunRequest(run_key=f"{day}, asked for at {tick:%Y-%m-%d %H:%M}", partition_key=day.isoformat())
        for day in wanted
        if day.isoformat() not in under_way
    ]
    if requests:
        return requests
    waiting = f"; {len(under_way)} under way" if under_way else ""
    return dg.SkipReason(f"every day to {min(newest, yesterday)} is done or under way: the source ends there{waiting}")


@dg.schedule(
    job=ingest,
    cron_schedule="0 10 * * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=f"Reads the last {CORRECTED_DAYS} days that are in once more, for late rows and corrections.",
)
def daily_corrections(
    context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home]
) -> dg.RunRequest | dg.SkipReason:
    """In the morning before the new day is read; a file cannot change."""
    if home.source == "file":
        return dg.SkipReason("the source is a file, which does not change")
    done = sorted(context.instance.get_materialized_partitions(dg.AssetKey("raw_counts")))
    if not done:
        return dg.SkipReason("no day is in yet")
    last = date.fromisoformat(done[-1])
    first = max(home.first_day, last - timedelta(days=CORRECTED_DAYS - 1))
    return dg.RunRequest(
        run_key=f"{first} to {last}, asked for at {context.scheduled_execution_time:%Y-%m-%d}",
        tags={RANGE_START_TAG: first.isoformat(), RANGE_END_TAG: last.isoformat()},
    )


def _day_before(context: dg.ScheduleEvaluationContext) -> date:
    return (context.scheduled_execution_time.astimezone(ZoneInfo(DAILY.timezone)) - timedelta(days=1)).date()


SCHEDULES = (daily_refresh, daily_corrections)
