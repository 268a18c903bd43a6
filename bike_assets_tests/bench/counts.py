"""Which counts are measured on: a real export where there is one, else the simulator, with a remark about it."""

import os
from dataclasses import dataclass
from pathlib import Path

from bike_assets_tests.bench.children import ROOT

DEFAULT_EXPORT = ROOT.parent / "shared" / "data" / "paris_counts_2020-09_2021-06.parquet"


@dataclass(frozen=True)
class Counts:
    """The counts of a benchmark.

    Attributes:
        label: "real" or "synthetic", shown beside every figure.
        file: the export; None for the simulator.
        remark: a note about the choice; empty if it is the expected one.
    """

    label: str
    file: Path | None
    remark: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings that name these counts."""
        if self.file is None:
            return {"BIKE_SOURCE": "simulator"}
        return {"BIKE_SOURCE": "file", "BIKE_COUNTS_FILE": str(self.file)}


def find_counts() -> Counts:
    """Return the export that BIKE_COUNTS_FILE names or that lies beside the repository, else the simulator."""
    named = os.environ.get("BIKE_COUNTS_FILE")
    path = Path(named).expanduser().absolute() if named else DEFAULT_EXPORT
    if path.is_file():
        return Counts("real", path)
    shown = f"BIKE_COUNTS_FILE={named}" if named else os.path.relpath(DEFAULT_EXPORT, ROOT)
    remark = f"There is no export at {shown}: the benchmark uses the simulator and labels every figure synthetic."
    return Counts("synthetic", None, remark)
