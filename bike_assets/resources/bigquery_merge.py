"""The SQL that merges the rows of a staging table into a table of BigQuery.

Running it, and the guarantees for writers, belong to `bigquery_warehouse`; what tables mean to `core.schemas`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from bike_assets.core.schemas import Table

POSITION = "merge_position"
"""Column of a staging table: the position of the row in the merged frame."""


@dataclass(frozen=True)
class MergeStatements:
    """The statements that merge the rows of a staging table.

    Attributes:
        table: the target table.
        target: its name in SQL.
        staging: name of the staging table in SQL.
        days: the first and the last partition of the rows and the whole days; None without partitions.
        complete_days: local days for which the staging table is complete: other rows of these days are deleted.
    """

    table: Table
    target: str
    staging: str
    days: tuple[date, date] | None
    complete_days: Collection[date]

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of all statements."""
        bounds = {"first": self.days[0], "last": self.days[1]} if self.days else {}
        return {**bounds, **({"complete_days": sorted(self.complete_days)} if self.complete_days else {})}

    @property
    def statuses(self) -> str:
        """SELECT the position and the status, added or changed, of each new row that differs from the target."""
        return (
            f"SELECT new.{POSITION}, IF(old.{_quoted(self.table.key[0])} IS NULL, 'added', 'changed') AS status "
            f"FROM {self.staging} AS new LEFT JOIN {self._old} ON {self._same_key} "
            f"WHERE old.{_quoted(self.table.key[0])} IS NULL OR {self._differs}"
        )

    @property
    def withdrawn(self) -> str:
        """SELECT how many rows of each whole day the merge deletes."""
        return (
            f"SELECT old.day, COUNT(*) AS n FROM {self._old} LEFT JOIN {self.staging} AS new ON {self._same_key} "
            f"WHERE {self._is_withdrawn} AND new.{POSITION} IS NULL GROUP BY old.day"
        )

    @property
    def merge(self) -> str:
        """MERGE: add rows, change rows, and delete other rows of the whole days, in one statement."""
        table = self.table
        columns = [_quoted(name) for name in table.columns]
        clauses = []
        if not table.write_once:
            replaced = [_quoted(name) for name in table.columns if name not in table.key]
            pairs = ", ".join(f"{name} = new.{name}" for name in replaced)
            clauses.append(f"WHEN MATCHED AND ({self._differs}) THEN UPDATE SET {pairs}")
        clauses.append(
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(columns)}) "
            f"VALUES ({', '.join(f'new.{name}' for name in columns)})"
        )
        if self.complete_days:
            clauses.append(f"WHEN NOT MATCHED BY SOURCE AND {self._is_withdrawn} THEN DELETE")
        matches = " AND ".join([self._same_key, *self._bounds("old.")])
        return f"MERGE {self.target} AS old USING {self.staging} AS new ON {matches} {' '.join(clauses)}"

    @property
    def _same_key(self) -> str:
        return " AND ".join(f"old.{name} = new.{name}" for name in map(_quoted, self.table.key))

    @property
    def _old(self) -> str:
        """The target's rows in the partitions of the merge."""
        where = "".join(f" WHERE {each}" for each in self._bounds())
        return f"(SELECT * FROM {self.target}{where}) AS old"

    @property
    def _is_withdrawn(self) -> str:
        return " AND ".join(["old.day IN UNNEST(@complete_days)", *self._bounds("old.")])

    def _bounds(self, of: str = "") -> list[str]:
        """Constant bounds, so that BigQuery reads and bills only the partitions of these days."""
        return [f"{of}{_quoted(self.table.partition)} BETWEEN @first AND @last"] if self.table.partition else []

    @property
    def _differs(self) -> str:
        if self.table.write_once:
            return "FALSE"
        compared = [name for name in self.table.columns if name not in {*self.table.key, *self.table.ignored}]
        return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in map(_quoted, compared))


def _quoted(name: str) -> str:
    return f"`{name}`"
