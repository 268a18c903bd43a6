"""Merges rows into the Parquet files of a table: compares the rows with the files and rewrites changed partitions.

Validation, locks and queries belong to `warehouse`, the numbering of a partition's files to `partition_files`.
"""

import glob
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bike_assets.core.local_time import as_date, day_numbers
from bike_assets.core.schemas import Table
from bike_assets.resources.partition_files import current_file, supersede
from bike_assets.resources.table_rows import to_arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class MergeResult:
    """The result of a merge.

    Attributes:
        status: "added", "changed" or "unchanged" for each row, in the order of the rows.
        withdrawn: number of deleted rows by local day; only days in `complete_days` can have any.
    """

    status: np.ndarray
    withdrawn: dict[date, int] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        """Number of rows with this status."""
        return int((self.status == kind).sum())

    @property
    def added(self) -> int:
        """Number of rows with new keys."""
        return self.count("added")

    @property
    def changed(self) -> int:
        """Number of rows that replaced an existing row."""
        return self.count("changed")


@dataclass(frozen=True)
class PartitionMerge:
    """Merges rows into the files of one table.

    Attributes:
        table: the table.
        folder: the folder of its files.
        connect: returns a cursor of the engine, for one thread.
        threads: number of partitions that are rewritten in parallel.
    """

    table: Table
    folder: Path
    connect: "Callable[[], duckdb.DuckDBPyConnection]"
    threads: int

    def merge(self, rows: pd.DataFrame, complete_days: Collection[date]) -> MergeResult:
        """Merge validated rows; each partition changes atomically.

        Args:
            rows: the rows, with a fresh index.
            complete_days: local days for which `rows` is complete: other rows of these days are deleted.
        """
        arrow = to_arrow(self.table, rows)
        parts: dict[date | None, np.ndarray] = {None: np.arange(len(rows))}
        if self.table.partition:
            parts = {day: np.array([], dtype=np.int64) for day in complete_days}
            parts.update(_positions_by_day(rows[self.table.partition]))
        folders = {value: self._partition_folder(value) for value in parts}
        known = [file for folder in folders.values() if (file := current_file(folder))]
        merged = self._compare(arrow, known, complete_days) if known else MergeResult(np.full(len(rows), "added"))

        def rewrite(value: date | None) -> None:
            part = parts[value]
            fresh = part[merged.status[part] != "unchanged"]
            withdrawn = merged.withdrawn if value is None else merged.withdrawn.get(value)
            if fresh.size or withdrawn:
                self._rewrite(arrow, fresh, part, folders[value], complete_days)

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(rewrite, parts))
        return merged

    def _partition_folder(self, value: Any) -> Path:
        return self.folder / f"{self.table.partition}={as_date(value)}" if self.table.partition else self.folder

    def _compare(self, new: "pa.Table", paths: list[Path], complete_days: Collection[date]) -> MergeResult:
        """Compare rows with the files: return the status of each row, and the rows to delete from whole days."""
        table = self.table
        compared = [name for name in table.columns if name not in {*table.key, *table.ignored}]
        differs = " OR ".join(f'old."{name}" IS DISTINCT FROM new."{name}"' for name in compared)
        files = {"paths": [glob.escape(str(path)) for path in paths]}
        old = "read_parquet($paths, hive_partitioning = false)"
        with self.connect() as connection:
            connection.register("new", new.append_column("merge_position", [range(len(new))]))
            status = connection.execute(
                f"SELECT CASE WHEN old.\"{table.key[0]}\" IS NULL THEN 'added' "
                f"WHEN {'FALSE' if table.write_once else differs} THEN 'changed' ELSE 'unchanged' END AS status "
                f"FROM new LEFT JOIN {old} AS old "
                f"ON {' AND '.join(f'old.{name} = new.{name}' for name in quoted(table.key))} ORDER BY merge_position",
                files,
            ).fetchnumpy()["status"]
            if not complete_days:
                return MergeResult(np.asarray(status))
            withdrawn = connection.execute(
                f"SELECT day, COUNT(*) AS n FROM {old} AS old ANTI JOIN new USING ({', '.join(quoted(table.key))}) "
                "WHERE list_contains($complete_days, day) GROUP BY day",
                {**files, "complete_days": list(complete_days)},
            ).fetchall()
        return MergeResult(np.asarray(status), dict(withdrawn))

    def _rewrite(
        self, rows: "pa.Table", changed: np.ndarray, part: np.ndarray, folder: Path, complete_days: Collection[date]
    ) -> None:
        """Write a partition's next file: its old rows and the changed rows, which replace old rows with their key."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        current, fresh = current_file(folder), _rows_at(rows, changed)
        if current:
            keys = ", ".join(quoted(self.table.key))
            stays = "TRUE"
            if complete_days:
                stays = f"NOT list_contains($complete_days, day) OR ({keys}) IN (SELECT ({keys}) FROM part)"
            with self.connect() as connection:
                connection.register("old", pq.read_table(current, partitioning=None))
                connection.register("fresh", fresh)
                connection.register("part", _rows_at(rows, part))
                kept = connection.sql(
                    f"SELECT * FROM old ANTI JOIN fresh USING ({keys}) WHERE {stays}",
                    params={"complete_days": list(complete_days)} if complete_days else None,
                ).to_arrow_table()
                fresh = pa.concat_tables([kept.cast(fresh.schema), fresh])
        supersede(folder, fresh.sort_by([(name, "ascending") for name in self.table.key]))


def quoted(names: Iterable[str]) -> list[str]:
    """Return column names quoted for DuckDB, so that SQL keywords are safe as names."""
    return [f'"{name}"' for name in names]


def _positions_by_day(days: pd.Series) -> dict[date | None, np.ndarray]:
    """Return the positions of each day's rows."""
    numbers = day_numbers(days)
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    parts = np.split(order, starts)[1:]
    return {as_date(np.datetime64(int(day), "D")): part for day, part in zip(found, parts, strict=True)}


def _rows_at(rows: "pa.Table", positions: np.ndarray) -> "pa.Table":
    """Return the rows at ascending positions; a contiguous range, the usual case for a day, is not copied."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return rows.slice(positions[0], len(positions))
    return rows.take(positions)
