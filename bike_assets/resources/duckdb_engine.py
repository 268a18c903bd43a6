"""How DuckDB is opened, wherever it is used: in memory, in UTC, and without a connection to anywhere.

What it is asked belongs to the warehouse and its neighbours.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

NO_DOWNLOADS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""DuckDB would download an extension that a query needs; ours need only those inside the package."""


def open_engine(threads: int) -> "duckdb.DuckDBPyConnection":
    """Open an empty database in memory that shows times in UTC.

    Args:
        threads: how many threads a query may use.
    """
    import duckdb

    engine = duckdb.connect(config={"threads": threads, **NO_DOWNLOADS})
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    return engine
