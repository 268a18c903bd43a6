"""Counts as published, and the counters that they come from. Judging them belongs to `checks`, reading to resources."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from bike_assets.core.local_time import days_between, local_days
from bike_assets.core.schemas import COMPTAGE_VELO, COUNTERS, INGESTIONS
from bike_assets.core.splits import Span
from bike_assets.home import Home
from bike_assets.partitions import DAILY, days_of
from bike_assets.resources.counts_source import CountsBatch, CountsSource
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

CHUNK_DAYS = 31


@dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run(), kinds={"parquet"})
def raw_counts(
    context: dg.AssetExecutionContext,
    home: dg.ResourceParam[Home],
    counts_source: dg.ResourceParam[CountsSource],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Every hour of the local day for every counter, as published; late and corrected rows are merged."""
    home.claim()
    days = days_of(context)
    totals = pd.DataFrame()
    for start in range(0, len(days), CHUNK_DAYS):
        chunk = Span(days[start], days[min(start + CHUNK_DAYS, len(days)) - 1])
        audit = ingest(chunk, counts_source, warehouse, settings.timezone)
        totals = pd.concat([totals, audit])
        context.log.info(f"{min(start + CHUNK_DAYS, len(days))} of {len(days)} days ingested, to {chunk.last}")
    counted = {
        name: int(totals[name].sum()) for name in ("rows_read", "rows_without_counter", "rows_added", "rows_changed")
    }
    return dg.MaterializeResult(
        metadata={
            "source": counts_source.description,
            "dagster/partition_row_count": counted["rows_read"] - counted["rows_without_counter"],
            **counted,
            "counters": int(totals["counters"].max()),
            "dagster/table_name": COMPTAGE_VELO.full_name,
        }
    )


def ingest(span: Span, source: CountsSource, warehouse: Warehouse, timezone: str) -> pd.DataFrame:
    """Merge what the source has for some days into the warehouse and return the audit rows, one a day."""
    batch = source.read(span.first, span.last)
    rows = batch.rows.assign(ingested_at=pd.Timestamp.now(tz="UTC"), day=local_days(batch.rows["counted_at"], timezone))
    merged = warehouse.merge(COMPTAGE_VELO, rows)
    audit = audit_rows(span, batch, rows.assign(status=merged.status), source.description, timezone)
    warehouse.merge(INGESTIONS, audit)
    return audit


def audit_rows(span: Span, batch: CountsBatch, rows: pd.DataFrame, source: str, timezone: str) -> pd.DataFrame:
    """Say of every day of a span what was read and what it changed; a day without rows has its row too."""
    by_day = rows.groupby("day")
    audit = pd.DataFrame({"day": pd.to_datetime(days_between(span.first, span.last)).astype("datetime64[s]")})
    figures = {
        "rows_without_counter": local_days(batch.incomplete, timezone).value_counts(),
        "complete": by_day.size(),
        "hours": by_day["counted_at"].nunique(),
        "counters": by_day["counter_id"].nunique(),
        "rows_added": by_day["status"].agg(lambda status: (status == "added").sum()),
        "rows_changed": by_day["status"].agg(lambda status: (status == "changed").sum()),
    }
    for name, values in figures.items():
        audit[name] = audit["day"].map(values).fillna(0).astype("int64")
    return audit.assign(source=source, rows_read=audit["complete"] + audit["rows_without_counter"])


@dg.asset(deps=[raw_counts], kinds={"parquet"})
def counters(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """One row a counter: its name and place as last published, and the days on which it was seen."""
    rows = warehouse.query(
        """
        SELECT counter_id,
          ANY_VALUE(counter_name HAVING MAX counted_at) AS counter_name,
          ANY_VALUE(site_id HAVING MAX counted_at) AS site_id,
          ANY_VALUE(site_name HAVING MAX counted_at) AS site_name,
          ANY_VALUE(latitude HAVING MAX counted_at) AS latitude,
          ANY_VALUE(longitude HAVING MAX counted_at) AS longitude,
          MIN(day) AS first_day, MAX(day) AS last_day, COUNT(*) AS hours, AVG(bike_count) AS mean_count
        FROM bike_traffic_raw.comptage_velo GROUP BY counter_id ORDER BY counter_id
        """
    )
    warehouse.merge(COUNTERS, rows)
    newest = rows["last_day"].max()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(rows),
            "silent_for_a_week": int((rows["last_day"] < newest - timedelta(days=7)).sum()),
            "busiest": dg.MetadataValue.json(_busiest(rows)),
            "dagster/table_name": COUNTERS.full_name,
        }
    )


def _busiest(rows: pd.DataFrame) -> dict[str, float]:
    """The five counters with most bikes an hour, by name."""
    busiest = rows.nlargest(5, "mean_count")
    return {
        str(name): round(mean, 1) for name, mean in zip(busiest["counter_name"], busiest["mean_count"], strict=True)
    }
