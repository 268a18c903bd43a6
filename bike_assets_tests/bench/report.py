"""How figures are shown and written. What they are is in `figures`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bike_assets_tests.bench.counts import Counts
from bike_assets_tests.bench.families import FamilyFigures
from bike_assets_tests.bench.figures import Aimed, Measurement
from bike_assets_tests.bench.measurements import Measured

BACKFILL_LABEL = "synthetic"
VERDICTS = {None: "", True: "[green]met[/]", False: "[yellow]not met[/]"}


def print_tables(
    console: Console,
    counts: Counts,
    measured: Measured,
    backfill: list[Measurement],
    families: list[FamilyFigures],
    machine: dict[str, Any],
    summary: list[Aimed],
) -> None:
    """Print machine, figures, and aims."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    console.print(
        f"\n{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load {machine['load_at_start']} at the start"
    )
    console.print(f"[dim]{versions}[/]")
    console.print(f"Counts: [bold]{counts.label}[/], {counts.file.name if counts.file else 'the simulator'}\n")
    console.print(_figures(measured.measurements, counts.label))
    console.print(_figures(backfill, BACKFILL_LABEL))
    for each in families:
        console.print(_families(each))
    console.print(_aims(summary))


def _figures(measurements: list[Measurement], label: str) -> Table:
    table = Table(
        title=f"Median seconds and peak memory, each part in a process of its own, on {label} counts",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("part", no_wrap=True)
    for heading in ("process", "run", "CPU", "MiB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("process, each", no_wrap=True)
    for each in measurements:
        seconds = [f"{each.median(figure):.2f}" for figure in ("seconds", "run_seconds", "cpu_seconds")]
        single = "  ".join(f"{value:.2f}" for value in each.values("seconds"))
        table.add_row(each.title, *seconds, f"{each.peak_mib:.0f}", single)
    return table


def _families(figures: FamilyFigures) -> Table:
    table = Table(
        title=f"Models on {figures.counts:,} {figures.label} counts, each in a process of its own, one fit",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("model", no_wrap=True)
    for heading in ("fit, CPU s", "fit, s", "peak MiB", "file MiB", "rows a second", "RMSE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in figures.fitted:
        seconds = (f"{each.fit_cpu_seconds:.1f}", f"{each.fit_seconds:.1f}", f"{each.peak_mib:.0f}")
        table.add_row(each.name, *seconds, f"{each.model_mib:.2f}", f"{each.rows_per_second:,.0f}", f"{each.rmse:.2f}")
    return table


def _aims(summary: list[Aimed]) -> Table:
    table = Table(title="Against the aims", title_justify="left", box=box.SIMPLE)
    table.add_column("figure", no_wrap=True)
    for heading in ("value", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for each in summary:
        table.add_row(each.name, f"{each.value:.2f}", "" if each.aim is None else f"≤ {each.aim:g}", VERDICTS[each.met])
    return table


def write_json(
    path: Path,
    counts: Counts,
    measured: Measured,
    backfill: list[Measurement],
    families: list[FamilyFigures],
    machine: dict[str, Any],
    summary: list[Aimed],
) -> None:
    """Write everything; the export is named without its folder."""
    values = {
        "machine": machine,
        "counts": {
            "label": counts.label,
            "file": counts.file.name if counts.file else None,
            "first_day": measured.first_day.isoformat(),
            "day_of_daily_pass": measured.day.isoformat(),
        },
        "measurements": [{"label": counts.label, **each.as_json()} for each in measured.measurements],
        "backfill": [{"label": BACKFILL_LABEL, **each.as_json()} for each in backfill],
        "families": [asdict(each) for each in families],
        "aims": [each.as_json() for each in summary],
    }
    path.write_text(json.dumps(values, indent=2) + "\n")
