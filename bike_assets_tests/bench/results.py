"""Everything that a benchmark found, part by part; a part that was left out is empty. Showing it is `report`'s."""

from dataclasses import dataclass, field
from typing import Any

from bike_assets_tests.bench.counts import Counts
from bike_assets_tests.bench.families import FamilyFigures, summarise_families
from bike_assets_tests.bench.figures import Aimed, Measurement, summarise, summarise_backfill
from bike_assets_tests.bench.measurements import Measured
from bike_assets_tests.bench.scale import Scale, summarise_scale
from bike_assets_tests.bench.scrapes import ScrapeFigures, summarise_scrapes
from bike_assets_tests.bench.serving import ServingFigures, summarise_serving


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        counts: what the passes and the families were measured on.
        machine: facts on machine and software.
        backfill: ingestion from a portal, and what it is held against.
        passes: the parts of a pass.
        families: the models.
        retrain_peak_mib: of a large home.
        serving: the API, and what it is held against.
        scrapes: scrapes of the exporter.
        scale: the parts of a pass, at a city's size and at ten times that.
    """

    counts: Counts
    machine: dict[str, Any]
    backfill: list[Measurement] = field(default_factory=list)
    passes: Measured | None = None
    families: list[FamilyFigures] = field(default_factory=list)
    retrain_peak_mib: float = 0.0
    serving: ServingFigures | None = None
    scrapes: ScrapeFigures | None = None
    scale: Scale | None = None

    @property
    def uses_counts(self) -> bool:
        """Whether any part was measured on the counts."""
        return bool(self.passes or self.families)

    @property
    def summary(self) -> list[Aimed]:
        """Figures and aims of every part that was measured."""
        return [
            *(summarise(self.passes.measurements) if self.passes else []),
            *(summarise_backfill(self.backfill) if self.backfill else []),
            *(summarise_families(self.families, self.retrain_peak_mib) if self.families else []),
            *(summarise_serving(self.serving) if self.serving else []),
            *(summarise_scrapes(self.scrapes) if self.scrapes else []),
            *(summarise_scale(self.scale) if self.scale else []),
        ]
