"""Duration of a scrape of the exporter with a year of Paris: without changes, and right after a daily pass.

The year is made by `scrapes_work`, the exporter is started by `servers`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from bike_assets_tests.bench.children import run_bike, run_child
from bike_assets_tests.bench.figures import Aimed
from bike_assets_tests.bench.servers import Server, started

COUNTERS = "97"
EXPORTER = ["bike_assets.cli", "exporter"]
SCRAPES = 7
AIM_MILLISECONDS = 200.0
MAX_SCRAPE_SECONDS = 60


@dataclass(frozen=True)
class ScrapeFigures:
    """All that was measured, in milliseconds.

    Attributes:
        home: rows by table, runs and sensor ticks of the home that is watched.
        unchanged: scrapes while nothing changes but the ticks.
        after_a_day: the first scrape after the tables of a daily pass changed, one a round.
        resident_mb: of the exporter, at the end.
    """

    home: dict[str, Any]
    unchanged: list[float] = field(default_factory=list)
    after_a_day: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return every single value."""
        return {"label": "synthetic", **vars(self)}


def measure_scrapes(folder: Path, rounds: int, log: Callable[[str], None]) -> ScrapeFigures:
    """Scrape the exporter of a simulated home of 97 counters whose last year is made up of its newest day.

    Args:
        folder: for home and logs.
        rounds: how often a day is added.
        log: writes a line about each step.

    Raises:
        ChildFailedError: the home could not be made.
        ServerFailedError: the exporter did not start.
    """
    home = folder / "watched"
    variables = {"BIKE_HOME": str(home), "BIKE_SOURCE": "simulator", "BIKE_SIMULATOR_COUNTERS": COUNTERS}
    log(f"two days of a simulated home of {COUNTERS} counters are simulated, and a year of copies added: not measured")
    run_bike("replay", "--days", "2", "--home", str(home), variables={**variables, "BIKE_QUICK": "1"}, folder=folder)
    figures = ScrapeFigures(run_child("scrapes_work", ["year"], variables, folder))
    with started(EXPORTER, "/metrics", variables, folder) as exporter:
        for number in range(1, rounds + 1):
            figures.unchanged.extend(_scrape(exporter) for _ in range(SCRAPES))
            run_child("scrapes_work", ["another_day"], variables, folder)
            figures.after_a_day.append(_scrape(exporter))
            figures.resident_mb.append(exporter.resident_mb())
            figures_text = f"{median(figures.unchanged):.0f} ms unchanged, {figures.after_a_day[-1]:.0f} ms after a day"
            log(f"scrapes, round {number}/{rounds}: {figures_text}")
    return figures


def _scrape(exporter: Server) -> float:
    began = time.perf_counter()
    with urlopen(f"{exporter.address}/metrics", timeout=MAX_SCRAPE_SECONDS) as answer:
        text = answer.read().decode()
    milliseconds = (time.perf_counter() - began) * 1000
    unread = [
        line for line in text.splitlines() if line.startswith("bike_exporter_part_readable") and line[-3:] == "0.0"
    ]
    if unread:
        raise RuntimeError(f"the exporter could not read a part: {unread}")
    return milliseconds


def summarise_scrapes(figures: ScrapeFigures) -> list[Aimed]:
    """Return what scrapes take, against the aim."""
    return [
        Aimed("a scrape while nothing changes, ms", median(figures.unchanged), AIM_MILLISECONDS),
        Aimed("the slowest of these, ms", max(figures.unchanged), None),
        Aimed("the first scrape after a day's pass, ms", median(figures.after_a_day), AIM_MILLISECONDS),
        Aimed("the exporter's resident memory, MB", max(figures.resident_mb), None),
    ]
