"""The warehouse: tables in, SQL out. What the tables mean belongs to `core.schemas` and the assets.

The embedded engine keeps every partition as one Parquet file, written under a temporary name and renamed, and reads
them with an in-memory DuckDB, so that several processes read and write at once without a server.
"""

import atexit
import glob
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import TABLES, Table
from bike_assets.resources.partition_files import current_file, supersede

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LOCK_TIMEOUT_SECONDS = 60
READ_ATTEMPTS = 3


class MergeResult:
    """What a merge did: one of "added", "changed" and "unchanged" for every row, in the rows' order."""

    def __init__(self, status: np.ndarray) -> None:
        self.status = status

    def count(self, kind: str) -> int:
        """Number of rows of a kind."""
        return int((self.status == kind).sum())

    @property
    def added(self) -> int:
        """Rows with new keys."""
        return self.count("added")

    @property
    def changed(self) -> int:
        """Rows that replaced others."""
        return self.count("changed")


class Warehouse(Protocol):
    """What every engine offers."""

    def merge(self, table: Table, rows: pd.DataFrame) -> MergeResult:
        """Add rows with new keys and replace those that changed; the same rows again change nothing."""
        ...

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run one SELECT in BigQuery's dialect, with @named parameters; times come back in UTC."""
        ...


class LocalWarehouse:
    """Parquet files below one folder, and DuckDB to read them."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self.folder = folder
        self.threads = threads
        self._database: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()

    def merge(self, table: Table, rows: pd.DataFrame) -> MergeResult:
        """Merge rows partition by partition; each partition changes at once or not at all.

        Raises:
            ValueError: columns are missing, a key or partition is null, or two rows share a key.
        """
        missing = set(table.columns) - set(rows.columns)
        if missing:
            raise ValueError(f"{table.full_name}: columns missing: {', '.join(sorted(missing))}")
        if rows.duplicated(list(table.key)).any():
            raise ValueError(f"{table.full_name}: two rows share a key ({', '.join(table.key)})")
        identifying = [*table.key, *([table.partition] if table.partition else [])]
        if rows[identifying].isna().any(axis=None):
            raise ValueError(f"{table.full_name}: a row has no value in one of {', '.join(identifying)}")
        if rows.empty:
            return MergeResult(np.array([], dtype=str))
        from filelock import FileLock

        folder = self._folder(table)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=LOCK_TIMEOUT_SECONDS):
            for abandoned in folder.rglob("*.tmp"):
                abandoned.unlink()
            return self._merge_files(table, rows)

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run a SELECT over the files as they stand now."""
        import duckdb

        for _ in range(READ_ATTEMPTS - 1):
            # A file may be removed between listing and reading: it had been superseded a minute before.
            with suppress(duckdb.IOException):
                return self._query(sql, parameters)
        return self._query(sql, parameters)

    def state(self, table: Table) -> tuple[str, ...]:
        """Return what changes when the table does."""
        return tuple(str(path) for path in self._current_files(table))

    def _query(self, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        duckdb_sql = _duckdb_sql(sql)
        for table in TABLES:
            if table.full_name in duckdb_sql:
                duckdb_sql = _with_source(duckdb_sql, table, self._source(table))
        with self._connect() as connection:
            return connection.execute(duckdb_sql, parameters or None).df()

    def _merge_files(self, table: Table, rows: pd.DataFrame) -> MergeResult:
        rows = rows.reset_index(drop=True)
        groups = rows.groupby(table.partition).groups if table.partition else {None: rows.index}
        index_of = {self._partition_folder(table, value): index for value, index in groups.items()}
        known = [file for folder in index_of if (file := current_file(folder))]
        status = self._compare(table, rows, known) if known else np.full(len(rows), "added")
        for folder, index in index_of.items():
            fresh = rows.loc[index[status[index] != "unchanged"]]
            if not fresh.empty:
                self._rewrite(table, _to_arrow(table, fresh), folder)
        return MergeResult(status)

    def _compare(self, table: Table, rows: pd.DataFrame, paths: list[Path]) -> np.ndarray:
        """Say of each row whether it is added, changed or unchanged against the files."""
        compared = [name for name in table.columns if name not in {*table.key, *table.ignored}]
        differs = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in compared)
        with self._connect() as connection:
            connection.register("new", _to_arrow(table, rows).append_column("position", [range(len(rows))]))
            compared_rows = connection.execute(
                f"SELECT CASE WHEN old.{table.key[0]} IS NULL THEN 'added' "
                f"WHEN {'FALSE' if table.write_once else differs} THEN 'changed' ELSE 'unchanged' END AS status "
                "FROM new LEFT JOIN read_parquet($paths, hive_partitioning = false) AS old "
                f"ON {' AND '.join(f'old.{name} = new.{name}' for name in table.key)} ORDER BY position",
                {"paths": [_glob_escaped(path) for path in paths]},
            )
            return np.asarray(compared_rows.fetchnumpy()["status"])

    def _rewrite(self, table: Table, fresh: "pa.Table", folder: Path) -> None:
        """Supersede a partition's file by its rows and the fresh ones; a fresh row wins over an old one of its key."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        current = current_file(folder)
        if current:
            with self._connect() as connection:
                connection.register("old", pq.read_table(current, partitioning=None))
                connection.register("fresh", fresh)
                kept = connection.sql(f"SELECT * FROM old ANTI JOIN fresh USING ({', '.join(table.key)})")
                fresh = pa.concat_tables([kept.to_arrow_table().cast(fresh.schema), fresh])
        supersede(folder, fresh.sort_by([(name, "ascending") for name in table.key]))

    def _partition_folder(self, table: Table, value: Any) -> Path:
        folder = self._folder(table)
        return folder / f"{table.partition}={as_date(value)}" if table.partition else folder

    def _current_files(self, table: Table) -> list[Path]:
        folder = self._folder(table)
        folders = sorted(folder.glob(f"{table.partition}=*")) if table.partition else [folder]
        return [file for each in folders if (file := current_file(each))]

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        with self._opening:
            if self._database is None:
                self._database = duckdb.connect(config={"threads": self.threads})
                self._database.execute("SET GLOBAL TimeZone = 'UTC'")
                atexit.register(self.close)
        return self._database.cursor()

    def close(self) -> None:
        """Let go of the engine; the next question opens it again."""
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _folder(self, table: Table) -> Path:
        return self.folder / table.dataset / table.name

    def _source(self, table: Table) -> str:
        files = self._current_files(table)
        if not files:
            typed = ", ".join(f"CAST(NULL AS {_DUCKDB_TYPES[kind]}) AS {name}" for name, kind in table.columns.items())
            return f"SELECT {typed} WHERE FALSE"
        listed = ", ".join("'" + _glob_escaped(path).replace("'", "''") + "'" for path in files)
        pruning = "hive_partitioning = false"
        if table.partition:
            pruning = f"hive_partitioning = true, hive_types = {{'{table.partition}': DATE}}"
        return f"SELECT {', '.join(table.columns)} FROM read_parquet([{listed}], {pruning})"


def _with_source(sql: str, table: Table, source: str) -> str:
    """Read a table's files in the place of its name; an alias that follows the name stays."""
    name = re.escape(table.full_name)
    aliased = re.sub(rf"\b{name}(?= AS )", lambda _: f"({source})", sql)
    return re.sub(rf"\b{name}\b", lambda _: f"({source}) AS {table.name}", aliased)


def _glob_escaped(path: Path) -> str:
    return glob.escape(str(path))


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


def _arrow_schema(table: Table) -> "pa.Schema":
    import pyarrow as pa

    types = {
        "STRING": pa.string(),
        "INT64": pa.int64(),
        "FLOAT64": pa.float32() if table.single_precision else pa.float64(),
        "BOOL": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, types[kind]) for name, kind in table.columns.items()])


def _to_arrow(table: Table, rows: pd.DataFrame) -> "pa.Table":
    import pyarrow as pa

    schema = _arrow_schema(table)
    arrays = [
        pa.nulls(len(rows), each.type)
        if rows[each.name].isna().all()
        else pa.array(rows[each.name], each.type, from_pandas=True)
        for each in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def one_row(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Return the first row as plain Python values, missing ones as None; or None when there is no row."""
    if rows.empty:
        return None
    return {str(name): _plain(rows[name].iloc[0]) for name in rows}


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def frame(table: Table, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return plain rows as a frame with the table's columns; what a row leaves out is null."""
    return pd.DataFrame(list(rows), columns=list(table.columns))
