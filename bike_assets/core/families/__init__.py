"""The model families. To add one, add a module here and its class to _ALL; assets, evaluation and tracking follow."""

from bike_assets.core.families.base import Family, FamilyConfig, Trained
from bike_assets.core.families.blend import MEMBERS, Blend

_ALL: tuple[type[Family], ...] = (*MEMBERS, Blend)
FAMILIES: dict[str, type[Family]] = {family.name: family for family in _ALL}

__all__ = ["FAMILIES", "Family", "FamilyConfig", "Trained"]
