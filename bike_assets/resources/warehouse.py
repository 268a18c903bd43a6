"""The warehouse: tables in, SQL out. This module has the interface of every engine, and the embedded engine.

The embedded engine stores every partition as one Parquet file. It writes the file under a temporary name, renames it,
and reads the files with an in-memory DuckDB: several processes can read and write at once without a server. What the
tables mean belongs to `core.schemas` and the assets, merging rows into files to `partition_merge`, the BigQuery engine
to `bigquery_warehouse`, the choice of an engine to `profiles`.
"""

import atexit
import glob
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from bike_assets.core.schemas import TABLES, Table
from bike_assets.errors import StepFailedError
from bike_assets.resources.duckdb_engine import open_engine
from bike_assets.resources.partition_files import current_file
from bike_assets.resources.partition_merge import MergeResult, PartitionMerge, quoted
from bike_assets.resources.table_rows import validate_parameters, validate_rows

if TYPE_CHECKING:
    import duckdb

LOCK_TIMEOUT_SECONDS = 60
WRITER_TIMEOUT_SECONDS = 900
READ_ATTEMPTS = 3


class Warehouse(Protocol):
    """The interface of every engine."""

    def merge(self, table: Table, rows: pd.DataFrame, complete_days: Collection[date] = ()) -> MergeResult:
        """Add rows with new keys and replace changed rows; merging the same rows again changes nothing.

        For the local days in `complete_days`, `rows` is complete: the merge deletes other rows of these days.
        """
        ...

    def write_lock(self, table: Table) -> AbstractContextManager[None]:
        """Hold the table's write lock while the body reads a source and merges its rows.

        Raises:
            StepFailedError: another writer held the lock for too long.
        """
        ...

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run one SELECT in BigQuery's dialect, with @named parameters; return times in UTC.

        Raises:
            TypeError: a parameter is a time without a zone; a day must be a date.
        """
        ...

    def state(self, table: Table) -> tuple[str, ...]:
        """Return a value that changes when the rows of the table change."""
        ...

    def close(self) -> None:
        """Close open files and connections; the next query opens them again."""
        ...


class LocalWarehouse:
    """Parquet files below one folder, read with DuckDB."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self.folder = folder
        self.threads = threads
        self._database: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()

    def merge(self, table: Table, rows: pd.DataFrame, complete_days: Collection[date] = ()) -> MergeResult:
        """Merge rows partition by partition; each partition changes atomically.

        Raises:
            ValueError: columns are missing, a key or partition is null, or two rows share a key.
        """
        validate_rows(table, rows)
        if rows.empty and not complete_days:
            return MergeResult(np.array([], dtype=str))
        from filelock import FileLock

        folder = self._folder(table)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=LOCK_TIMEOUT_SECONDS):
            for abandoned in folder.rglob("*.tmp"):
                abandoned.unlink()
            merge = PartitionMerge(table, folder, self._connect, self.threads)
            return merge.merge(rows.reset_index(drop=True), complete_days)

    @contextmanager
    def write_lock(self, table: Table) -> Iterator[None]:
        """Hold a lock file of the table; the lock is released when this process ends, even if it is killed."""
        from filelock import FileLock, Timeout

        folder = self._folder(table)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".writer.lock", timeout=WRITER_TIMEOUT_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise StepFailedError(
                f"Another run has been writing {table.full_name} for {WRITER_TIMEOUT_SECONDS} s: wait for it to end."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run a SELECT over the current files; see `Warehouse.query`."""
        import duckdb

        validate_parameters(parameters)
        for _ in range(READ_ATTEMPTS - 1):
            # Another process may remove a file between listing and reading, if it was superseded a minute before.
            with suppress(duckdb.IOException):
                return self._query(sql, parameters)
        return self._query(sql, parameters)

    def state(self, table: Table) -> tuple[str, ...]:
        """Return the paths of the table's current files."""
        return tuple(str(path) for path in self._current_files(table))

    def _query(self, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        duckdb_sql = _duckdb_sql(with_views(sql))
        for table in TABLES:
            if table.full_name in duckdb_sql:
                duckdb_sql = _replace_name(table.full_name, duckdb_sql, self._source(table))
        with self._connect() as connection:
            answer = connection.execute(duckdb_sql, parameters or None)
            wide = [name for name, kind, *_ in answer.description if str(kind) == "HUGEINT"]
            rows = answer.df()
        # In BigQuery a sum of integers is an INT64. DuckDB's is wider, and pandas would get it as a float.
        for name in wide:
            rows[name] = rows[name].astype("int64" if rows[name].notna().all() else "Int64")
        return rows

    def _current_files(self, table: Table) -> list[Path]:
        folder = self._folder(table)
        folders = sorted(folder.glob(f"{table.partition}=*")) if table.partition else [folder]
        return [file for each in folders if (file := current_file(each))]

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        with self._opening:
            if self._database is None:
                self._database = open_engine(self.threads)
                atexit.register(self.close)
        return self._database.cursor()

    def close(self) -> None:
        """Close the engine; the next query opens it again."""
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _folder(self, table: Table) -> Path:
        return self.folder / table.dataset / table.name

    def _source(self, table: Table) -> str:
        files = self._current_files(table)
        if not files:
            typed = ", ".join(
                f'CAST(NULL AS {_DUCKDB_TYPES[kind]}) AS "{name}"' for name, kind in table.columns.items()
            )
            return f"SELECT {typed} WHERE FALSE"
        listed = ", ".join("'" + glob.escape(str(path)).replace("'", "''") + "'" for path in files)
        pruning = "hive_partitioning = false"
        if table.partition:
            pruning = f"hive_partitioning = true, hive_types = {{'{table.partition}': DATE}}"
        return f"SELECT {', '.join(quoted(table.columns))} FROM read_parquet([{listed}], {pruning})"


def with_views(sql: str) -> str:
    """Replace the views of append-only tables in BigQuery SQL by their queries."""
    for table in TABLES:
        if table.entity and table.newest_name in sql:
            sql = _replace_name(table.newest_name, sql, table.newest_sql)
    return sql


def _replace_name(full_name: str, sql: str, source: str) -> str:
    """Replace a table's name by a query; keep an alias that follows the name."""
    name, short = re.escape(full_name), full_name.rpartition(".")[2]
    aliased = re.sub(rf"\b{name}(?= AS )", lambda _: f"({source})", sql)
    return re.sub(rf"\b{name}\b", lambda _: f"({source}) AS {short}", aliased)


_DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}


@lru_cache(maxsize=128)
def _duckdb_sql(sql: str) -> str:
    import sqlglot

    return sqlglot.transpile(sql, read="bigquery", write="duckdb")[0]
