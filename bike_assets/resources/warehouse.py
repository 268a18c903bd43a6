"""The warehouse: tables in, SQL out. What the tables mean belongs to `core.schemas` and the assets.

The embedded engine keeps every partition as one Parquet file that is written under a temporary name and renamed, and
reads them with an in-memory DuckDB, so that several processes read and write at once without a server.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from bike_assets.core.local_time import as_date
from bike_assets.core.schemas import TABLES, Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LOCK_TIMEOUT_SECONDS = 60


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

    def merge(self, table: Table, rows: pd.DataFrame) -> MergeResult:
        """Merge rows partition by partition; each partition changes at once or not at all.

        Raises:
            ValueError: columns are missing, or two rows share a key.
        """
        missing = set(table.columns) - set(rows.columns)
        if missing:
            raise ValueError(f"{table.full_name}: columns missing: {', '.join(sorted(missing))}")
        if rows.duplicated(list(table.key)).any():
            raise ValueError(f"{table.full_name}: two rows share a key ({', '.join(table.key)})")
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
        with self._connect() as connection:
            for table in TABLES:
                if table.full_name in sql:
                    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{table.dataset}"')
                    connection.execute(f"CREATE VIEW {table.full_name} AS {self._source(table)}")
            return connection.execute(_duckdb_sql(sql), parameters or None).df()

    def _merge_files(self, table: Table, rows: pd.DataFrame) -> MergeResult:
        rows = rows.reset_index(drop=True)
        groups = rows.groupby(table.partition).groups if table.partition else {None: rows.index}
        index_of = {self._path(table, value): index for value, index in groups.items()}
        known = [path for path in index_of if path.exists()]
        status = self._compare(table, rows, known) if known else np.full(len(rows), "added")
        for path, index in index_of.items():
            fresh = rows.loc[index[status[index] != "unchanged"]]
            if not fresh.empty:
                self._rewrite(table, _to_arrow(table, fresh), path)
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
                {"paths": [str(path) for path in paths]},
            )
            return np.asarray(compared_rows.fetchnumpy()["status"])

    def _rewrite(self, table: Table, fresh: "pa.Table", path: Path) -> None:
        """Replace one file by its rows and the fresh ones; a fresh row wins over an old one of the same key."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if path.exists():
            with self._connect() as connection:
                connection.register("old", pq.read_table(path, partitioning=None))
                connection.register("fresh", fresh)
                kept = connection.sql(f"SELECT * FROM old ANTI JOIN fresh USING ({', '.join(table.key)})")
                fresh = pa.concat_tables([kept.to_arrow_table().cast(fresh.schema), fresh])
        _write(fresh.sort_by([(name, "ascending") for name in table.key]), path)

    def _path(self, table: Table, value: Any) -> Path:
        folder = self._folder(table)
        return (folder / f"{table.partition}={as_date(value)}" if table.partition else folder) / "rows.parquet"

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect(config={"threads": self.threads})
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _folder(self, table: Table) -> Path:
        return self.folder / table.dataset / table.name

    def _source(self, table: Table) -> str:
        folder = self._folder(table)
        columns = ", ".join(table.columns)
        if table.partition is None:
            if (folder / "rows.parquet").exists():
                return f"SELECT {columns} FROM read_parquet('{folder}/rows.parquet')"
        elif any(folder.glob("*/rows.parquet")):
            return (
                f"SELECT {columns} FROM read_parquet('{folder}/*/rows.parquet', hive_partitioning = true, "
                f"hive_types = {{'{table.partition}': DATE}})"
            )
        typed = ", ".join(f"CAST(NULL AS {_DUCKDB_TYPES[kind]}) AS {name}" for name, kind in table.columns.items())
        return f"SELECT {typed} WHERE FALSE"


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

    return pa.Table.from_pandas(rows[list(table.columns)], schema=_arrow_schema(table), preserve_index=False)


def _write(rows: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        pq.write_table(rows, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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
