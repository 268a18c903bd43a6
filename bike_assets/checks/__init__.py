"""Asset checks, one module per assets module. A check's name states what holds when it passes; it reads stored rows."""

from bike_assets.checks import (
    evaluation_checks,
    models_checks,
    monitoring_checks,
    predictions_checks,
    raw_counts_checks,
    splits_checks,
    weather_checks,
)

CHECKS = (
    raw_counts_checks,
    weather_checks,
    splits_checks,
    models_checks,
    evaluation_checks,
    predictions_checks,
    monitoring_checks,
)
