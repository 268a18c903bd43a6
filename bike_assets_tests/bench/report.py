"""How figures are shown and written. What they are is in `figures`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bike_assets_tests.bench.families import FamilyFigures
from bike_assets_tests.bench.figures import Aimed, Measurement
from bike_assets_tests.bench.results import Results
from bike_assets_tests.bench.serving import CLIENTS, EMPTY_ROUTE, NOTE, Case, ServingFigures, load_title
from bike_assets_tests.bench.serving_work import API, CHAMPION, MLFLOW, RECORDS

BACKFILL_LABEL = "synthetic"
VERDICTS = {None: "", True: "[green]met[/]", False: "[yellow]not met[/]"}


def print_tables(console: Console, results: Results) -> None:
    """Print machine, figures, and aims."""
    machine, counts = results.machine, results.counts
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    console.print(
        f"\n{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load {machine['load_at_start']} at the start"
    )
    console.print(f"[dim]{versions}[/]")
    if results.uses_counts:
        console.print(f"Counts: [bold]{counts.label}[/], {counts.file.name if counts.file else 'the simulator'}\n")
    if results.passes:
        console.print(_figures(results.passes.measurements, counts.label))
    if results.backfill:
        console.print(_figures(results.backfill, BACKFILL_LABEL))
    for size in results.scale.sizes if results.scale else ():
        console.print(_figures(size.measurements, f"{size.rows:,} {BACKFILL_LABEL}"))
    for each in results.families:
        console.print(_families(each))
    if results.serving:
        for table in _serving(results.serving):
            console.print(table)
        console.print(NOTE + "\n", markup=False)
    console.print(_aims(results.summary))


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


def _serving(figures: ServingFigures) -> Iterator[Table]:
    """One table for each number of records and of clients, and one for the processes."""
    for records in RECORDS:
        for clients in CLIENTS:
            yield _loads(figures, records, clients)
    table = Table(
        title="Serving processes: median seconds from start to ready, largest resident memory",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("server", no_wrap=True)
    for heading in ("ready, s", "MB when ready", "MB after load"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ready, each", no_wrap=True)
    for name, starts in sorted(figures.starts.items()):
        seconds = [each.start_seconds for each in starts]
        memory = [max(getattr(each, figure) for each in starts) for figure in ("ready_mb", "loaded_mb")]
        single = "  ".join(f"{value:.2f}" for value in seconds)
        table.add_row(name, f"{median(seconds):.2f}", *(f"{value:.0f}" for value in memory), single)
    yield table


def _loads(figures: ServingFigures, records: int, clients: int) -> Table:
    table = Table(
        title=f"POST /predict, {load_title(records, clients)}, medians; "
        f"{figures.counters} {figures.label} counters, champion: {figures.champion}",
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("server, model", no_wrap=True)
    for heading in ("a second", "p50 ms", "p99 ms", "/ mlflow", "/ empty"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("a second, each", no_wrap=True)
    models = [case.model for case in figures.of_api(records, clients) if case.model != CHAMPION]
    rows = [(EMPTY_ROUTE, ""), (API, CHAMPION), *((API, model) for model in models)]
    for server, model in [*rows, *((MLFLOW, model) for model in models)]:
        case, ratios = Case(server, model, records, clients), ("", "")
        cells = [f"{figures.rate(case):,.0f}", *(f"{figures.median(case, name):.2f}" for name in ("p50_ms", "p99_ms"))]
        if server != MLFLOW:
            ratios = (f"{figures.ratio_to_mlflow(case):.1f}", f"{figures.share_of_empty_route(case):.2f}")
        single = "  ".join(f"{each.requests_per_second:,.0f}" for each in figures.loads[case])
        table.add_row(case.title, *cells, *ratios, single)
    return table


def _aims(summary: list[Aimed]) -> Table:
    table = Table(title="Against the aims", title_justify="left", box=box.SIMPLE)
    table.add_column("figure", no_wrap=True)
    for heading in ("value", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for each in summary:
        aim = "" if each.aim is None else f"{each.sign} {each.aim:g}"
        table.add_row(each.name, f"{each.value:.2f}", aim, VERDICTS[each.met])
    return table


def write_json(path: Path, results: Results) -> None:
    """Write everything that was measured; the export is named without its folder."""
    counts = results.counts
    values: dict[str, Any] = {"machine": results.machine}
    if results.uses_counts:
        values["counts"] = {"label": counts.label, "file": counts.file.name if counts.file else None}
    if results.passes:
        values["counts"] |= {
            "first_day": results.passes.first_day.isoformat(),
            "day_of_daily_pass": results.passes.day.isoformat(),
        }
        values["measurements"] = [{"label": counts.label, **each.as_json()} for each in results.passes.measurements]
    if results.backfill:
        values["backfill"] = [{"label": BACKFILL_LABEL, **each.as_json()} for each in results.backfill]
    if results.families:
        values["families"] = [asdict(each) for each in results.families]
    if results.serving:
        values["serving"] = results.serving.as_json()
    if results.scrapes:
        values["watching"] = results.scrapes.as_json()
    if results.scale:
        values["scale"] = results.scale.as_json()
    values["aims"] = [each.as_json() for each in results.summary]
    path.write_text(json.dumps(values, indent=2) + "\n")
