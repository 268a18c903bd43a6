"""Asset checks, one module an assets module. Each name is true when green; a check judges what was written."""

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
