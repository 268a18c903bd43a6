"""Every metric of the exporter: name, type, labels and meaning. Reading values belongs to the parts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True)
class MetricDescription:
    """The description of a metric for Prometheus."""

    kind: Literal["gauge", "counter"]
    help_text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One figure: the metric's name, its value, and the values of its labels in order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


_SCORE_LABELS = ("role", "dataset", "horizon_days")
_DATASETS = "live is the newest 7 days, baseline and current are the test sets of the newest evaluation"
METRICS: dict[str, MetricDescription] = {
    "bike_model_r2": MetricDescription("gauge", f"R2 of hourly forecasts; {_DATASETS}.", _SCORE_LABELS),
    "bike_model_rmse": MetricDescription(
        "gauge", f"RMSE of hourly forecasts in bikes an hour; {_DATASETS}.", _SCORE_LABELS
    ),
    "bike_model_mae": MetricDescription(
        "gauge", f"Mean absolute error of hourly forecasts in bikes an hour; {_DATASETS}.", _SCORE_LABELS
    ),
    "bike_model_scored_rows": MetricDescription(
        "gauge", "Number of forecasts that were compared with counts.", _SCORE_LABELS
    ),
    "bike_model_info": MetricDescription(
        "gauge", "1 for the version that has this role.", ("role", "family", "version")
    ),
    "bike_model_family_r2": MetricDescription(
        "gauge", "R2 of a family's newest version, measured at its training.", ("family", "dataset")
    ),
    "bike_model_family_rmse": MetricDescription(
        "gauge", "RMSE of a family's newest version in bikes an hour, measured at its training.", ("family", "dataset")
    ),
    "bike_champion_version": MetricDescription("gauge", "Number of the champion's version."),
    "bike_champion_promoted_timestamp_seconds": MetricDescription(
        "gauge", "End of the newest day of counts at the champion's promotion."
    ),
    "bike_champion_trained_until_timestamp_seconds": MetricDescription(
        "gauge", "End of the newest day that the champion learned from."
    ),
    "bike_performance_end_timestamp_seconds": MetricDescription(
        "gauge", "End of the newest day whose forecasts were scored."
    ),
    "bike_behind_naive_streak": MetricDescription(
        "gauge", "Days in a row on which the champion was worse than the seasonal naive."
    ),
    "bike_gain_r2": MetricDescription(
        "gauge",
        "R2 by which the newest challenger beat the champion on test_current, with its 95 % interval.",
        ("bound",),
    ),
    "bike_gain_residual_share": MetricDescription(
        "gauge", "The same gain as a share of the champion's residual (1 - R2)."
    ),
    "bike_gain_required_r2": MetricDescription("gauge", "Gain in R2 that a challenger needs to be deployed."),
    "bike_drift_share": MetricDescription("gauge", "Share of drifted columns in the newest 7 days."),
    "bike_drift_detected": MetricDescription("gauge", "1 if the share has reached the warning threshold."),
    "bike_drift_enough_data": MetricDescription("gauge", "1 if there was enough data to compute the share."),
    "bike_drift_drifted_columns": MetricDescription("gauge", "Number of drifted columns."),
    "bike_drift_checked_columns": MetricDescription("gauge", "Number of columns that were compared."),
    "bike_drift_column_drifted": MetricDescription("gauge", "1 for a column that has drifted.", ("column",)),
    "bike_drift_new_counters": MetricDescription(
        "gauge", "Counters of the newest 7 days that the reference does not have."
    ),
    "bike_drift_vanished_counters": MetricDescription(
        "gauge", "Counters of the reference that the newest 7 days do not have."
    ),
    "bike_drift_rows": MetricDescription("gauge", "Number of rows that were compared.", ("sample",)),
    "bike_drift_end_timestamp_seconds": MetricDescription("gauge", "End of the newest day that was checked for drift."),
    "bike_retrain_decisions_total": MetricDescription("counter", "Days by their newest decision.", ("decision",)),
    "bike_retrain_decision": MetricDescription("gauge", "1 for the decision of the newest day.", ("decision",)),
    "bike_retrain_decision_end_timestamp_seconds": MetricDescription(
        "gauge", "End of the newest day that has a decision."
    ),
    "bike_retrain_held": MetricDescription("gauge", "1 while a cooldown delays a retrain."),
    "bike_retrain_held_until_timestamp_seconds": MetricDescription(
        "gauge", "Start of the day on which the cooldown ends."
    ),
    "bike_training_runs_total": MetricDescription(
        "counter", "Trainings of a family by result and cause.", ("family", "status", "trigger")
    ),
    "bike_training_last_duration_seconds": MetricDescription(
        "gauge", "Duration of a family's last training.", ("family",)
    ),
    "bike_training_last_timestamp_seconds": MetricDescription(
        "gauge", "Time of the last training with this status.", ("status",)
    ),
    "bike_evaluations_total": MetricDescription("counter", "Double evaluations by decision.", ("decision",)),
    "bike_evaluation_last_timestamp_seconds": MetricDescription(
        "gauge", "Time of the last evaluation with this decision.", ("decision",)
    ),
    "bike_deployments_total": MetricDescription(
        "counter", "Changes of the champion, by an evaluation or by a person.", ("decided_by",)
    ),
    "bike_deployment_last_timestamp_seconds": MetricDescription("gauge", "Time of the last change of the champion."),
    "bike_threshold": MetricDescription("gauge", "A bound of the decision rules, from the settings.", ("name",)),
    "bike_rows_ingested_total": MetricDescription("counter", "Counts added to the warehouse."),
    "bike_rows_corrected_total": MetricDescription("counter", "Counts that a later reading changed."),
    "bike_rows_withdrawn_total": MetricDescription("counter", "Counts that a later reading no longer contained."),
    "bike_rows_outlying_total": MetricDescription(
        "counter", "Outliers found in readings; a row counts at each reading."
    ),
    "bike_rows_rejected_total": MetricDescription(
        "counter", "Published rows that readings left out; a row counts at each reading.", ("problem",)
    ),
    "bike_readings_total": MetricDescription("counter", "Readings of a day by outcome: read or unread.", ("outcome",)),
    "bike_data_end_timestamp_seconds": MetricDescription(
        "gauge",
        "End of the newest local day of the data; for forecasts, of their day of issue.",
        ("data",),
    ),
    "bike_counters": MetricDescription("gauge", "Number of counters by state.", ("state",)),
    "bike_forecasts_total": MetricDescription("counter", "Hourly forecasts stored.", ("kind",)),
    "bike_forecast_counters": MetricDescription("gauge", "Counters in the newest forecast."),
    "bike_forecast_unknown_counters": MetricDescription(
        "gauge", "Counters in the newest forecast that the model did not learn from."
    ),
    "bike_day_bikes": MetricDescription(
        "gauge",
        "Bikes of the newest day: counted, forecast the day before, and by the seasonal naive.",
        ("counter_id", "counter_name", "kind"),
    ),
    "bike_next_day_bikes": MetricDescription(
        "gauge", "Bikes forecast for the day after the newest counts.", ("counter_id", "counter_name")
    ),
    "bike_runs_total": MetricDescription("counter", "Ended runs of a job.", ("job", "status")),
    "bike_runs_in_progress": MetricDescription("gauge", "Runs that are queued or started.", ("job", "status")),
    "bike_run_last_duration_seconds": MetricDescription("gauge", "Duration of a job's last successful run.", ("job",)),
    "bike_run_last_success_timestamp_seconds": MetricDescription("gauge", "Time of a job's last success.", ("job",)),
    "bike_asset_check_passed": MetricDescription(
        "gauge", "1 if an asset check passed.", ("asset", "check", "severity")
    ),
    "bike_asset_check_timestamp_seconds": MetricDescription(
        "gauge", "Time of a check's last evaluation.", ("asset", "check")
    ),
    "bike_asset_materialized_timestamp_seconds": MetricDescription(
        "gauge", "Time of an asset's last materialization.", ("asset",)
    ),
    "bike_instigator_running": MetricDescription("gauge", "1 for a sensor or schedule that is on.", ("name", "kind")),
    "bike_instigator_tick_timestamp_seconds": MetricDescription("gauge", "Time of its last tick.", ("name", "kind")),
    "bike_instigator_tick_failed": MetricDescription("gauge", "1 if the last tick failed.", ("name", "kind")),
    "bike_daemon_heartbeat_timestamp_seconds": MetricDescription(
        "gauge", "Last heartbeat of a Dagster daemon.", ("daemon",)
    ),
    "bike_exporter_part_readable": MetricDescription("gauge", "1 if the exporter could read this part.", ("part",)),
    "bike_exporter_part_seconds": MetricDescription("gauge", "Duration of a part's last reading.", ("part",)),
    "bike_home_info": MetricDescription("gauge", "1 for the source of the home's counts.", ("source",)),
    "bike_build_info": MetricDescription("gauge", "1 for the version of the platform that runs.", ("version",)),
}
NAMES = frozenset(METRICS)


def metric_families(samples: Iterable[Sample]) -> list[Metric]:
    """Group samples by metric; a metric without samples is left out."""
    families: dict[str, Metric] = {}
    for sample in samples:
        if sample.name not in families:
            families[sample.name] = _family(sample.name)
        families[sample.name].add_metric(sample.labels, sample.value)  # type: ignore[attr-defined]
    return list(families.values())


def _family(name: str) -> Metric:
    description = METRICS[name]
    family_type = CounterMetricFamily if description.kind == "counter" else GaugeMetricFamily
    return family_type(name.removesuffix("_total"), description.help_text, labels=description.labels)
