"""The command line of the benchmark: options, and the order of measuring, showing and writing."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bike_assets_tests.bench.children import ROOT
from bike_assets_tests.bench.counts import find_counts
from bike_assets_tests.bench.families import measure_families, measure_large_retrain
from bike_assets_tests.bench.load import find_wrk
from bike_assets_tests.bench.machine import machine_facts
from bike_assets_tests.bench.measurements import measure_all
from bike_assets_tests.bench.portal import measure_backfill
from bike_assets_tests.bench.report import print_tables, write_json
from bike_assets_tests.bench.results import Results
from bike_assets_tests.bench.scale import measure_scale
from bike_assets_tests.bench.scrapes import measure_scrapes
from bike_assets_tests.bench.serving import NO_WRK, measure_serving

BACKFILL, PASSES, FAMILIES, SERVING, SCRAPES, SCALE = PARTS = (
    "backfill",
    "passes",
    "families",
    "serving",
    "watching",
    "scale",
)
SHOWN_WIDTH = 120
"""Width of the tables without a terminal."""


def main() -> None:
    """Measure everything, print the tables and write the JSON; only a failed run is an error, slowness never is."""
    options = _options()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, SHOWN_WIDTH)
    parts = options.only or PARTS
    output = options.output or ROOT / ".bench" / f"{'-'.join(options.only or ['bench'])}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="homes-", dir=output.parent) as folder:
        results = _measure(parts, options, Path(folder).absolute(), console.print)
    print_tables(console, results)
    write_json(output, results)
    console.print(f"Written to {output}")


def _measure(parts: list[str], options: argparse.Namespace, folder: Path, log: Callable[[str], None]) -> Results:
    counts, wrk = find_counts(), find_wrk()
    found: dict[str, Any] = {"counts": counts, "machine": machine_facts()}
    if counts.remark and {PASSES, FAMILIES} & set(parts):
        log(f"[bold yellow]{counts.remark}[/]")
    if SERVING in parts and wrk is None:
        log(f"[bold yellow]{NO_WRK}[/]")
    if BACKFILL in parts:
        found["backfill"] = measure_backfill(folder, options.repeats, log)
    if PASSES in parts:
        found["passes"] = measure_all(counts.environment, folder, options.repeats, log)
    if FAMILIES in parts:
        found["families"] = measure_families(counts, folder, log)
        found["retrain_peak_mib"] = measure_large_retrain(folder, log)
    if SERVING in parts and wrk is not None:
        found["serving"] = measure_serving(wrk, options.home, folder, options.repeats, log)
    if SCRAPES in parts:
        found["scrapes"] = measure_scrapes(folder, options.repeats, log)
    if SCALE in parts:
        found["scale"] = measure_scale(folder, log)
    return Results(**found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bike_assets_tests.bench", description=__doc__)
    parser.add_argument("--repeats", type=_at_least_one, default=3, help="samples of each part (default: 3)")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only this part; can be repeated")
    parser.add_argument(
        "--home", type=_existing_folder, help="a home after its first pass, to serve (default: a new simulated home)"
    )
    parser.add_argument(
        "--output", type=Path, help="the JSON file (default: .bench/bench.json, or named after the parts of --only)"
    )
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be at least 1")
    return number


def _existing_folder(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError("is not a folder")
    return path


if __name__ == "__main__":
    main()
