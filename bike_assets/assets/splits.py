"""The four sets: bounds and content, recorded. How days are cut is in `core.splits`; rows stay in the warehouse."""

from datetime import date

import dagster as dg

from bike_assets.core.schemas import SPLITS
from bike_assets.core.splits import Span, content_hash, cut_baseline, cut_current
from bike_assets.resources.queries import (
    TEST_BASELINE,
    TEST_CURRENT,
    TRAIN_BASELINE,
    TRAIN_CURRENT,
    read_counts,
    recorded_baseline,
    recorded_split,
    whole_days,
)
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


def _split_asset(name: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=["hourly_features"], description=description, kinds={"parquet"})
    def split(warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
        record = record_split(name, warehouse, settings)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(record["content_hash"]),
            metadata={
                "first_day": str(record["first_day"]),
                "last_day": str(record["last_day"]),
                "dagster/row_count": record["rows"],
                "cut_on": str(record["cut_on"]),
            },
        )

    return split


train_baseline = _split_asset(TRAIN_BASELINE, "The first 65 % of the whole days at bootstrap; frozen.")
test_baseline = _split_asset(
    TEST_BASELINE, "The 15 % of the days after them: every challenger has to pass here; frozen."
)
train_current = _split_asset(
    TRAIN_CURRENT, "The days after the baseline that training may use: the window slides with it."
)
test_current = _split_asset(
    TEST_CURRENT, "The newest days, 28 to 56 of them: champion and challenger are compared here."
)


def record_split(name: str, warehouse: Warehouse, settings: Settings) -> dict:
    """Cut one set, record its bounds and content, and return the record; a frozen one is returned as it is.

    Raises:
        dg.Failure: the home has too few whole days for a training.
    """
    known = recorded_split(warehouse, name)
    if known and name in {TRAIN_BASELINE, TEST_BASELINE}:
        return known
    span, cut_on = cut_split(name, warehouse, settings)
    if known and (known["first_day"], known["last_day"]) == (span.first, span.last):
        cut_on = known["cut_on"]
    rows = read_counts(warehouse, span)
    record = {
        "name": name,
        "first_day": span.first,
        "last_day": span.last,
        "cut_on": cut_on,
        "rows": len(rows),
        "content_hash": content_hash(rows),
    }
    warehouse.merge(SPLITS, frame(SPLITS, [record]))
    return record


def cut_split(name: str, warehouse: Warehouse, settings: Settings) -> tuple[Span, date]:
    """Return the days of a set as of the newest whole day, and that day."""
    whole = whole_days(warehouse, settings.timezone)
    baseline = recorded_baseline(warehouse) or (cut_baseline(whole, settings.split_rule) if whole else None)
    if whole is None or baseline is None:
        raise dg.Failure(
            f"{whole.days if whole else 0} whole days of counts, {settings.min_training_days} needed to train",
            allow_retries=False,
        )
    before = recorded_split(warehouse, TEST_CURRENT)
    train, test = cut_current(baseline, whole.last, before["first_day"] if before else None)
    spans = {TRAIN_BASELINE: baseline.train, TEST_BASELINE: baseline.test, TRAIN_CURRENT: train, TEST_CURRENT: test}
    return spans[name], whole.last
