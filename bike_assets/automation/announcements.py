"""Sensors that notify people of promotions, rejections, failed runs, and checks that fail or recover.

`core.messages` writes the messages; `sensors` starts runs. A REJECT fails its run by design, so it is reported as a
rejection. Each alarm is sent once: only a change of state is an alarm.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from bike_assets.automation.sensors import MINIMUM_INTERVAL_SECONDS
from bike_assets.checks import monitoring_checks, predictions_checks
from bike_assets.checks.monitoring_checks import NOT_KNOWN
from bike_assets.core.messages import Message, failed_run, failing_check, promotion, recovered_check, rejection
from bike_assets.core.summary import ModelEntry
from bike_assets.resources.notifier import Notifier
from bike_assets.resources.queries.deployments import deployments_after
from bike_assets.resources.queries.evaluations import newest_between, rejection_of_run
from bike_assets.resources.registry import Registry
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets.run_tags import PARTITION_TAG, RANGE_START_TAG
from bike_assets.settings import Settings

REGRESSION = dg.AssetCheckKey(dg.AssetKey("double_evaluation"), "baseline_is_not_regressed")
PARTITION_TAGS = (PARTITION_TAG, RANGE_START_TAG)
ALARMS = {
    "r2_is_above_critical": "Performance is critical",
    "r2_is_above_warning": "Performance is weak",
    "rmse_is_within_limit": "The error is above its limit",
    "champion_keeps_up_with_seasonal_naive": "Worse than no model for days",
    "drift_share_is_below_warning": "Data drift",
    "drift_share_is_below_critical": "Heavy data drift",
    "current_window_is_large_enough": "Too few counts to measure drift",
    "forecasts_cover_every_horizon": "Forecasts are missing",
}
"""Titles of the alarms, by check. Other checks send no alarm."""
PASSES_TO_RECOVER = 3
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AlarmState:
    """What was last reported of a check. A figure that swings about its bound is one alarm, not one each day.

    Attributes:
        notified_as: severity of the alarm that was sent; None if there is none.
        passes: number of passed evaluations in a row since.
        evaluation: id of the newest evaluation that was read.
    """

    notified_as: str | None = None
    passes: int = 0
    evaluation: int = -1

    @classmethod
    def from_cursor(cls, stored: dict[str, Any]) -> "AlarmState":
        """Return the state that `as_cursor` stored."""
        return cls(stored["told"], stored["held"], stored["seen"])

    def as_cursor(self) -> dict[str, Any]:
        """Return the state as JSON values. Homes have cursors with these keys: they must not change."""
        return {"told": self.notified_as, "held": self.passes, "seen": self.evaluation}

    def after(self, evaluation: int, failed_as: str | None) -> "AlarmState":
        """Return the state after an evaluation. It gets worse at once; it recovers after PASSES_TO_RECOVER passes."""
        if evaluation == self.evaluation:
            return self
        if failed_as is None:
            passes = self.passes + 1
            return AlarmState(None if passes >= PASSES_TO_RECOVER else self.notified_as, passes, evaluation)
        is_worse = self.notified_as is None or failed_as == dg.AssetCheckSeverity.ERROR.value
        return AlarmState(failed_as if is_worse else self.notified_as, 0, evaluation)


@dg.sensor(
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports every new champion: family, version, scores, gain, and why.",
)
def announce_promotion(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> dg.SkipReason:
    """Report each deployment once. The cursor is `recorded_at` of the last one reported."""
    last_reported = datetime.fromisoformat(context.cursor) if context.cursor else EARLIEST
    unreported = deployments_after(warehouse, last_reported)
    # Without a cursor, the sensor reports only the newest champion, not the history.
    rows = [one_row(unreported.iloc[[number]]) or {} for number in range(len(unreported))]
    for row in rows if context.cursor else rows[-1:]:
        entry = registry.read().entry(int(row["version"]))
        evaluation = newest_between(warehouse, row["version"], row["replaced_version"])
        figures = evaluation or (_figures_of(entry) if entry else {})
        notifier.send(promotion(row, figures, _page(settings, row["run_id"])))
        context.update_cursor(row["recorded_at"].isoformat())
    return dg.SkipReason(f"{len(rows)} new champion(s)" if rows else "the champion did not change")


def _figures_of(entry: ModelEntry) -> dict[str, float]:
    return {
        f"{metric}_{name}": entry.scores[f"test_{name}"][metric]
        for name in ("baseline", "current")
        for metric in ("r2", "rmse")
    }


@dg.run_failure_sensor(
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports every failed run with its step and its error; a rejected challenger as a rejection.",
)
def alert_on_run_failure(
    context: dg.RunFailureSensorContext,
    warehouse: dg.ResourceParam[Warehouse],
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Report a failed run, or the challenger that its evaluation rejected."""
    run, page = context.dagster_run, _page(settings, context.dagster_run.run_id)
    rejected = _rejected(context.instance, run.run_id, warehouse)
    if rejected:
        notifier.send(rejection(rejected, page))
        return
    if _failed_before(context.instance, run):
        return
    failures = context.get_step_failure_events()
    step = failures[0].step_key if failures else None
    error = failures[0].step_failure_data.error if failures else None
    while error is not None and error.cause is not None:
        error = error.cause
    notifier.send(failed_run(run.job_name, step, error.message if error else context.failure_event.message, page))


