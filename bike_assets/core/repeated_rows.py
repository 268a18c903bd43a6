"""Rows that share a counter and an hour: the rule of a city, and what settles rows that differ without a rule.

What is wrong with a single row belongs to `published`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bike_assets.errors import BikeError

RepeatedRows = Literal["refuse", "last", "add"]
KEY = ["counter_id", "counted_at"]


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
        rows: one row for each counter and hour, in the order of the first of each.
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
    if rule == "refuse" and (differing := first_differing(rows)) is not None:
        raise DifferingRowsError(describe_differing(differing, []), differing)
    return Settled(kept, rows.iloc[:0], others)


def first_differing(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return the rows of the first counter and hour that have different counts; None if there is none."""
    same = rows[rows.duplicated(KEY, keep=False)]
    counts = same.groupby(KEY, observed=True, sort=False)["bike_count"].agg(["min", "max"])
    differing = counts.index[counts["min"] != counts["max"]]
    if differing.empty:
        return None
    counter, hour = differing[0]
    return same[(same["counter_id"] == counter) & (same["counted_at"] == hour)]


def columns_that_differ(rows: pd.DataFrame, known: Sequence[str]) -> list[str]:
    """Return the columns that have another value in each of some rows, apart from known ones."""
    return [str(name) for name in rows if name not in known and rows[name].astype(str).is_unique]


def describe_differing(rows: pd.DataFrame, columns: Sequence[str], key: Sequence[str] = ()) -> str:
    """Describe rows of one counter and hour, and how to settle them.

    Args:
        rows: the rows.
        columns: published columns that tell them apart.
        key: published columns that identify a counter so far.
    """
    counts = " and ".join(f"{count:g}" for count in rows["bike_count"].head(3))
    counter, hour = rows.iloc[0]["counter_id"], rows.iloc[0]["counted_at"]
    found = f"Counter {counter} has several rows for {hour:%Y-%m-%d %H:%M} UTC: {counts} bikes."
    if not columns:
        return f'{found} Add to the city\'s file: repeated_rows = "add" adds them, "last" keeps the last one.'
    names = ", ".join(f'"{name}"' for name in (*key, columns[0]))
    return (
        f"{found} The column {columns[0]} tells them apart. Add to the city's file one of these lines: "
        f'repeated_rows = "add" adds them; counter_id = [{names}] under [portal_fields] counts each alone.'
    )
