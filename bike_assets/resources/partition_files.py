"""The numbered files of one partition: each is written under a temporary name, renamed, and never overwritten.

DuckDB opens a path more than once and would mix old and new content. So each change writes the next number, and
readers take the highest. A superseded file stays for at least a minute, for its readers. What rows mean belongs to
`core.schemas`.
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
    """Return the current file of a partition, or None."""
    return max(folder.glob("rows-*.parquet"), key=_number, default=None)


def supersede(folder: Path, rows: "pa.Table") -> None:
    """Replace the content of a partition atomically: readers see the old rows or the new ones."""
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
    """Remove files that were superseded more than a minute ago: their readers have opened them or are done."""
    files = sorted(folder.glob("rows-*.parquet"), key=_number)
    for old, successor in itertools.pairwise(files):
        if time.time() - successor.stat().st_mtime > KEPT_FOR_READERS_SECONDS:
            old.unlink(missing_ok=True)
