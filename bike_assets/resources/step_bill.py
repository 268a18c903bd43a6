"""What a step of a run was billed, told to the asset that it makes. Counting what is billed belongs to `bigquery_jobs`.

Assets know nothing of it: whichever of them asks the warehouse has it in its metadata.
"""

import dagster as dg

BYTES_BILLED = "bytes_billed"
"""Metadata of an asset: bytes that BigQuery billed for its step's statements; a range of days is one step."""


class StepBill:
    """Follows one warehouse from step to step; steps of a process come one after the other."""

    def __init__(self) -> None:
        self._step: tuple[str, str] | None = None
        self._before = 0

    def tell(self, before: int, now: int) -> None:
        """Tell the asset that this thread makes, if it makes one, what its step was billed until now.

        Args:
            before: bytes that were billed to the warehouse before the newest statement.
            now: bytes that were billed to it in all.
        """
        context = _asset_at_work()
        if context is None:
            return
        step = (context.run.run_id, context.asset_key.to_user_string())
        if step != self._step:
            self._step, self._before = step, before
        context.add_asset_metadata({BYTES_BILLED: now - self._before})


def _asset_at_work() -> dg.AssetExecutionContext | None:
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:  # No step at all, or that of a check.
        return None
    return context if len(context.op_execution_context.selected_asset_keys) == 1 else None
