"""Thirteen months from a portal on this machine, against a bare DuckDB that reads the same export.

The portal is `bike simulator` in a process of its own. What the children do is in `portal_work`.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bike_assets_tests.bench.children import ROOT, Sample, environment, measure_child, run_child
from bike_assets_tests.bench.figures import BARE_DUCKDB, PORTAL_INGESTION, PORTAL_RUN, Measurement
from bike_assets_tests.bench.portal_work import COUNTERS, FIRST, LAST

BIKE = [sys.executable, "-m", "bike_assets.cli"]


def measure_backfill(folder: Path, repeats: int, log: Callable[[str], None]) -> list[Measurement]:
    """Measure the bare DuckDB, our ingestion, and the Dagster run around it, in turns.

    Raises:
        ChildFailedError: a part failed.
        RuntimeError: the parts did not do the same work, or the portal did not start.
    """
    export = folder / "portal-export.parquet"
    rows = run_child("portal_work", ["make-export", str(export)], {}, folder)["rows"]
    days = (LAST - FIRST).days + 1
    samples: dict[str, list[Sample]] = {BARE_DUCKDB: [], PORTAL_INGESTION: [], PORTAL_RUN: []}
    with _portal(export) as url:
        for number in range(1, repeats + 1):
            for name, taken in samples.items():
                home = folder / name
                shutil.rmtree(home, ignore_errors=True)
                taken.append(_sample(name, export, home, url, folder))
                log(f"{name} {number}/{repeats}: {taken[-1].run_seconds:.2f} s, {taken[-1].peak_mib:.0f} MiB")
                if len(list(home.rglob("day=*/*.parquet"))) != days:
                    raise RuntimeError(f"{name} did not write the {days} days")
    titles = {
        BARE_DUCKDB: f"bare DuckDB, {rows:,} rows of {COUNTERS} counters",
        PORTAL_INGESTION: "the same from the portal",
        PORTAL_RUN: "the same as a Dagster run",
    }
    return [Measurement(name, titles[name], tuple(taken)) for name, taken in samples.items()]


def _sample(name: str, export: Path, home: Path, url: str, folder: Path) -> Sample:
    variables = {
        "BIKE_HOME": str(home),
        "BIKE_SOURCE": "paris",
        "BIKE_PORTAL_URL": url,
        "BIKE_HISTORY_MONTHS": "13",
    }
    if name == BARE_DUCKDB:
        return measure_child("portal_work", ["bare", str(export), str(home)], {}, folder)
    if name == PORTAL_INGESTION:
        return measure_child("portal_work", ["ingest"], variables, folder)
    return measure_child("work", ["next-step", "raw_counts", LAST.isoformat()], variables, folder)


@contextmanager
def _portal(export: Path) -> Iterator[str]:
    """Replay the export on a free port, on the day after its last; it ends with the body."""
    clock = f"{LAST + timedelta(days=1)}T09:00"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bike_assets.cli",
            "simulator",
            "--port",
            "0",
            "--counts",
            str(export),
            "--clock",
            clock,
        ],
        env=environment({"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        words = process.stdout.readline().split() if process.stdout else []
        url = next((word for word in words if word.startswith("http://")), None)
        if url is None:
            raise RuntimeError(f"the simulated portal did not start: {' '.join(words)}")
        yield url
    finally:
        process.terminate()
        process.wait(20)
