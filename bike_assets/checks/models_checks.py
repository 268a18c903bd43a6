"""What must hold of a trained version before anybody judges it."""

import dagster as dg

from bike_assets.assets.models import models
from bike_assets.resources.registry import Registry

MOST_DIFFERENCE = 1e-5


def _served_equals_trained(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name="served_model_equals_trained", blocking=True)
    def check(registry: dg.ResourceParam[Registry]) -> dg.AssetCheckResult:
        """The served file says what the trained model says, to 1e-5 relative on held-out rows."""
        entry = registry.read().latest(asset.key.to_user_string())
        difference = entry.parity if entry else float("inf")
        return dg.AssetCheckResult(
            passed=difference <= MOST_DIFFERENCE,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"greatest_relative_difference": difference, "allowed": MOST_DIFFERENCE},
        )

    return check


checks = [_served_equals_trained(asset) for asset in models]
