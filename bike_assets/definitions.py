"""What Dagster loads. Nothing else belongs here: assembly is in `build`."""

from bike_assets.build import build_defs

defs = build_defs()
