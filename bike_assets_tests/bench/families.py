"""Each family beside a plain forest on the same counts, and a whole retrain of a large home. Children do the work.

The plain forest learns from every count once, a family from every count at three horizons: its processor time is that
of all three.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bike_assets.core.families import FAMILIES
from bike_assets_tests.bench.children import measure_child_with_answer, run_child
from bike_assets_tests.bench.counts import Counts
from bike_assets_tests.bench.families_work import PLAIN_FOREST
from bike_assets_tests.bench.figures import Aimed
from bike_assets_tests.bench.portal_work import LAST

LARGE_COUNTERS = 102
"""Thirteen months of so many simulated counters are 905,000 counts and a few more."""
AIM_BEST_SHARE, AIM_EVERY_SHARE = 0.1, 1.0
AIM_RETRAIN_PEAK_MIB = 4096.0


@dataclass(frozen=True)
class Fitted:
    """One model on one set of counts.

    Attributes:
        name: family, or the plain forest.
        fit_cpu_seconds: processor time of the fit.
        fit_seconds: wall time of the fit.
        peak_mib: largest resident set of the process, rows and libraries included.
        model_mib: size of the file that serves; of the pickled forest for the plain one.
        rows_per_second: rows predicted.
        rmse: a day ahead on the newest four weeks, bikes an hour.
    """

    name: str
    fit_cpu_seconds: float
    fit_seconds: float
    peak_mib: float
    model_mib: float
    rows_per_second: float
    rmse: float


@dataclass(frozen=True)
class FamilyFigures:
    """All models on one set of counts.

    Attributes:
        label: "real" or "synthetic".
        counts: how many counts there are.
        fitted: the plain forest first.
    """

    label: str
    counts: int
    fitted: list[Fitted]


def measure_families(counts: Counts, folder: Path, log: Callable[[str], None]) -> list[FamilyFigures]:
    """Fit everything on the real file where there is one, and on 905,000 synthetic counts.

    Raises:
        ChildFailedError: a fit failed.
    """
    large = folder / "large-export.parquet"
    run_child("portal_work", ["make-export", str(large), "--counters", str(LARGE_COUNTERS)], {}, folder)
    exports = [(counts.label, counts.file)] if counts.file else []
    return [_measure(label, export, folder, log) for label, export in [*exports, ("synthetic", large)]]


def _measure(label: str, export: Path, folder: Path, log: Callable[[str], None]) -> FamilyFigures:
    rows = folder / "rows.parquet"
    made = run_child("families_work", ["make-rows", str(export), str(rows)], {}, folder)
    fitted = []
    for name in (PLAIN_FOREST, *FAMILIES):
        sample, answer = measure_child_with_answer("families_work", ["fit", name, str(rows)], {}, folder)
        figures = {key: float(value) for key, value in answer.items() if key != "run_seconds"}
        fitted.append(Fitted(name, fit_seconds=sample.run_seconds, peak_mib=sample.peak_mib, **figures))
        log(f"{name} on {made['counts']:,} counts: {fitted[-1].fit_cpu_seconds:.1f} CPU s, {sample.peak_mib:.0f} MiB")
    rows.unlink()
    return FamilyFigures(label, int(made["counts"]), fitted)


def measure_large_retrain(folder: Path, log: Callable[[str], None]) -> float:
    """Train, judge and track every family in a home of 905,000 counts; its peak memory in MiB.

    Raises:
        ChildFailedError: a step failed.
    """
    home, export = folder / "large", folder / "large-export.parquet"
    variables = {"BIKE_HOME": str(home), "BIKE_SOURCE": "file", "BIKE_COUNTS_FILE": str(export)}
    for asset in ("raw_counts", "hourly_features"):
        run_child("work", ["next-step", asset, LAST.isoformat()], variables, folder)
    sample, _ = measure_child_with_answer("work", ["next-step", "champion", LAST.isoformat()], variables, folder)
    log(f"retrain of the large home: {sample.seconds:.0f} s, {sample.cpu_seconds:.0f} CPU s, {sample.peak_mib:.0f} MiB")
    return sample.peak_mib


def summarise_families(figures: list[FamilyFigures], retrain_peak_mib: float) -> list[Aimed]:
    """Return what the best single family and the dearest of all cost beside the plain forest, and their errors."""
    found = []
    for each in figures:
        plain, *families = each.fitted
        singles = [family for family in families if family.name != "blend"]
        best = min(singles, key=lambda family: family.rmse)
        dearest = max(families, key=lambda family: family.fit_cpu_seconds)
        where = f"{each.counts:,} {each.label} counts"
        for family, aim in ((best, AIM_BEST_SHARE), (dearest, AIM_EVERY_SHARE)):
            what = f"{family.name} / {PLAIN_FOREST}, CPU seconds, {where}"
            found.append(Aimed(what, family.fit_cpu_seconds / plain.fit_cpu_seconds, aim))
        for family in families:
            found.append(Aimed(f"{family.name} / {PLAIN_FOREST}, RMSE, {where}", family.rmse / plain.rmse, None))
    return [*found, Aimed("peak memory of a large retrain, MiB", retrain_peak_mib, AIM_RETRAIN_PEAK_MIB)]
