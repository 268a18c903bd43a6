"""The model families. Adding one is a module here and its class in FAMILIES; assets, evaluation and tracking follow."""

from bike_assets.core.families.base import Family, FamilyConfig, Trained
from bike_assets.core.families.gradient_boosting import GradientBoosting

FAMILIES: dict[str, type[Family]] = {family.name: family for family in (GradientBoosting,)}

__all__ = ["FAMILIES", "Family", "FamilyConfig", "Trained"]
