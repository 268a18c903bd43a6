"""The check that a trained version passes before it is evaluated."""

import dagster as dg

from bike_assets.assets.models import models
from bike_assets.resources.registry import Registry

MAX_DIFFERENCE = 1e-5


def _served_equals_trained(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name="served_model_equals_trained", blocking=True)
    def check(registry: dg.ResourceParam[Registry]) -> dg.AssetCheckResult:
        """The served file predicts what the trained model predicts, within a relative 1e-5, on held-out rows."""
        entry = registry.read().latest(asset.key.to_user_string())
        difference = entry.parity if entry else float("inf")
        return dg.AssetCheckResult(
            passed=difference <= MAX_DIFFERENCE,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"greatest_relative_difference": difference, "allowed": MAX_DIFFERENCE},
        )

    return check


checks = [_served_equals_trained(asset) for asset in models]
