"""One partition's files: numbered, written under a temporary name and renamed, never replaced under their own name.

DuckDB opens a path more than once and would mix old and new; so each change is the next number, and readers take the
highest. A superseded file stays for a minute, for those who are reading it. What rows mean belongs to the warehouse.
"""

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_FOR_READERS_SECONDS = 60


def current_file(folder: Path) -> Path | None:
    """Return the file that holds a partition now, or None."""
    return max(folder.glob("rows-*.parquet"), key=_number, default=None)


def supersede(folder: Path, rows: "pa.Table") -> None:
    """Make rows the content of a partition: readers see all of them or none."""
    import pyarrow.parquet as pq

    current = current_file(folder)
    path = folder / f"rows-{_number(current) + 1 if current else 1:06d}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        pq.write_table(rows, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _remove_superseded(folder)


def _number(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def _remove_superseded(folder: Path) -> None:
    """Remove files that were superseded long enough ago: a reader that began before that has them open or is done."""
    files = sorted(folder.glob("rows-*.parquet"), key=_number)
    for old, successor in itertools.pairwise(files):
        if time.time() - successor.stat().st_mtime > KEPT_FOR_READERS_SECONDS:
            old.unlink(missing_ok=True)
