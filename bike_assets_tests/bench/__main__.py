"""The command line of the benchmark: options, and the order of measuring, showing and writing."""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from bike_assets_tests.bench.children import ROOT
from bike_assets_tests.bench.counts import find_counts
from bike_assets_tests.bench.families import measure_families, measure_large_retrain, summarise_families
from bike_assets_tests.bench.figures import summarise, summarise_backfill
from bike_assets_tests.bench.machine import machine_facts
from bike_assets_tests.bench.measurements import measure_all
from bike_assets_tests.bench.portal import measure_backfill
from bike_assets_tests.bench.report import print_tables, write_json


def main() -> None:
    """Measure everything, print the tables and write the JSON; only a failed run is an error, slowness never is."""
    options = _options()
    console = Console(highlight=False)
    counts, machine = find_counts(), machine_facts()
    if counts.remark:
        console.print(f"[bold yellow]{counts.remark}[/]")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="homes-", dir=options.output.parent) as folder:
        backfill = measure_backfill(Path(folder).absolute(), options.repeats, console.print)
        measured = measure_all(counts, Path(folder).absolute(), options.repeats, console.print)
        families = measure_families(counts, Path(folder).absolute(), console.print)
        retrain_peak = measure_large_retrain(Path(folder).absolute(), console.print)
    summary = [
        *summarise(measured.measurements),
        *summarise_backfill(backfill),
        *summarise_families(families, retrain_peak),
    ]
    print_tables(console, counts, measured, backfill, families, machine, summary)
    write_json(options.output, counts, measured, backfill, families, machine, summary)
    console.print(f"Written to {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bike_assets_tests.bench", description=__doc__)
    parser.add_argument("--repeats", type=_at_least_one, default=3, help="how often each part is measured (default: 3)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".bench" / "bench.json", help="the JSON file (default: .bench/bench.json)"
    )
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be at least 1")
    return number


if __name__ == "__main__":
    main()
