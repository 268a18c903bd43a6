"""The jobs, each a selection of the graph. When they run is in `schedules` and `sensors`."""

import dagster as dg

from bike_assets.assets import champion as champion_module
from bike_assets.assets import evaluation, features, models, monitoring, predictions, raw_counts, splits, weather
from bike_assets.automation.hooks import end_mlflow_on_run_finished

DAILY_ASSETS = dg.AssetSelection.assets(
    raw_counts.raw_counts,
    raw_counts.counters,
    weather.weather,
    features.hourly_features,
    predictions.predictions,
    monitoring.champion_performance,
    monitoring.drift_report,
    monitoring.retrain_decision,
)
SPLIT_ASSETS = dg.AssetSelection.assets(
    splits.train_baseline, splits.test_baseline, splits.train_current, splits.test_current
)
INGESTED_ASSETS = dg.AssetSelection.assets(
    raw_counts.raw_counts, raw_counts.counters, weather.weather, features.hourly_features
)
TRAINING_ASSETS = (
    SPLIT_ASSETS
    | dg.AssetSelection.assets(*models.models)
    | dg.AssetSelection.assets(evaluation.double_evaluation, champion_module.champion)
)

ONE_AT_A_TIME = {"bike/one_at_a_time": "days"}
"""Days are done in order: a forecast of the day after would miss the day before. dagster.yaml has the limit."""

ingest = dg.define_asset_job(
    "ingest",
    INGESTED_ASSETS,
    description="Some local days: read counts and weather (again) for what came late, list counters, make features.",
    executor_def=dg.in_process_executor,
    tags=ONE_AT_A_TIME,
)
daily = dg.define_asset_job(
    "daily",
    DAILY_ASSETS,
    description="One local day: ingest with its weather, forecast the next three, compare, look for drift, decide.",
    tags=ONE_AT_A_TIME,
    executor_def=dg.in_process_executor,
)
retrain = dg.define_asset_job(
    "retrain",
    TRAINING_ASSETS,
    description="Cut the sets, train every family, evaluate twice, and promote what passed.",
    executor_def=dg.in_process_executor,
    hooks={end_mlflow_on_run_finished},
)
promote = dg.define_asset_job(
    "promote",
    dg.AssetSelection.assets(champion_module.champion),
    description="Let a named version serve, such as an older one: its config says which, who wants it, and why.",
    executor_def=dg.in_process_executor,
)
refresh = dg.define_asset_job(
    "refresh",
    dg.AssetSelection.assets(predictions.predictions, monitoring.champion_performance),
    description="Forecasts, hindcasts of the week before and performance of the newest day for the present champion.",
    executor_def=dg.in_process_executor,
    tags=ONE_AT_A_TIME,
)
bootstrap = dg.define_asset_job(
    "bootstrap",
    DAILY_ASSETS | TRAINING_ASSETS,
    description="The first pass of a home, step by step: bike materialize runs it with the days that each step needs.",
    executor_def=dg.in_process_executor,
    hooks={end_mlflow_on_run_finished},
)
JOBS = (ingest, daily, retrain, promote, refresh, bootstrap)
