"""The cuts: nothing is in two sets, no day is lost, and the boundary of the newest test set never moves back."""

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.splits import Baseline, Span, SplitRule, content_hash, cut_baseline, cut_current, newest_months

START = date(2020, 9, 1)
DAY = timedelta(days=1)
lengths = st.integers(84, 2500)


def days_from(first: date, days: int) -> Span:
    return Span(first, first + timedelta(days=days - 1))


def baseline_of(days: int) -> Baseline:
    train = days_from(START, days)
    return Baseline(train, days_from(train.last + DAY, 30))


def current_of(days: int) -> tuple[Baseline, date]:
    """A baseline, and the newest day when that many days have come after it."""
    baseline = baseline_of(100)
    return baseline, baseline.test.last + timedelta(days=days)


@given(first=st.dates(date(2000, 1, 1), date(2030, 1, 1)), days=lengths)
def test_the_baseline_begins_with_the_home_and_its_sets_touch_without_overlap(first, days):
    whole = days_from(first, days)
    baseline = cut_baseline(whole, SplitRule())
    assert baseline.train.first == whole.first
    assert baseline.test.first == baseline.train.last + DAY
    assert baseline.test.last < whole.last
    assert baseline.train.days == pytest.approx(0.65 * days, abs=1)
    assert baseline.test.days == pytest.approx(0.15 * days, abs=1)
    assert min(baseline.train.days, baseline.test.days) >= 12


@pytest.mark.parametrize(("days", "cut"), [(0, False), (83, False), (84, True)])
def test_a_home_of_fewer_days_than_the_rule_asks_for_is_not_cut(days, cut):
    assert (cut_baseline(days_from(START, days), SplitRule()) is not None) == cut


def test_the_shares_of_the_rule_decide_the_cut():
    baseline = cut_baseline(days_from(START, 200), SplitRule(train_share=0.5, test_share=0.25))
    assert (baseline.train.days, baseline.test.days) == (100, 50)


@given(days=st.integers(1, 1500), not_before=st.none() | st.integers(1, 1500))
@settings(max_examples=200)
def test_current_is_cut_into_two_spans_that_cover_it_and_never_overlap(days, not_before):
    baseline, last = current_of(days)
    bound = None if not_before is None else baseline.test.last + timedelta(days=min(not_before, days))
    train, test = cut_current(baseline, last, bound)
    assert train.first == baseline.test.last + DAY
    assert test.first == train.last + DAY
    assert test.last == last
    assert train.days + test.days == days
    assert 1 <= test.days <= 56
    if bound is not None:
        assert test.first >= bound


@given(days=st.integers(56, 3000))
def test_test_current_holds_28_to_56_days_where_there_are_twice_as_many(days):
    train, test = cut_current(*current_of(days))
    assert 28 <= test.days <= 56
    assert train.days >= 28


@pytest.mark.parametrize(
    ("days", "tested"), [(1, 1), (10, 2), (55, 11), (56, 28), (140, 28), (200, 40), (280, 56), (1000, 56)]
)
def test_test_current_is_the_last_fifth_within_its_bounds(days, tested):
    assert cut_current(*current_of(days))[1].days == tested


def test_a_bound_on_the_start_shortens_test_current_rather_than_move_it_back():
    baseline, last = current_of(60)
    train, test = cut_current(baseline, last, last - timedelta(days=9))
    assert (train.days, test.days) == (50, 10)


def test_an_old_bound_changes_nothing():
    baseline, last = current_of(200)
    assert cut_current(baseline, last, baseline.test.last) == cut_current(baseline, last)


def test_day_by_day_the_boundary_never_moves_back():
    baseline, first = current_of(1)
    starts = [first]
    for number in range(400):
        train, test = cut_current(baseline, first + timedelta(days=number), starts[-1])
        assert test.first >= starts[-1]
        assert train.last < test.first
        starts.append(test.first)
    assert cut_current(baseline, first + timedelta(days=399), starts[-1])[1].days == 56


@given(length=st.integers(-20, 400), offset=st.integers(-30, 430))
def test_a_span_holds_exactly_the_days_from_its_first_to_its_last(length, offset):
    span = Span(START, START + timedelta(days=length - 1))
    assert span.days == max(0, length)
    assert (START + timedelta(days=offset) in span) == (0 <= offset < length)


@pytest.fixture
def rows() -> pd.DataFrame:
    hours = pd.date_range("2021-03-01", periods=48, freq="h", tz="UTC")
    parts = [pd.DataFrame({"counter_id": name, "counted_at": hours, "bike_count": range(48)}) for name in ("a", "b")]
    return pd.concat(parts, ignore_index=True)


def test_the_hash_of_a_set_does_not_depend_on_order_precision_or_other_columns(rows):
    expected = content_hash(rows)
    assert content_hash(rows.sample(frac=1, random_state=3)) == expected
    assert content_hash(rows.astype({"counted_at": "datetime64[ms, UTC]"})) == expected
    assert content_hash(rows.assign(ingested_at=1)) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.iloc[1:],
        lambda rows: pd.concat([rows, rows.iloc[:1]]),
        lambda rows: rows.assign(bike_count=rows["bike_count"].where(rows.index != 70, 999)),
        lambda rows: rows.assign(counter_id=rows["counter_id"].replace("b", "c")),
        lambda rows: rows.assign(counted_at=rows["counted_at"] + pd.Timedelta(hours=1)),
    ],
    ids=["a row less", "a row twice", "another count", "another counter", "another hour"],
)
def test_the_hash_of_a_set_changes_with_its_content(rows, change):
    assert content_hash(change(rows)) != content_hash(rows)


def test_right_after_the_baseline_both_current_sets_are_empty():
    baseline = cut_baseline(Span(date(2021, 1, 1), date(2021, 6, 30)), SplitRule())
    assert [span.days for span in cut_current(baseline, baseline.test.last)] == [0, 0]


def test_a_test_set_that_would_begin_after_the_last_day_is_refused():
    baseline = cut_baseline(Span(date(2021, 1, 1), date(2021, 6, 30)), SplitRule())
    with pytest.raises(ValueError, match="cannot end on"):
        cut_current(baseline, date(2021, 7, 10), date(2021, 7, 20))


def test_the_content_does_not_depend_on_how_the_counters_are_stored():
    rows = pd.DataFrame(
        {
            "counter_id": ["b", "a", "c"],
            "counted_at": pd.to_datetime(["2021-01-01"] * 3, utc=True),
            "bike_count": [1, 2, 3],
        }
    )
    reversed_categories = rows.astype({"counter_id": pd.CategoricalDtype(["c", "b", "a"])})
    assert content_hash(rows) == content_hash(reversed_categories)


def test_the_newest_months_end_with_the_newest_day_of_all():
    spans = {"old": Span(date(2024, 1, 1), date(2024, 9, 30)), "new": Span(date(2024, 12, 1), date(2025, 2, 28))}
    assert newest_months(spans, 3) == {"new": Span(date(2024, 12, 1), date(2025, 2, 28))}
    assert newest_months(spans, 2) == {"new": Span(date(2024, 12, 29), date(2025, 2, 28))}
    assert newest_months(spans, 6)["old"] == Span(date(2024, 8, 29), date(2024, 9, 30))
    assert newest_months(spans, 60) == spans


def test_of_empty_spans_no_month_is_left():
    assert newest_months({"current": Span(date(2025, 1, 2), date(2025, 1, 1))}, 3) == {}
