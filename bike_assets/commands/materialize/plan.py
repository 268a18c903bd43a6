"""The missing steps of a home. Each step is a run that the Dagster UI shows.

The plan reads the event log and the audit tables, so a killed pass continues where it stopped. What a step does
belongs to the assets; running a whole pass belongs to `full_pass`.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import dagster as dg

from bike_assets.core.local_time import days_between
from bike_assets.core.splits import Span, spans_of
from bike_assets.errors import BadDaysError, StepFailedError
from bike_assets.home.record import Home
from bike_assets.instance.materialized import LAST_DAILY_ASSET, REREAD_DAYS, materialized_days, new_days
from bike_assets.instance.runs import STEP_TAG
from bike_assets.resources.counts_source import open_source
from bike_assets.resources.home_source import yesterday
from bike_assets.resources.queries.counts import days_to_read_again, unread_days, whole_days
from bike_assets.resources.queries.splits import bootstrapped_on, recorded_split
from bike_assets.resources.registry import Registry
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import TRIGGER_TAG, Trigger
from bike_assets.settings import Settings

MONITORED_DAYS = 14
INGESTION = ("raw_counts", "counters")
MONITORING = ("champion_performance", "drift_report", LAST_DAILY_ASSET)


@dataclass(frozen=True)
class Step:
    """One run of a pass.

    Attributes:
        title: what it does, for the terminal.
        job: the job that it runs.
        assets: the assets of the job to materialize.
        span: local days, for partitioned assets.
        run_id: id of its Dagster run.
    """

    title: str
    job: str
    assets: tuple[str, ...]
    span: Span | None = None
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Plan:
    """The steps of a home that are not done yet.

    Args:
        defs: the code location.
        instance: the Dagster instance.
        home: a claimed home.
        settings: the settings in force.
        until: the last local day; by default the last one that the source has.
    """

    def __init__(
        self, defs: dg.Definitions, instance: dg.DagsterInstance, home: Home, settings: Settings, until: date | None
    ) -> None:
        self.defs, self.instance, self.home, self.settings = defs, instance, home, settings
        self.last = until or _newest_day(home, settings)
        resources = defs.resources or {}
        self.warehouse: Warehouse = resources["warehouse"]
        self.registry: Registry = resources["registry"]

    def steps(self) -> Iterator[Step]:
        """Yield the missing steps in order. Run each step before requesting the next."""
        split = recorded_split(self.warehouse, "train_baseline")
        if split is None:
            yield from self._ingestion()
        if not self._can_train():
            return
        if self.registry.read().champion is None or not self._is_materialized("champion"):
            yield Step("training and judging models", "retrain", self.assets_of("retrain"))
        yield from self._hindcasts()
        yield from self._rereadings()
        yield from self._daily_runs()

    def not_enough_days(self) -> str | None:
        """Return why no model can be trained yet; None if one can."""
        if self._can_train():
            return None
        whole = whole_days(self.warehouse, self.settings.timezone)
        return (
            f"{whole.days if whole else 0} whole days of counts are not enough to train and judge a model: "
            f"{self.settings.min_training_days} are needed (BIKE_MIN_TRAINING_DAYS)."
        )

    def assets_of(self, job: str) -> tuple[str, ...]:
        """Return the names of all assets that a job makes."""
        keys = self.defs.resolve_job_def(job).asset_layer.executable_asset_keys
        return tuple(sorted(key.to_user_string() for key in keys))

    def run(self, step: Step) -> None:
        """Run one step in this process.

        Raises:
            BadDaysError: a blocking check of `raw_counts` failed.
            StepFailedError: the step failed for another reason; the message names the run.
        """
        job = self.defs.resolve_job_def(step.job)
        tags = {STEP_TAG: step.title, TRIGGER_TAG: str(Trigger.BOOTSTRAP)}
        if step.span:
            tags |= {
                "dagster/asset_partition_range_start": step.span.first.isoformat(),
                "dagster/asset_partition_range_end": step.span.last.isoformat(),
            }
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in step.assets],
            tags=tags,
            run_id=step.run_id,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if not result.success:
            bad_days = _failed_checks(result, "raw_counts")
            kind = BadDaysError if bad_days else StepFailedError
            message = f"{step.title} failed: {bad_days or _failure_reason(result)}"
            raise kind(f"{message.rstrip('.')} (run {step.run_id} in the Dagster UI has the details).")

    def _ingestion(self) -> Iterator[Step]:
        whole = Span(self.home.first_day, self.last)
        for span in spans_of(set(unread_days(self.warehouse, whole))):
            yield Step(f"reading again {span.first} to {span.last}", "ingest", self.assets_of("ingest"), span)
        parts = (
            ("raw_counts", INGESTION, "ingesting counts"),
            ("hourly_features", ("weather", "hourly_features"), "reading weather and making features"),
        )
        for asset_of_days, assets, what in parts:
            missing = self._missing(asset_of_days, days_between(whole.first, whole.last))
            if missing:
                yield Step(f"{what} of {len(missing)} days", "bootstrap", assets, Span(missing[0], missing[-1]))
        if not self._is_materialized("counters") and self._can_train():
            yield Step("listing counters", "bootstrap", ("counters",))

    def _can_train(self) -> bool:
        if recorded_split(self.warehouse, "train_baseline"):
            return True
        whole = whole_days(self.warehouse, self.settings.timezone)
        return whole is not None and whole.days >= self.settings.min_training_days

    def _hindcasts(self) -> Iterator[Step]:
        """Yield the hindcasts of the days of test_current at bootstrap, and the monitoring of its last days."""
        bootstrapped, first = bootstrapped_on(self.warehouse), self.registry.read().first_champion
        if bootstrapped is None or first is None:
            return
        trained_until = date.fromisoformat(first.trained_until)
        missing = self._missing("predictions", days_between(trained_until, bootstrapped))
        if missing:
            span = Span(missing[0], missing[-1])
            yield Step(f"forecasting as of {len(missing)} days", "bootstrap", ("predictions",), span)
        monitored = days_between(
            max(trained_until + timedelta(days=1), bootstrapped - timedelta(days=MONITORED_DAYS - 1)), bootstrapped
        )
        missing = self._missing(LAST_DAILY_ASSET, monitored)
        if missing:
            span = Span(missing[0], missing[-1])
            yield Step(f"monitoring {len(missing)} days: performance, drift, decision", "bootstrap", MONITORING, span)

    def _rereadings(self) -> Iterator[Step]:
        """Yield the days that could not be read before, and the week before any new days."""
        if self.home.source == "file" or recorded_split(self.warehouse, "train_baseline") is None:
            return
        new = self._new_days()
        again = set(days_to_read_again(self.warehouse, self.home, self.settings, self.last))
        if new:
            again.update(days_between(max(self.home.first_day, new[0] - timedelta(days=REREAD_DAYS)), new[0]))
        for span in spans_of(again - set(new)):
            yield Step(f"reading again {span.first} to {span.last}", "ingest", self.assets_of("ingest"), span)

    def _new_days(self) -> list[date]:
        return new_days(self.instance, self.warehouse, self.last)

    def _daily_runs(self) -> Iterator[Step]:
        for day in self._new_days():
            if not self._is_incomplete(day):
                yield Step(
                    f"the day {day}: counts, forecast, drift, decision",
                    "daily",
                    self.assets_of("daily"),
                    Span(day, day),
                )

    def _is_incomplete(self, day: date) -> bool:
        """Whether a day is the incomplete last day of a file. No forecast can be issued from it."""
        whole = whole_days(self.warehouse, self.settings.timezone)
        ingested = not self._missing("raw_counts", [day])
        return day == self.home.last_day and ingested and whole is not None and whole.last < day

    def _missing(self, asset: str, days: list[date]) -> list[date]:
        done = materialized_days(self.instance, asset)
        return [day for day in days if day not in done]

    def _is_materialized(self, asset: str) -> bool:
        return self.instance.get_latest_materialization_event(dg.AssetKey(asset)) is not None


def _newest_day(home: Home, settings: Settings) -> date:
    """Return the last day that can be done: the source's newest, but at most yesterday, unless it is a file."""
    newest = open_source(home, settings).newest_day() or home.first_day - timedelta(days=1)
    return newest if home.source == "file" else min(newest, yesterday(home.timezone))


def _failed_checks(result: Any, asset: str) -> str:
    """Return the messages of the failed blocking checks of an asset, on one line."""
    failed = [
        f"{each.check_name}: {each.description or 'see its metadata'}"
        for each in result.get_asset_check_evaluations()
        if not each.passed and each.severity == dg.AssetCheckSeverity.ERROR and each.asset_key == dg.AssetKey(asset)
    ]
    return "; ".join(failed)


def _failure_reason(result: Any) -> str:
    failures = [event for event in result.all_events if event.is_failure and event.is_step_event]
    for event in failures:
        error = event.event_specific_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        user_data = getattr(event.event_specific_data, "user_failure_data", None)
        text = (user_data and user_data.description) or (error and error.message) or event.message
        return f"{event.step_key}: {text.strip().splitlines()[0]}"
    return "no step reports a reason"
