"""What samples amount to: medians, ratios to the empty run, and the aims that they are held against. No measuring."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from bike_assets_tests.bench.children import Sample

BACKFILL, FEATURES, TRAINING = "backfill", "features", "training"
DAILY_WITHOUT_DRIFT, DAILY_WITH_DRIFT, EMPTY = "daily_without_drift", "daily_with_drift", "empty_run"
BARE_DUCKDB, PORTAL_INGESTION, PORTAL_RUN = "bare_duckdb", "portal_ingestion", "portal_run"
AIM_RATIO = 3.0
AIM_INGESTION_PEAK_MIB = 1024.0
AIM_PEAK_MIB = 2048.0


@dataclass(frozen=True)
class Measurement:
    """The samples of one part.

    Attributes:
        name: its name in the JSON.
        title: what it is, for people.
        samples: one a repeat, in order.
    """

    name: str
    title: str
    samples: tuple[Sample, ...]

    def median(self, figure: str) -> float:
        """Return the median of one figure of the samples."""
        return median(self.values(figure))

    def values(self, figure: str) -> list[float]:
        """Return one figure of all samples."""
        return [float(getattr(sample, figure)) for sample in self.samples]

    @property
    def peak_mib(self) -> float:
        """The largest peak of any sample, in MiB."""
        return max(self.values("peak_mib"))

    def as_json(self) -> dict[str, Any]:
        """Return median and single values of every figure."""
        figures = {
            figure: {
                "median": round(self.median(figure), 3),
                "values": [round(each, 3) for each in self.values(figure)],
            }
            for figure in ("seconds", "run_seconds", "cpu_seconds", "peak_mib")
        }
        return {"name": self.name, "title": self.title, **figures}


@dataclass(frozen=True)
class Aimed:
    """A figure and the aim that it is held against; a missed aim is reported, never an error.

    Attributes:
        name: what it is.
        value: the figure.
        aim: the largest value that meets the aim; None where the figure only informs.
        at_least: whether the aim is the smallest value instead.
    """

    name: str
    value: float
    aim: float | None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    @property
    def sign(self) -> str:
        """How the value has to stand to the aim."""
        return "≥" if self.at_least else "≤"

    def as_json(self) -> dict[str, Any]:
        """Return figure, aim and verdict."""
        values = {"name": self.name, "value": round(self.value, 3), "aim": self.aim, "met": self.met}
        return {**values, "at_least": True} if self.at_least else values


def summarise(measurements: list[Measurement]) -> list[Aimed]:
    """Return the ratios to the empty run, by whole process (which has an aim) and by run alone, and the peak."""
    by_name = {each.name: each for each in measurements}
    empty, ratios = by_name[EMPTY], []
    for figure, what, aim in (("seconds", "whole process", AIM_RATIO), ("run_seconds", "run alone", None)):
        for name in (DAILY_WITHOUT_DRIFT, DAILY_WITH_DRIFT):
            ratio = by_name[name].median(figure) / empty.median(figure)
            ratios.append(Aimed(f"{name} / {EMPTY}, {what}", ratio, aim))
    return [*ratios, Aimed("largest peak memory, MiB", max(each.peak_mib for each in measurements), AIM_PEAK_MIB)]


def summarise_backfill(measurements: list[Measurement]) -> list[Aimed]:
    """Return how often the bare DuckDB's time the portal's counts take, without imports, and the peak."""
    by_name = {each.name: each for each in measurements}
    bare = by_name[BARE_DUCKDB].median("run_seconds")
    return [
        Aimed(f"{PORTAL_INGESTION} / {BARE_DUCKDB}", by_name[PORTAL_INGESTION].median("run_seconds") / bare, AIM_RATIO),
        Aimed(f"{PORTAL_RUN} / {BARE_DUCKDB}", by_name[PORTAL_RUN].median("run_seconds") / bare, None),
        Aimed("backfill's peak memory, MiB", by_name[PORTAL_RUN].peak_mib, AIM_INGESTION_PEAK_MIB),
    ]
