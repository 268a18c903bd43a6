"""Questions of several parts, with the same answers on each engine."""

import hashlib
from datetime import date

import pandas as pd
import pytest

from bike_assets.core.features import HORIZONS
from bike_assets.core.schemas import HOURLY_FEATURES
from bike_assets.core.splits import Span
from bike_assets.resources.queries.features import count_features, read_features
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import Warehouse

JANUARY = Span(date(2025, 1, 1), date(2025, 1, 5))
COUNTERS = ("a", "b", "c")


@pytest.fixture(scope="module")
def filled(make_engine) -> Warehouse:
    """Features of five days of three counters, at every horizon."""
    hours = pd.date_range("2025-01-01", periods=5 * 24, freq="h", tz="UTC")
    rows = [
        {
            **dict.fromkeys(HOURLY_FEATURES.columns, 0.5),
            **{"counter_id": counter, "counted_at": at, "day": at.date(), "bike_count": 3, "horizon_days": horizon},
        }
        for counter in COUNTERS
        for at in hours
        for horizon in HORIZONS
    ]
    warehouse = make_engine().warehouse()
    warehouse.merge(HOURLY_FEATURES, frame(HOURLY_FEATURES, rows))
    return warehouse


def hours_of(rows: pd.DataFrame) -> set[tuple[str, pd.Timestamp]]:
    return set(zip(rows["counter_id"], rows["counted_at"], strict=True))


def test_a_share_of_the_hours_is_drawn_by_their_digest(filled):
    every = hours_of(read_features(filled, [JANUARY], []))
    digests = {each: hashlib.md5(f"{each[0]}{each[1]:%Y%m%d%H}".encode()).hexdigest() for each in every}
    drawn = read_features(filled, [JANUARY], [], share=0.25)
    assert hours_of(drawn) == {each for each in every if digests[each][:8] < "40000000"}
    assert len(drawn) == len(HORIZONS) * len(hours_of(drawn))
    assert 0.15 < len(hours_of(drawn)) / len(every) < 0.35
    assert hours_of(drawn) < hours_of(read_features(filled, [JANUARY], [], share=0.5))


def test_the_drawn_hours_do_not_depend_on_the_rest_of_the_query(filled):
    first, last = JANUARY.chunks(3)
    parts = read_features(filled, [first, last], [], share=0.5)
    assert hours_of(parts) == hours_of(read_features(filled, [JANUARY], [], share=0.5))
    without = read_features(filled, [JANUARY], ["b"], horizon=2, share=0.5)
    assert hours_of(without) == {each for each in hours_of(parts) if each[0] != "b"}
    assert set(without["horizon_days"]) == {2}


def test_rows_are_counted_as_they_are_read(filled):
    for left_out in ([], ["a"], ["a", "c"]):
        assert count_features(filled, JANUARY.chunks(2), left_out) == len(read_features(filled, [JANUARY], left_out))
    assert count_features(filled, [], []) == 0
