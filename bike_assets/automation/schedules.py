"""When the jobs run by the clock."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from bike_assets.automation.jobs import daily
from bike_assets.partitions import DAILY


@dg.schedule(
    job=daily,
    cron_schedule="30 10 * * *",
    execution_timezone=DAILY.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The daily job for the day before; beyond the end of a file it skips and says so.",
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """The day before, at half past ten in the morning: the publisher is a day late and has published by then."""
    day = (context.scheduled_execution_time.astimezone(ZoneInfo(DAILY.timezone)) - timedelta(days=1)).date()
    if day < DAILY.start.date():
        return dg.SkipReason(f"{day} lies before this home's first day, {DAILY.start:%Y-%m-%d}")
    if DAILY.end and day >= DAILY.end.date():
        return dg.SkipReason(f"{day} lies after this home's source ends, {DAILY.end - timedelta(days=1):%Y-%m-%d}")
    return dg.RunRequest(run_key=f"daily-{day}", partition_key=day.isoformat())


SCHEDULES = (daily_refresh,)
