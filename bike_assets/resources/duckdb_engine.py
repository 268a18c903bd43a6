"""Opens DuckDB for every module that uses it: in memory, in UTC, and without network access.

Queries belong to `warehouse`, `partition_merge` and `bigquery_values`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

NO_DOWNLOADS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""By default DuckDB downloads missing extensions. Our queries need only the built-in ones."""


def open_engine(threads: int) -> "duckdb.DuckDBPyConnection":
    """Open an empty database in memory that shows times in UTC.

    Args:
        threads: number of threads that a query may use.
    """
    import duckdb

    engine = duckdb.connect(config={"threads": threads, **NO_DOWNLOADS})
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    return engine
