"""Records what BigQuery billed for a step in the metadata of the step's asset.

Assets do not call this module: every asset that queries the warehouse gets the figure. The sum of all bills belongs to
`bigquery_jobs`.
"""

import dagster as dg

BYTES_BILLED = "bytes_billed"
"""Metadata of an asset: bytes that BigQuery billed for the statements of its step. A range of days is one step."""


class StepBill:
    """Tracks the bill of one warehouse per step. A process runs its steps one after the other."""

    def __init__(self) -> None:
        self._step: tuple[str, str] | None = None
        self._before = 0

    def record(self, before: int, now: int) -> None:
        """Add what the current step was billed so far to its asset's metadata; do nothing outside a step.

        Args:
            before: bytes billed to the warehouse before the newest statement.
            now: total bytes billed to it.
        """
        context = _current_asset()
        if context is None:
            return
        step = (context.run.run_id, context.asset_key.to_user_string())
        if step != self._step:
            self._step, self._before = step, before
        context.add_asset_metadata({BYTES_BILLED: now - self._before})


def _current_asset() -> dg.AssetExecutionContext | None:
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:  # Not in a step, or in the step of a check.
        return None
    return context if len(context.op_execution_context.selected_asset_keys) == 1 else None
