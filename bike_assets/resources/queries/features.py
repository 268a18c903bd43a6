"""Feature rows."""

from collections.abc import Iterable, Sequence

import pandas as pd

from bike_assets.core.schemas import HOURLY_FEATURES
from bike_assets.core.splits import Span
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import Warehouse

SORTED_DAYS = 31
"""Days of features that one statement sorts: BigQuery sorts a result on a single machine."""
_DRAWN = "AND SUBSTR(TO_HEX(MD5(CONCAT(counter_id, FORMAT_TIMESTAMP('%Y%m%d%H', counted_at)))), 1, 8) < @below "


def read_features(
    warehouse: Warehouse,
    spans: Iterable[Span],
    left_out: Sequence[str],
    horizon: int | None = None,
    share: float = 1.0,
) -> pd.DataFrame:
    """Return the feature rows of some spans, without the counters that the settings exclude.

    Args:
        warehouse: where the features are stored.
        spans: local days.
        left_out: ids of excluded counters.
        horizon: days ahead; every horizon by default.
        share: share of the counted hours to read. A hash of counter and hour selects them: the same hours each time,
            on every engine.
    """
    drawn = _DRAWN if share < 1 else ""
    below = {"below": f"{round(share * 16**8):08x}"} if drawn else {}
    parts = [
        warehouse.query(
            "SELECT * FROM bike_traffic_raw.hourly_features "
            "WHERE day BETWEEN @first AND @last AND (@horizon = 0 OR horizon_days = @horizon) "
            f"AND STRPOS(@left_out, CONCAT(',', counter_id, ',')) = 0 {drawn}"
            "ORDER BY counted_at, counter_id, horizon_days",
            first=span.first,
            last=span.last,
            horizon=horizon or 0,
            left_out=as_list(left_out),
            **below,
        )
        for whole in spans
        for span in whole.chunks(SORTED_DAYS)
    ]
    return pd.concat(parts, ignore_index=True) if parts else frame(HOURLY_FEATURES, [])


def count_features(warehouse: Warehouse, spans: Iterable[Span], left_out: Sequence[str]) -> int:
    """Return how many rows `read_features` would return for every horizon and a share of 1."""
    counted = [
        warehouse.query(
            "SELECT COUNT(*) AS n FROM bike_traffic_raw.hourly_features "
            "WHERE day BETWEEN @first AND @last AND STRPOS(@left_out, CONCAT(',', counter_id, ',')) = 0",
            first=span.first,
            last=span.last,
            left_out=as_list(left_out),
        )
        for span in spans
        if span.days
    ]
    return sum(int(each["n"].iloc[0]) for each in counted)


def as_list(names: Sequence[str]) -> str:
    """Return names as one string parameter, with commas around each name so that STRPOS can find it."""
    return f",{','.join(names)},"
