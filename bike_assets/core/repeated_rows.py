"""Rows that share a counter and an hour: the rule of a city, and what settles rows that differ without a rule.

What is wrong with a single row belongs to `published`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bike_assets.errors import BikeError

RepeatedRows = Literal["refuse", "last", "add"]
KEY = ["counter_id", "counted_at"]
MAX_DIFFERING = 200
"""Rows that are looked at to find what distinguishes them."""


class DifferingRowsError(BikeError):
    """Rows of one counter and hour differ, and the city's file has no rule for them.

    Attributes:
        rows: the first such rows.
    """

    def __init__(self, message: str, rows: pd.DataFrame) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class Settled:
    """Rows after the rule of a city.

    Attributes:
        rows: one row for each counter and hour, in the order of the last of each.
        added: the rows that were added to another one of the same counter and hour.
        doubled: the rows that were left out, since another one of the same counter and hour stands for them.
    """

    rows: pd.DataFrame
    added: pd.DataFrame
    doubled: pd.DataFrame


def settle_repeated_rows(rows: pd.DataFrame, rule: RepeatedRows) -> Settled:
    """Leave one row for each counter and hour.

    Args:
        rows: counter_id, counted_at and bike_count, without gaps, and other columns.
        rule: "last" keeps the last row, "add" adds the counts, "refuse" accepts only rows of the same count.

    Raises:
        DifferingRowsError: the rule is "refuse", and rows of one counter and hour have different counts.
    """
    repeated = rows.duplicated(KEY, keep="last")
    if not repeated.any():
        return Settled(rows, rows.iloc[:0], rows.iloc[:0])
    kept, others = rows[~repeated], rows[repeated]
    if rule == "add":
        totals = rows.groupby(KEY, observed=True, sort=False)["bike_count"].sum()
        kept = kept.assign(bike_count=totals.reindex(pd.MultiIndex.from_frame(kept[KEY])).to_numpy())
        return Settled(kept, others, rows.iloc[:0])
    if rule == "refuse" and len(differing := differing_rows(rows)):
        raise DifferingRowsError(describe_differing(differing, []), differing)
    return Settled(kept, rows.iloc[:0], others)


def differing_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the first rows that share a counter and an hour and have different counts; no row if there are none."""
    same = rows[rows.duplicated(KEY, keep=False)]
    counts = same.groupby(KEY, observed=True, sort=False)["bike_count"]
    return same[counts.transform("min") != counts.transform("max")].head(MAX_DIFFERING)


def distinguishing_columns(published: pd.DataFrame, rows: pd.DataFrame, known: Collection[str]) -> list[str]:
    """Return the columns that distinguish all rows of one counter and hour, that with the fewest values first.

    A direction has few values; a number of the row distinguishes rows too, and is no part of a counter's key.

    Args:
        published: the rows with all their published columns.
        rows: the same rows with counter_id and counted_at, in the same order; those without a counter do not count.
        known: published columns with a meaning of their own.
    """
    groups = rows.groupby(KEY, observed=True, sort=False).ngroup().to_numpy()
    has_counter = groups >= 0
    others = published.drop(columns=[name for name in published if name in known])[has_counter].astype(str)
    found = [name for name in others if pd.MultiIndex.from_arrays([groups[has_counter], others[name]]).is_unique]
    return sorted(map(str, found), key=lambda name: others[name].nunique())


def describe_differing(rows: pd.DataFrame, columns: Sequence[str], key: Sequence[str] = ()) -> str:
    """Describe rows of one counter and hour, and how to settle them.

    Args:
        rows: the rows; the first counter and hour are shown.
        columns: published columns that distinguish them, the best one first.
        key: published columns that identify a counter so far.
    """
    counter, hour = rows.iloc[0]["counter_id"], rows.iloc[0]["counted_at"]
    same = rows[(rows["counter_id"] == counter) & (rows["counted_at"] == hour)]
    counts = " and ".join(f"{count:g}" for count in same["bike_count"].head(3))
    found = f"Counter {counter} has several rows for {hour:%Y-%m-%d %H:%M} UTC: {counts} bikes."
    if not columns:
        return f'{found} Add to the city\'s file: repeated_rows = "add" adds them, "last" keeps the last one.'
    names = ", ".join(f'"{name}"' for name in (*key, columns[0]))
    return (
        f"{found} The column {columns[0]} distinguishes them. Add to the city's file one of these lines: "
        f'repeated_rows = "add" adds them; counter_id = [{names}] under [portal_fields] counts each alone.'
    )
