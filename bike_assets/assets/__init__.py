"""The flow, one module a step: a module's name is its group, and this order is the order of the flow."""

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
