"""Cuts a home's days into baseline and current, train and test. Reading rows does not belong here."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

TRAIN_BASELINE, TEST_BASELINE = "train_baseline", "test_baseline"
TRAIN_CURRENT, TEST_CURRENT = "train_current", "test_current"
"""The names of the four sets."""
TEST_CURRENT_SHARE = 0.2
MIN_TEST_CURRENT_DAYS = 28
MAX_TEST_CURRENT_DAYS = 56


@dataclass(frozen=True)
class Span:
    """Local days from first to last, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of days; 0 for an empty span."""
        return max(0, (self.last - self.first).days + 1)

    def chunks(self, days: int) -> list["Span"]:
        """Return the span in parts of `days` days, oldest first; the last may be shorter."""
        starts = range(0, self.days, days)
        ends = (min(start + days, self.days) - 1 for start in starts)
        return [
            Span(self.first + timedelta(days=start), self.first + timedelta(days=end))
            for start, end in zip(starts, ends, strict=True)
        ]

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True)
class SplitRule:
    """Shares of the whole days at bootstrap, and how many whole days a bootstrap needs."""

    train_share: float = 0.65
    test_share: float = 0.15
    min_days: int = 84

    def without_current(self) -> "SplitRule":
        """Return the rule that divides all days between both baseline sets and leaves none for current."""
        both = self.train_share + self.test_share
        return SplitRule(self.train_share / both, 1 - self.train_share / both, self.min_days)


@dataclass(frozen=True)
class Baseline:
    """The frozen cut into train and test; all later days are current."""

    train: Span
    test: Span


def cut_baseline(whole_days: Span, rule: SplitRule) -> Baseline | None:
    """Cut the whole days of a home at bootstrap; None while there are fewer than the rule requires."""
    if whole_days.days < rule.min_days:
        return None
    train_end = whole_days.first + timedelta(days=int(whole_days.days * rule.train_share) - 1)
    test_end = train_end + timedelta(days=int(whole_days.days * rule.test_share))
    return Baseline(Span(whole_days.first, train_end), Span(train_end + timedelta(days=1), test_end))


def cut_current(baseline: Baseline, last_day: date, not_before: date | None = None) -> tuple[Span, Span]:
    """Cut the days after the baseline into train_current and test_current.

    Args:
        baseline: the frozen cut.
        last_day: the newest whole day.
        not_before: the latest day on which test_current has ever begun. It never begins earlier again, so that no
            older champion was trained on days of a newer test set.

    Returns:
        train_current and test_current; either may be empty. test_current is the last fifth of the current days: at
        least 28 days where there are twice as many, at most 56.

    Raises:
        ValueError: `not_before` lies after the last day.
    """
    current = Span(baseline.test.last + timedelta(days=1), last_day)
    if not current.days:
        return current, current
    if not_before is not None and not_before > last_day:
        raise ValueError(f"test_current began on {not_before} and cannot end on {last_day}")
    length = max(1, round(current.days * TEST_CURRENT_SHARE))
    if current.days >= 2 * MIN_TEST_CURRENT_DAYS:
        length = max(length, MIN_TEST_CURRENT_DAYS)
    start = last_day - timedelta(days=min(length, MAX_TEST_CURRENT_DAYS) - 1)
    if not_before is not None:
        start = max(start, not_before)
    return Span(current.first, start - timedelta(days=1)), Span(start, last_day)


def newest_months(spans: Mapping[str, Span], months: int) -> dict[str, Span]:
    """Cut spans to the newest months, counted back from their last day; empty spans are left out."""
    filled = {name: span for name, span in spans.items() if span.days}
    if not filled:
        return {}
    last = max(span.last for span in filled.values())
    first = (pd.Timestamp(last) - pd.DateOffset(months=months)).date() + timedelta(days=1)
    cut = {name: Span(max(span.first, first), span.last) for name, span in filled.items()}
    return {name: span for name, span in cut.items() if span.days}


def content_hash(rows: pd.DataFrame) -> str:
    """Return a digest of counter_id, counted_at and bike_count that does not depend on the order of the rows."""
    ordered = rows[["counter_id", "counted_at", "bike_count"]].astype(
        {"counter_id": str, "counted_at": "datetime64[us, UTC]"}
    )
    ordered = ordered.sort_values(["counter_id", "counted_at"])
    hashes = pd.util.hash_pandas_object(ordered, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


def spans_of(days: Collection[date]) -> list[Span]:
    """Group days into spans without gaps, oldest first."""
    spans: list[Span] = []
    for day in sorted(days):
        if spans and day - spans[-1].last == timedelta(days=1):
            spans[-1] = Span(spans[-1].first, day)
        else:
            spans.append(Span(day, day))
    return spans
