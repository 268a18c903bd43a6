"""The tags of runs: what launched a training or an evaluation. A run without the tag was started by hand."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

TRIGGER_TAG, CAUSE_TAG = "bike/trigger", "bike/reason"
PARTITION_TAG = "dagster/partition"
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Dagster's own tags: the day of a run, or its first and last day."""


class Trigger(StrEnum):
    """What launched a run, except for the retrain matrix: its runs carry the name of the decision."""

    BOOTSTRAP = "BOOTSTRAP"
    MONTHLY_CHALLENGE = "MONTHLY_CHALLENGE"
    EVALUATE = "EVALUATE"
    FORCED = "FORCED"


def trigger_of(context: "dg.AssetExecutionContext | dg.OpExecutionContext") -> dict[str, str | None]:
    """Return the columns `trigger` and `cause` of a run's audit rows."""
    tags = context.run.tags
    return {"trigger": tags.get(TRIGGER_TAG, str(Trigger.FORCED)), "cause": tags.get(CAUSE_TAG)}
