"""Published counts, and their counters.

`ingestion.counts` ingests them; `checks` judges them.
"""

import dagster as dg
import pandas as pd

from bike_assets.core.local_time import as_date
from bike_assets.core.plausibility import CounterState, counter_states
from bike_assets.core.plots import as_markdown, rows_by_day
from bike_assets.core.schemas import COUNTERS
from bike_assets.core.splits import Span
from bike_assets.home.record import Home
from bike_assets.ingestion.counts import Ingestion
from bike_assets.partitions import days_of
from bike_assets.resources.counts_source import CountsSource
from bike_assets.resources.queries.counts import counter_summaries
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

SUMMED = (
    "rows_reported", "rows_read", "rows_without_counter", "rows_duplicated", "rows_summed", "rows_added",
    "rows_changed", "rows_withdrawn", "outliers",
)  # fmt: skip


@dg.asset(
    deps=["published_counts"], backfill_policy=dg.BackfillPolicy.single_run(), kinds={"parquet"}, pool="ingestion"
)
def raw_counts(
    context: dg.AssetExecutionContext,
    counts_source: dg.ResourceParam[CountsSource],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Hourly counts of each counter by local day, as last published. Late and corrected rows replace older ones."""
    days = days_of(context)
    ingestion = Ingestion(counts_source, warehouse, settings.published_form, settings.outlier_rule, context.run.run_id)
    audit = ingestion.ingest(
        Span(days[0], days[-1]),
        lambda done, last: context.log.info(f"{done} of {len(days)} days ingested, to {last}"),
    )
    unread = audit[audit["unread"].notna()]
    return dg.MaterializeResult(
        metadata={
            "source": counts_source.description,
            "dagster/partition_row_count": int(audit["rows_kept"].sum()),
            **{name: int(audit[name].sum()) for name in SUMMED},
            "counters": int(audit["counters"].fillna(0).max()),
            **({"rows_by_day": _picture(audit)} if len(days) > 1 else {}),
            "days_left_as_they_were": ", ".join(str(as_date(day)) for day in unread["day"]),
        }
    )


def _picture(audit: pd.DataFrame) -> dg.MetadataValue:
    return dg.MetadataValue.md(as_markdown(rows_by_day(audit, "Rows by local day"), "rows by day"))


@dg.asset(deps=[raw_counts], kinds={"parquet"})
def counters(warehouse: dg.ResourceParam[Warehouse], home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """One row per counter: name and place as last published, first and last day with counts, and state."""
    rows = counter_summaries(warehouse, home.first_day)
    rows["state"] = counter_states(rows, home.first_day, as_date(rows["last_day"].max())) if len(rows) else []
    warehouse.merge(COUNTERS, rows)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            **{f"counters_{state}": int((rows["state"] == state).sum()) for state in CounterState},
            "not_active": dg.MetadataValue.md(_not_active(rows)),
            "busiest": dg.MetadataValue.json(_busiest(rows)),
        }
    )


def _not_active(rows: pd.DataFrame) -> str:
    """Return the counters that are new, silent or gone, as a Markdown table."""
    lines = [
        f"| {row.counter_name} | {row.state} | {as_date(row.first_day)} | {as_date(row.last_day)} |"
        for row in rows[rows["state"] != CounterState.ACTIVE].itertuples()
    ]
    return "\n".join(["| counter | state | first day | last day |", "|---|---|---|---|", *lines])


def _busiest(rows: pd.DataFrame) -> dict[str, float]:
    """Return the five counters with the most bikes an hour, by name."""
    busiest = rows.nlargest(5, "mean_count")
    return {
        str(name): round(mean, 1) for name, mean in zip(busiest["counter_name"], busiest["mean_count"], strict=True)
    }
