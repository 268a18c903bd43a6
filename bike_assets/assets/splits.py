"""The recorded bounds and content hashes of the four sets. `core.splits` cuts the days; rows stay in the warehouse."""

from datetime import date
from typing import NamedTuple

import dagster as dg
from pydantic import Field

from bike_assets.core.schemas import SPLITS
from bike_assets.core.splits import (
    TEST_BASELINE,
    TEST_CURRENT,
    TRAIN_BASELINE,
    TRAIN_CURRENT,
    Span,
    SplitRule,
    content_hash,
    cut_baseline,
    cut_current,
)
from bike_assets.resources.queries.counts import read_counts, whole_days
from bike_assets.resources.queries.splits import recorded_baseline, recorded_split
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings


class Cut(NamedTuple):
    """The days of a set, and the newest whole day when it was cut."""

    span: Span
    cut_on: date


class Recut(dg.Config):
    """Whether to cut a frozen set anew. The job `rebaseline` does."""

    recut: bool = Field(False, description="Cut the frozen set anew, from all whole days.")


def _baseline_asset(name: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=["hourly_features"], description=description, kinds={"parquet"})
    def split(
        config: Recut, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        known = None if config.recut else recorded_split(warehouse, name)
        rule = settings.split_rule.without_current() if config.recut else settings.split_rule
        return _result(known or record_split(name, cut_baseline_set(name, rule, warehouse, settings), warehouse))

    return split


def _current_asset(name: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=[TRAIN_BASELINE, TEST_BASELINE], description=description, kinds={"parquet"})
    def split(warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
        return _result(record_split(name, cut_current_set(name, warehouse, settings), warehouse))

    return split


def _result(record: dict) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record["content_hash"]),
        metadata={
            "first_day": str(record["first_day"]),
            "last_day": str(record["last_day"]),
            "dagster/row_count": record["rows"],
            "cut_on": str(record["cut_on"]),
        },
    )


train_baseline = _baseline_asset(TRAIN_BASELINE, "The first 65 % of the whole days at bootstrap; frozen.")
test_baseline = _baseline_asset(
    TEST_BASELINE, "The 15 % of the days after them: every challenger has to pass here; frozen."
)
train_current = _current_asset(
    TRAIN_CURRENT, "The days after the baseline that training may use: the window slides with it."
)
test_current = _current_asset(
    TEST_CURRENT, "The newest days, 28 to 56 of them: champion and challenger are compared here."
)


def record_split(name: str, cut: Cut, warehouse: Warehouse) -> dict:
    """Record the bounds and the content hash of a set, and return the record."""
    span, cut_on = cut
    known = recorded_split(warehouse, name)
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


def cut_baseline_set(name: str, rule: SplitRule, warehouse: Warehouse, settings: Settings) -> Cut:
    """Cut a frozen set from all whole days.

    Raises:
        dg.Failure: the home has too few whole days for a training.
    """
    whole = whole_days(warehouse, settings.timezone)
    baseline = cut_baseline(whole, rule) if whole else None
    if whole is None or baseline is None:
        raise dg.Failure(
            f"{whole.days if whole else 0} whole days of counts, {settings.min_training_days} needed to train",
            allow_retries=False,
        )
    return Cut(baseline.train if name == TRAIN_BASELINE else baseline.test, whole.last)


def cut_current_set(name: str, warehouse: Warehouse, settings: Settings) -> Cut:
    """Cut the days from the end of the baseline to the newest whole day.

    Raises:
        dg.Failure: the baseline was not cut yet.
    """
    whole, baseline = whole_days(warehouse, settings.timezone), recorded_baseline(warehouse)
    if whole is None or baseline is None:
        raise dg.Failure("the baseline was not cut yet: materialize train_baseline and test_baseline")
    before = recorded_split(warehouse, TEST_CURRENT)
    train, test = cut_current(baseline, whole.last, before["first_day"] if before else None)
    return Cut(train if name == TRAIN_CURRENT else test, whole.last)
