"""The jobs, each a selection of assets. `schedules` and `sensors` define when they run."""

import dagster as dg

from bike_assets.assets import (
    DAILY_GROUPS,
    INGESTED_GROUPS,
    TRAINING_GROUPS,
    evaluation,
    monitoring,
    predictions,
    splits,
)
from bike_assets.assets import champion as champion_module
from bike_assets.assets.splits import Recut
from bike_assets.automation.hooks import end_mlflow_on_run_finished
from bike_assets.core.splits import TEST_BASELINE, TRAIN_BASELINE
from bike_assets.run_tags import TRIGGER_TAG, Trigger

INGESTED_ASSETS = dg.AssetSelection.groups(*INGESTED_GROUPS)
DAILY_ASSETS = dg.AssetSelection.groups(*DAILY_GROUPS)
SPLIT_ASSETS = dg.AssetSelection.groups("splits")
TRAINING_ASSETS = dg.AssetSelection.groups(*TRAINING_GROUPS)

ONE_AT_A_TIME = {"bike/one_at_a_time": "days"}
"""Days run in order, because each day's forecast needs the day before. dagster.yaml sets the limit."""
ONE_TRAINING_AT_A_TIME = {"bike/one_at_a_time": "trainings"}
"""Trainings run in order, so that a challenger meets the champion that the training before it left."""

ingest = dg.define_asset_job(
    "ingest",
    INGESTED_ASSETS,
    description="Some local days: read counts and weather, also again for late rows, list counters, make features.",
    executor_def=dg.in_process_executor,
    tags=ONE_AT_A_TIME,
)
daily = dg.define_asset_job(
    "daily",
    DAILY_ASSETS,
    description="One local day: ingest it with its weather, forecast the next three, score, measure drift, decide.",
    tags=ONE_AT_A_TIME,
    executor_def=dg.in_process_executor,
)
retrain = dg.define_asset_job(
    "retrain",
    TRAINING_ASSETS,
    description="Cut the sets, train every family, evaluate twice, and promote what passed. Launched by hand, it is "
    "audited as forced.",
    executor_def=dg.in_process_executor,
    tags=ONE_TRAINING_AT_A_TIME,
    hooks={end_mlflow_on_run_finished},
)
evaluate = dg.define_asset_job(
    "evaluate",
    dg.AssetSelection.assets(evaluation.double_evaluation),
    description="Evaluate the best challenger again, on the sets as they were last cut; nothing is promoted.",
    executor_def=dg.in_process_executor,
    tags={**ONE_TRAINING_AT_A_TIME, TRIGGER_TAG: str(Trigger.EVALUATE)},
)
drift = dg.define_asset_job(
    "drift",
    dg.AssetSelection.assets(monitoring.drift_report, monitoring.retrain_decision),
    description="Measure the drift of a day again, and decide.",
    executor_def=dg.in_process_executor,
    tags=ONE_AT_A_TIME,
)
rebaseline = dg.define_asset_job(
    "rebaseline",
    SPLIT_ASSETS,
    description="Cut both baseline sets anew from all whole days; challengers are compared again 28 days later.",
    executor_def=dg.in_process_executor,
    tags=ONE_TRAINING_AT_A_TIME,
    config=dg.RunConfig(ops={name: Recut(recut=True) for name in (TRAIN_BASELINE, TEST_BASELINE)}),
)
check_baseline = dg.define_asset_job(
    "check_baseline",
    dg.AssetSelection.checks_for_assets(splits.train_baseline, splits.test_baseline),
    description="Compare the counts of both frozen sets with those on the day of the cut; materialize nothing.",
    executor_def=dg.in_process_executor,
)
promote = dg.define_asset_job(
    "promote",
    dg.AssetSelection.assets(champion_module.champion),
    description="Promote a version by hand, such as an older one: the config names it, the person, and the reason.",
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
JOBS = (ingest, daily, retrain, evaluate, drift, promote, refresh, rebaseline, check_baseline, bootstrap)
