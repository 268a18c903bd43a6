"""What tests of the warehouse share: counts of three days around a change of clocks, and what a merge did."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from bike_assets.core.local_time import hours_of
from bike_assets.resources.partition_merge import MergeResult
from bike_assets.resources.warehouse import LocalWarehouse

ZONE = "Europe/Paris"
DAYS = (date(2025, 3, 29), date(2025, 3, 30), date(2025, 3, 31))
ALL_COUNTS = "SELECT * FROM bike_traffic_raw.comptage_velo"


def counts(days=DAYS, counters=("a", "b"), bikes: int = 7, ingested: str = "2025-04-01") -> pd.DataFrame:
    hours = pd.concat([hours_of(day, ZONE).assign(day=pd.Timestamp(day)) for day in days], ignore_index=True)
    rows = hours.merge(pd.DataFrame({"counter_id": list(counters)}), how="cross")
    return rows.assign(
        counter_name="name of " + rows["counter_id"],
        site_id="1",
        site_name=None,
        latitude=48.85,
        longitude=np.nan,
        bike_count=bikes + rows["hour"],
        is_outlier=False,
        ingested_at=pd.Timestamp(ingested, tz="UTC"),
    )


def files(warehouse: LocalWarehouse) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in warehouse.folder.rglob("*.parquet")}


def figures(result: MergeResult) -> tuple[int, int, int]:
    return result.added, result.changed, result.count("unchanged")
