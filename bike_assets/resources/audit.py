"""Appends audit rows with their origin: run, time, code, thresholds and data. A run never replaces another run's rows.

What is audited, and what the columns mean, belongs to the assets and to `core.schemas`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from bike_assets.core.schemas import Table
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

PACKAGE = Path(__file__).parent.parent


def append(
    warehouse: Warehouse,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    run_id: str,
    settings: Settings,
    data_versions: Mapping[str, str],
) -> None:
    """Append rows to an audit table.

    Args:
        warehouse: where the table is.
        table: an audit table, which has the columns of the origin.
        rows: plain rows without these columns; a column that a row lacks is null.
        run_id: the Dagster run; a step that is retried within its run replaces its rows.
        settings: the settings in force.
        data_versions: digests of the data behind the figures, by name.
    """
    origin = {
        "recorded_at": datetime.now(UTC),
        "run_id": run_id,
        "code_version": code_version(),
        "thresholds": json.dumps(settings.thresholds),
        "data_versions": json.dumps(data_versions),
    }
    warehouse.merge(table, frame(table, [{**row, **origin} for row in rows]))


@cache
def code_version() -> str:
    """Return the release and a digest of the source files, so that an unreleased change shows too."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{version('bike-assets')}+{digest.hexdigest()[:12]}"


def rows_digest(rows: pd.DataFrame) -> str:
    """Return a digest of rows; it depends on their order."""
    return hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()).hexdigest()[:16]
