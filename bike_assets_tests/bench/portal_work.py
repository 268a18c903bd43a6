"""The child of the portal backfill: makes the export, reads it with a bare DuckDB, or ingests it from the portal.

Run as `python -m bike_assets_tests.bench.portal_work <part> ... <answer>`. A part imports what it needs before its time
is taken. The counts are synthetic: thirteen months of as many counters as Paris has.
"""

import argparse
import json
import time
from datetime import date
from pathlib import Path
from typing import Any

COUNTERS, SEED = 97, 5
FIRST, LAST = date(2025, 6, 1), date(2026, 6, 30)
ZONE = "Europe/Paris"


def make_export(options: argparse.Namespace) -> dict[str, Any]:
    """Write thirteen months of counts as the portal exports them."""
    from bike_assets.core.simulation import SimulatedCity
    from bike_assets.settings import load_settings

    rows = SimulatedCity(SEED, options.counters, ZONE, "FR").counts(FIRST, LAST)
    rows["coordinates"] = rows["latitude"].astype(str) + "," + rows["longitude"].astype(str)
    fields = load_settings().portal_fields.by_column
    rows[list(fields)].rename(columns=fields).to_parquet(options.export)
    return {"rows": len(rows)}


def bare(options: argparse.Namespace) -> dict[str, Any]:
    """Read the export with DuckDB and write one Parquet file a local day, and nothing else."""
    import duckdb

    began = time.perf_counter()
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(
        f"COPY (SELECT *, CAST(date AT TIME ZONE '{ZONE}' AS DATE) AS day FROM '{options.export}') "
        f"TO '{options.folder}' (FORMAT parquet, PARTITION_BY (day), COMPRESSION zstd)"
    )
    seconds = time.perf_counter() - began
    return {"run_seconds": seconds, "files": len(list(options.folder.rglob("*.parquet")))}


def ingest(options: argparse.Namespace) -> dict[str, Any]:
    """Ingest all days from the portal into an empty warehouse, without Dagster."""
    import duckdb  # noqa: F401
    import pandera.pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sqlglot  # noqa: F401

    from bike_assets.core.splits import Span
    from bike_assets.ingestion.counts import Ingestion
    from bike_assets.resources.counts_source import open_source
    from bike_assets.resources.home_source import claim_home
    from bike_assets.resources.warehouse import LocalWarehouse
    from bike_assets.settings import load_settings

    settings = load_settings()
    home = claim_home(settings)
    warehouse = LocalWarehouse(home.warehouse, settings.threads)
    began = time.perf_counter()
    ingestion = Ingestion(
        open_source(home, settings), warehouse, settings.published_form, settings.outlier_rule, "bench"
    )
    audit = ingestion.ingest(Span(FIRST, LAST))
    seconds = time.perf_counter() - began
    return {"run_seconds": seconds, "rows": int(audit["rows_kept"].sum())}


def main() -> None:
    """Do the part that the command line names."""
    options = _parser().parse_args()
    options.answer.write_text(json.dumps(options.part(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(required=True)
    for name, does, paths in (
        ("make-export", make_export, ["export"]),
        ("bare", bare, ["export", "folder"]),
        ("ingest", ingest, []),
    ):
        part = parts.add_parser(name)
        if does is make_export:
            part.add_argument("--counters", type=int, default=COUNTERS)
        for path in (*paths, "answer"):
            part.add_argument(path, type=Path)
        part.set_defaults(part=does)
    return parser


if __name__ == "__main__":
    main()
