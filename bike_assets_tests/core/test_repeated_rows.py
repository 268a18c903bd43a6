"""Rows that share a counter and an hour: kept, added or refused, and no bike disappears."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bike_assets.core.repeated_rows import (
    KEY,
    DifferingRowsError,
    describe_differing,
    differing_rows,
    distinguishing_columns,
    settle_repeated_rows,
)

HOUR = pd.Timestamp("2025-03-30T10:00Z")
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 3)), max_size=12)


def table(rows: list[tuple[str, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "counter_id": pd.Categorical([counter for counter, _, _ in rows]),
            "counted_at": pd.to_datetime([HOUR + pd.Timedelta(hours=hour) for _, hour, _ in rows], utc=True),
            "bike_count": [float(count) for _, _, count in rows],
        }
    )


@given(ROWS)
def test_every_row_is_kept_added_or_doubled(rows):
    rows = table(rows)
    for rule in ("last", "add"):
        settled = settle_repeated_rows(rows, rule)
        parts = [settled.rows, settled.added, settled.doubled]
        assert sorted(position for part in parts for position in part.index) == list(rows.index)
        assert not settled.rows.duplicated(KEY).any()
    assert settle_repeated_rows(rows, "add").rows["bike_count"].sum() == rows["bike_count"].sum()


@given(ROWS)
def test_rows_are_refused_exactly_if_two_of_one_counter_and_hour_differ(rows):
    rows = table(rows)
    differ = (rows.groupby(KEY, observed=True)["bike_count"].nunique() > 1).any()
    assert (not differing_rows(rows).empty) == differ
    if differ:
        with pytest.raises(DifferingRowsError, match="has several rows for"):
            settle_repeated_rows(rows, "refuse")
    else:
        pd.testing.assert_frame_equal(
            settle_repeated_rows(rows, "refuse").rows, settle_repeated_rows(rows, "last").rows
        )


def test_the_last_of_several_rows_stands():
    settled = settle_repeated_rows(table([("a", 0, 1), ("b", 0, 5), ("a", 0, 2)]), "last")
    assert settled.rows["bike_count"].tolist() == [5, 2]
    assert settled.doubled["bike_count"].tolist() == [1]


def test_the_error_names_the_column_and_both_lines():
    rows = table([("a", 0, 7), ("a", 0, 3)])
    message = describe_differing(rows, ["direction"], ["counter"])
    assert "Counter a has several rows for 2025-03-30 10:00 UTC: 7 and 3 bikes." in message
    assert 'repeated_rows = "add"' in message
    assert 'counter_id = ["counter", "direction"]' in message


def test_a_direction_distinguishes_rows_better_than_a_number_of_the_row():
    rows = table([(counter, hour, count) for hour in (0, 1) for counter in "ab" for count in (7, 3)])
    published = pd.DataFrame(
        {"row": range(8), "counter": list("aabbaabb"), "way": ["IN", "OUT"] * 4, "lane": ["1"] * 8}
    )
    assert distinguishing_columns(published, rows, {"counter"}) == ["way", "row"]
    assert distinguishing_columns(published[["counter", "lane"]], rows, {"counter"}) == []


def test_rows_without_a_counter_distinguish_nothing():
    rows = table([("a", 0, 7), ("a", 0, 3), ("b", 0, 1), ("b", 0, 2)])
    rows["counter_id"] = rows["counter_id"].where(rows["counter_id"] == "a")
    published = pd.DataFrame({"way": ["IN", "OUT", "IN", "IN"]})
    assert distinguishing_columns(published, rows, set()) == ["way"]


def test_the_error_says_so_if_no_column_tells_them_apart():
    rows = table([("a", 0, 7), ("a", 0, 3)])
    assert 'repeated_rows = "add" adds them, "last" keeps the last one' in describe_differing(rows, [])