def _failed_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the previous run of the same job for the same days failed too: such a day is retried every hour."""
    days = {tag: run.tags[tag] for tag in PARTITION_TAGS if tag in run.tags}
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    if not days:
        return False
    newest = instance.get_runs(dg.RunsFilter(job_name=run.job_name, tags=days, statuses=ended), limit=10)
    before = newest[[each.run_id for each in newest].index(run.run_id) + 1 :] if run in newest else []
    return bool(before) and before[0].status == dg.DagsterRunStatus.FAILURE


def _rejected(instance: dg.DagsterInstance, run_id: str, warehouse: Warehouse) -> dict | None:
    """Return the evaluation of a run that ended with a REJECT; None for other runs."""
    record = instance.get_latest_asset_check_evaluation_record(REGRESSION)
    evaluation = record.event.asset_check_evaluation if record and record.event else None
    if record is None or record.run_id != run_id or evaluation is None or evaluation.passed:
        return None
    return rejection_of_run(warehouse, run_id)


@dg.sensor(
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports when a check of performance, drift or forecasts begins to fail, gets worse, or recovers.",
)
def alert_on_check_failure(
    context: dg.SensorEvaluationContext,
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> dg.SkipReason:
    """Compare each check's newest evaluation with the state that was last reported. The cursor stores the states."""
    states = {name: AlarmState.from_cursor(each) for name, each in json.loads(context.cursor or "{}").items()}
    reported = []
    for spec in _watched_checks():
        record = context.instance.get_latest_asset_check_evaluation_record(spec.key)
        evaluation = record.event.asset_check_evaluation if record and record.event else None
        if record is None or evaluation is None or _is_unknown(evaluation):
            continue
        before = states.get(spec.name, AlarmState())
        states[spec.name] = after = before.after(record.id, None if evaluation.passed else evaluation.severity.value)
        if after.notified_as != before.notified_as:
            reported.append(spec.name)
            notifier.send(_describe(spec, evaluation, _page(settings, record.run_id)))
    context.update_cursor(json.dumps({name: state.as_cursor() for name, state in states.items()}))
    return dg.SkipReason(f"reported {', '.join(reported)}" if reported else "no check changed its state")


def _is_unknown(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether there was too little data to judge. Such an evaluation starts and ends no alarm."""
    return NOT_KNOWN in {each.value for each in evaluation.metadata.values()}


def _watched_checks() -> Iterator[dg.AssetCheckSpec]:
    checks = [*monitoring_checks.checks, predictions_checks.forecasts_cover_every_horizon]
    return (spec for check in checks for spec in check.check_specs if spec.name in ALARMS)


def _describe(spec: dg.AssetCheckSpec, evaluation: dg.AssetCheckEvaluation, page: str) -> Message:
    figures: dict[str, Any] = {name: each.value for name, each in evaluation.metadata.items()}
    title, statement = ALARMS[spec.name], spec.description or spec.name
    if evaluation.passed:
        return recovered_check(title, statement, figures, page)
    return failing_check(title, statement, evaluation.severity == dg.AssetCheckSeverity.ERROR, figures, page)


def _page(settings: Settings, run_id: str) -> str:
    return f"http://{settings.host}:{settings.dagster_port}/runs/{run_id}"


ANNOUNCEMENTS = (announce_promotion, alert_on_run_failure, alert_on_check_failure)
