"""The flow, one module a step: a module's name is its group, and this order is the order of the flow.

What is daily and what trains is stated here once, by groups.
"""

from bike_assets.assets import (
    champion,
    evaluation,
    features,
    models,
    monitoring,
    predictions,
    raw_counts,
    splits,
    weather,
)

PIPELINE = (raw_counts, weather, features, splits, models, evaluation, champion, predictions, monitoring)
INGESTED_GROUPS = ("raw_counts", "weather", "features")
DAILY_GROUPS = (*INGESTED_GROUPS, "predictions", "monitoring")
TRAINING_GROUPS = ("splits", "models", "evaluation", "champion")
