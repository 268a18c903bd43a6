"""Every metric of the exporter: name, type, labels and meaning. Reading values belongs to the parts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True)
class Described:
    """The description of a metric for Prometheus."""

    kind: Literal["gauge", "counter"]
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One figure: the metric's name, its value, and the values of its labels in order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


_SCORED = ("role", "dataset", "horizon_days")
_SETS = "live is the newest 7 days, baseline and current are the test sets of the newest evaluation"
METRICS: dict[str, Described] = {
    "bike_model_r2": Described("gauge", f"R2 of hourly forecasts; {_SETS}.", _SCORED),
    "bike_model_rmse": Described("gauge", f"RMSE of hourly forecasts in bikes an hour; {_SETS}.", _SCORED),
    "bike_model_mae": Described(
        "gauge", f"Mean absolute error of hourly forecasts in bikes an hour; {_SETS}.", _SCORED
    ),
    "bike_model_scored_rows": Described("gauge", "Forecasts that were compared with counts.", _SCORED),
    "bike_model_info": Described("gauge", "1 for the version that has a role.", ("role", "family", "version")),
    "bike_model_family_r2": Described(
        "gauge", "R2 of a family's newest version when it was trained.", ("family", "dataset")
    ),
    "bike_model_family_rmse": Described(
        "gauge", "RMSE of a family's newest version when it was trained, in bikes an hour.", ("family", "dataset")
    ),
    "bike_champion_version": Described("gauge", "Number of the version that serves."),
    "bike_champion_promoted_timestamp_seconds": Described(
        "gauge", "End of the newest day of counts when it was promoted."
    ),
    "bike_champion_trained_until_timestamp_seconds": Described("gauge", "End of the newest day that it learned from."),
    "bike_performance_end_timestamp_seconds": Described("gauge", "End of the newest day whose forecasts were scored."),
    "bike_behind_naive_streak": Described(
        "gauge", "Days in a row on which the champion was worse than the seasonal naive."
    ),
    "bike_gain_r2": Described(
        "gauge",
        "R2 by which the newest challenger beat the champion on test_current, with its 95 % interval.",
        ("bound",),
    ),
    "bike_gain_residual_share": Described("gauge", "The same gain as a share of what the champion leaves (1 - R2)."),
    "bike_gain_required_r2": Described("gauge", "R2 that has to be gained to be deployed."),
    "bike_drift_share": Described("gauge", "Share of drifted columns in the newest 7 days."),
    "bike_drift_detected": Described("gauge", "1 where the share has reached the warning threshold."),
    "bike_drift_enough_data": Described("gauge", "1 where there was enough data to speak of drift."),
    "bike_drift_drifted_columns": Described("gauge", "Number of drifted columns."),
    "bike_drift_checked_columns": Described("gauge", "Number of columns that were compared."),
    "bike_drift_column_drifted": Described("gauge", "1 for a column that has drifted.", ("column",)),
    "bike_drift_new_counters": Described("gauge", "Counters of the newest 7 days that the reference does not have."),
    "bike_drift_vanished_counters": Described("gauge", "Counters of the reference that the newest 7 days do not have."),
    "bike_drift_rows": Described("gauge", "Rows that were compared.", ("sample",)),
    "bike_drift_end_timestamp_seconds": Described("gauge", "End of the newest day that was looked at for drift."),
    "bike_retrain_decisions_total": Described("counter", "Days by what was decided of them last.", ("decision",)),
    "bike_retrain_decision": Described("gauge", "1 for what was decided of the newest day.", ("decision",)),
    "bike_retrain_decision_end_timestamp_seconds": Described("gauge", "End of the newest day that was decided of."),
    "bike_retrain_held": Described("gauge", "1 while a cooldown holds a retrain back."),
    "bike_retrain_held_until_timestamp_seconds": Described("gauge", "Day from which it no longer does."),
    "bike_training_runs_total": Described("counter", "Trainings of a family.", ("family", "status", "trigger")),
    "bike_training_last_duration_seconds": Described("gauge", "Time that a family's last training took.", ("family",)),
    "bike_training_last_timestamp_seconds": Described("gauge", "When a training last ended like that.", ("status",)),
    "bike_evaluations_total": Described("counter", "Double evaluations by their decision.", ("decision",)),
    "bike_evaluation_last_timestamp_seconds": Described("gauge", "When an evaluation last decided so.", ("decision",)),
    "bike_deployments_total": Described("counter", "Changes of the champion by who decided.", ("decided_by",)),
    "bike_deployment_last_timestamp_seconds": Described("gauge", "When the champion last changed."),
    "bike_threshold": Described("gauge", "A bound of the rules, as the settings have it.", ("name",)),
    "bike_rows_ingested_total": Described("counter", "Counts added to the warehouse."),
    "bike_rows_corrected_total": Described("counter", "Counts that a later reading changed."),
    "bike_rows_withdrawn_total": Described("counter", "Counts that a later reading no longer had."),
    "bike_rows_outlying_total": Described(
        "counter", "Outliers found in readings; a row that is read again counts again."
    ),
    "bike_rows_rejected_total": Described(
        "counter", "Published rows that were left out of readings; one that is read again counts again.", ("problem",)
    ),
    "bike_readings_total": Described("counter", "Readings of a day, by whether it came in.", ("outcome",)),
    "bike_data_end_timestamp_seconds": Described(
        "gauge",
        "End of the newest local day of the data; of forecasts, of the day that they were issued on.",
        ("data",),
    ),
    "bike_counters": Described("gauge", "Counters by their state.", ("state",)),
    "bike_forecasts_total": Described("counter", "Hourly forecasts stored.", ("kind",)),
    "bike_forecast_counters": Described("gauge", "Counters in the newest forecast."),
    "bike_forecast_unknown_counters": Described("gauge", "Those of them that the model did not learn from."),
    "bike_day_bikes": Described(
        "gauge",
        "Bikes of the newest day: counted, as forecast the day before, and by the seasonal naive.",
        ("counter_id", "counter_name", "kind"),
    ),
    "bike_next_day_bikes": Described(
        "gauge", "Bikes that are forecast for the day after the newest counts.", ("counter_id", "counter_name")
    ),
    "bike_runs_total": Described("counter", "Ended runs of a job.", ("job", "status")),
    "bike_runs_in_progress": Described("gauge", "Runs that wait or go on.", ("job", "status")),
    "bike_run_last_duration_seconds": Described("gauge", "Time that a job's last successful run took.", ("job",)),
    "bike_run_last_success_timestamp_seconds": Described("gauge", "When a job last succeeded.", ("job",)),
    "bike_asset_check_passed": Described("gauge", "1 where an asset check holds.", ("asset", "check", "severity")),
    "bike_asset_check_timestamp_seconds": Described("gauge", "When a check was last made.", ("asset", "check")),
    "bike_asset_materialized_timestamp_seconds": Described("gauge", "When an asset was last made.", ("asset",)),
    "bike_instigator_running": Described("gauge", "1 for a sensor or schedule that is on.", ("name", "kind")),
    "bike_instigator_tick_timestamp_seconds": Described("gauge", "When it was last looked at.", ("name", "kind")),
    "bike_instigator_tick_failed": Described("gauge", "1 where that failed.", ("name", "kind")),
    "bike_daemon_heartbeat_timestamp_seconds": Described(
        "gauge", "When a daemon of Dagster's last lived.", ("daemon",)
    ),
    "bike_exporter_part_readable": Described("gauge", "1 where a part could be read.", ("part",)),
    "bike_exporter_part_seconds": Described("gauge", "Time that a part's last reading took.", ("part",)),
    "bike_home_info": Described("gauge", "1 for where the home's counts come from.", ("source",)),
    "bike_build_info": Described("gauge", "1 for the version that runs.", ("version",)),
}
NAMES = frozenset(METRICS)


def families_of(samples: Iterable[Sample]) -> list[Metric]:
    """Group samples by metric; a metric without samples is left out."""
    families: dict[str, Metric] = {}
    for sample in samples:
        if sample.name not in families:
            families[sample.name] = _family(sample.name)
        families[sample.name].add_metric(sample.labels, sample.value)  # type: ignore[attr-defined]
    return list(families.values())


def _family(name: str) -> Metric:
    described = METRICS[name]
    of_kind = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
    return of_kind(name.removesuffix("_total"), described.meaning, labels=described.labels)
