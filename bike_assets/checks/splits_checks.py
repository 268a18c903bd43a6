"""Checks of the frozen sets; they only warn."""

import dagster as dg

from bike_assets.assets.splits import test_baseline, train_baseline
from bike_assets.core.splits import content_hash
from bike_assets.resources.queries.counts import read_counts
from bike_assets.resources.queries.splits import recorded_span, recorded_split
from bike_assets.resources.warehouse import Warehouse


def _unchanged(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    name = asset.key.to_user_string()

    @dg.asset_check(asset=asset, name=f"{name}_is_unchanged")
    def check(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        """The counts of the frozen days have not changed since the set was cut. A late correction shows here."""
        record, span = recorded_split(warehouse, name), recorded_span(warehouse, name)
        now = content_hash(read_counts(warehouse, span)) if span else None
        frozen = record["content_hash"] if record else None
        return dg.AssetCheckResult(
            passed=now is not None and now == frozen,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"frozen": frozen or "", "now": now or ""},
        )

    return check


checks = [_unchanged(train_baseline), _unchanged(test_baseline)]
