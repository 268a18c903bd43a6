"""The asset graph. Each module is one step; its name is the group of its assets. PIPELINE has the order of the steps.

This module alone defines which groups are sources, which are daily and which train.
"""

from bike_assets.assets import (
    champion,
    evaluation,
    features,
    models,
    monitoring,
    predictions,
    raw_counts,
    sources,
    splits,
    weather,
)

PIPELINE = (sources, raw_counts, weather, features, splits, models, evaluation, champion, predictions, monitoring)
SOURCE_GROUPS = ("sources",)
INGESTED_GROUPS = ("raw_counts", "weather", "features")
DAILY_GROUPS = (*INGESTED_GROUPS, "predictions", "monitoring")
TRAINING_GROUPS = ("splits", "models", "evaluation", "champion")
