"""The parts of a pass in a simulated city of Paris's size, and in one of ten times as many counters.

A training reads a bounded number of rows (BIKE_TRAINING_ROWS) and is quick in both: its memory is reported, and
everything else is compared with the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bike_assets_tests.bench.figures import BACKFILL, DAILY_WITH_DRIFT, FEATURES, TRAINING, Aimed
from bike_assets_tests.bench.measurements import Measured, measure_all

PARIS, TENFOLD = 97, 970
"""Thirteen months of so many simulated counters are about 0.9 and 9 million counts."""
AIM_PEAK_MIB = 4096.0
COMPARED = (BACKFILL, FEATURES, DAILY_WITH_DRIFT)


@dataclass(frozen=True)
class Scale:
    """Both sizes, the smaller one first."""

    sizes: tuple[Measured, Measured]

    @property
    def rows_ratio(self) -> float:
        """How many times as many counts the larger one has."""
        one, ten = self.sizes
        return ten.rows / one.rows

    def growth(self, part: str, figure: str) -> float:
        """Return how many times as much a part takes in the larger city."""
        one, ten = (_named(size, part).median(figure) for size in self.sizes)
        return ten / one

    def as_json(self) -> list[dict[str, Any]]:
        """Return every value of both."""
        return [{"rows": size.rows, "parts": [each.as_json() for each in size.measurements]} for size in self.sizes]


def measure_scale(folder: Path, log: Callable[[str], None]) -> Scale:
    """Measure each part once, at both sizes: the larger one takes many minutes.

    Raises:
        ChildFailedError: a run failed.
    """
    sizes = []
    for counters in (PARIS, TENFOLD):
        home = folder / f"scale-{counters}"
        home.mkdir()
        environment = {"BIKE_SOURCE": "simulator", "BIKE_SIMULATOR_COUNTERS": str(counters), "BIKE_QUICK": "1"}
        log(f"a simulated city of {counters} counters")
        sizes.append(measure_all(environment, home, 1, log))
    return Scale((sizes[0], sizes[1]))


def summarise_scale(scale: Scale) -> list[Aimed]:
    """Return the growth of each part beside that of the rows, and the peak at ten times the size."""
    found = [Aimed("ten times Paris / Paris, rows", scale.rows_ratio, None)]
    for part in COMPARED:
        for figure, what in (("run_seconds", "run"), ("cpu_seconds", "CPU")):
            name = f"ten times Paris / Paris, {part}, {what}"
            found.append(Aimed(name, scale.growth(part, figure), round(scale.rows_ratio, 2)))
        peak = _named(scale.sizes[1], part).peak_mib
        found.append(Aimed(f"ten times Paris, {part}, peak MiB", peak, AIM_PEAK_MIB))
    found.append(Aimed(f"ten times Paris, {TRAINING}, peak MiB", _named(scale.sizes[1], TRAINING).peak_mib, None))
    return found


def _named(size: Measured, part: str) -> Any:
    return next(each for each in size.measurements if each.name == part)
