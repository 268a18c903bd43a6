"""Copies one table in parts of some days, to bound the memory, and compares each part with the target by its digest.

A part is one atomic MERGE in the target, so an interrupted copy continues with the missing parts.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pandas as pd

from bike_assets.commands.copy.comparison import Comparison
from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import COMPTAGE_VELO, HOURLY_FEATURES, REJECTED_COUNTS, Table
from bike_assets.core.splits import Span
from bike_assets.resources.table_digest import unordered_digest
from bike_assets.resources.warehouse import Warehouse

ROWS_PER_PART = 200_000
"""Rows of a part, about. For the widest table, hourly_features, they take 60 MB."""
DAY = "day"
TABLES_WITH_WITHDRAWALS = (COMPTAGE_VELO, REJECTED_COUNTS, HOURLY_FEATURES)
"""The home deletes rows from these tables when it reads a day again and the day has fewer rows."""


class TableCopy:
    """One table on both sides.

    Args:
        table: the table.
        here: the warehouse of the home.
        there: the warehouse of the target.
    """

    def __init__(self, table: Table, here: Warehouse, there: Warehouse) -> None:
        self.table, self._here, self._there = table, here, there
        self._day_column = _day_column(table)
        self._rows_here, self._rows_there = rows_by_day(table, here), rows_by_day(table, there)

    @property
    def rows(self) -> int:
        """How many rows the home has."""
        return sum(self._rows_here.values())

    def run(self, send: bool, report: Callable[[int], object]) -> Comparison:
        """Compare all parts, and send those that differ.

        Args:
            send: whether to send; if not, the parts are only compared.
            report: called after each part with its number of rows.
        """
        found = Comparison(self.table.full_name)
        for span in self._parts():
            before = found.here
            self._copy_part(span, send, found)
            report(found.here - before)
        return found

    def _copy_part(self, span: Span | None, send: bool, found: Comparison) -> None:
        rows = self._read(self._here, span)
        expected = self._state(rows)
        actual = None if send and self._has_other_counts(span) else self._state(self._read(self._there, span))
        if actual is None or (send and actual != expected):
            self._there.merge(self._exact, rows, self._whole_days(span))
            actual = self._state(self._read(self._there, span))
            found.sent += len(rows)
        found.here += len(rows)
        found.there += actual[0]
        if actual != expected:
            found.differences.append(f"{span.first} to {span.last}" if span else "its rows")

    def _state(self, rows: pd.DataFrame) -> tuple[int, int]:
        """Return the number of rows, and their digest."""
        return len(rows), unordered_digest(self.table, rows)

    @property
    def _exact(self) -> Table:
        """The table with all columns compared. Unlike a reading, a copy replaces every value that differs."""
        return replace(self.table, write_once=False, ignored=())

    def _read(self, warehouse: Warehouse, span: Span | None) -> pd.DataFrame:
        everything = f"SELECT * FROM {self.table.full_name}"
        if span is None:
            return warehouse.query(everything)
        between = f"{everything} WHERE {self._day_column} BETWEEN @first AND @last"
        return warehouse.query(between, first=span.first, last=span.last)

    def _parts(self) -> list[Span | None]:
        if self._day_column is None:
            return [None] if self._rows_here != {None: 0} or self._rows_there != {None: 0} else []
        return [*split_days(ROWS_PER_PART, _greater(self._rows_here, self._rows_there))]

    def _days_of(self, span: Span | None) -> list[date | None]:
        days = self._rows_here.keys() | self._rows_there.keys()
        return [day for day in days if span is None or (day is not None and span.first <= day <= span.last)]

    def _has_other_counts(self, span: Span | None) -> bool:
        return any(self._rows_here.get(day) != self._rows_there.get(day) for day in self._days_of(span))

    def _whole_days(self, span: Span | None) -> list[date]:
        """Return the days whose other rows the target deletes: rows that the home withdrew are withdrawn there too."""
        return [day for day in self._days_of(span) if day is not None] if self.table in TABLES_WITH_WITHDRAWALS else []


def rows_by_day(table: Table, warehouse: Warehouse) -> dict[date | None, int]:
    """Return a table's number of rows by the day column that it is cut by; under None if it has no such column."""
    name, by = table.full_name, _day_column(table)
    if by is None:
        return {None: int(warehouse.query(f"SELECT COUNT(*) AS n FROM {name}")["n"].iloc[0])}
    sql = f"SELECT {by} AS part, COUNT(*) AS n FROM {name} WHERE {by} >= @first GROUP BY {by}"
    counted = warehouse.query(sql, first=date.min)
    return {as_date(part): int(n) for part, n in zip(counted["part"], counted["n"], strict=True)}


def _day_column(table: Table) -> str | None:
    return table.partition or (DAY if DAY in table.columns else None)


def split_days(rows: int, by_day: Mapping[date, int]) -> list[Span]:
    """Cut days into spans of at most `rows` rows, but of at least one day each."""
    spans: list[Span] = []
    held = rows + 1
    for day in sorted(by_day):
        held += by_day[day]
        if held > rows:
            spans.append(Span(day, day))
            held = by_day[day]
        else:
            spans[-1] = Span(spans[-1].first, day)
    return spans


def _greater(one: Mapping[date | None, int], other: Mapping[date | None, int]) -> dict[date, int]:
    days = one.keys() | other.keys()
    return {day: max(one.get(day, 0), other.get(day, 0)) for day in days if day is not None}
