"""What is measured, and in which home: each repeat in a fresh copy of the home that the part before left behind."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from bike_assets_tests.bench.children import ROOT, Sample, measure_child, run_child
from bike_assets_tests.bench.figures import (
    BACKFILL,
    DAILY_WITH_DRIFT,
    DAILY_WITHOUT_DRIFT,
    EMPTY,
    FEATURES,
    TRAINING,
    Measurement,
)

STAGES = (
    (BACKFILL, "backfill, {days} days", "raw_counts"),
    (FEATURES, "features, {days} days", "hourly_features"),
    (TRAINING, "training and judging", "champion"),
)
PASSES = (
    (DAILY_WITHOUT_DRIFT, "daily, no drift report", ()),
    (DAILY_WITH_DRIFT, "daily, drift report", ("--with-drift",)),
)


class IdlePassError(RuntimeError):
    """A pass that did nothing is no measurement."""


@dataclass(frozen=True)
class Measured:
    """Everything that was measured.

    Attributes:
        measurements: one a part, in order of the pass; the empty run is the last.
        first_day: the first local day of the counts.
        day: the day of the daily pass; the template home ends on the day before.
        rows: counts in the template home.
    """

    measurements: list[Measurement]
    first_day: date
    day: date
    rows: int


def measure_all(environment: Mapping[str, str], folder: Path, repeats: int, log: Callable[[str], None]) -> Measured:
    """Measure every part.

    Args:
        environment: the settings that name the counts to measure on.
        folder: an empty folder, for homes.
        repeats: samples of each part.
        log: writes a line about every sample.

    Raises:
        ChildFailedError: a run failed.
        IdlePassError: a daily pass did not do the work of a day.
    """
    bench = _Bench(environment, folder, log)
    known = run_child("work", ["last-whole-day"], bench.variables(folder / "unclaimed"), folder)
    first_day, day = date.fromisoformat(known["first_day"]), date.fromisoformat(known["day"])
    until = day - timedelta(days=1)
    days = (until - first_day).days + 1
    measured, home = [], None
    for name, title, asset in STAGES:
        arguments = ["next-step", asset, until.isoformat()]
        samples, home = bench.stage(name, arguments, home, repeats)
        measured.append(Measurement(name, title.format(days=days), samples))
    log("the rest of the first pass, not measured")
    run_child("work", ["remaining-steps", until.isoformat()], bench.variables(home), folder)
    rows = run_child("work", ["rows", until.isoformat()], bench.variables(home), folder)["rows"]
    daily = bench.passes(home, day, repeats)
    measured += [Measurement(name, title, tuple(daily[name])) for name, title, _ in PASSES]
    measured.append(Measurement(EMPTY, "empty Dagster run", tuple(daily[EMPTY])))
    return Measured(measured, first_day, day, rows)


class _Bench:
    def __init__(self, environment: Mapping[str, str], folder: Path, log: Callable[[str], None]) -> None:
        self._environment, self._folder, self._log = environment, folder, log

    def variables(self, home: Path) -> dict[str, str]:
        """The environment of a child that works in a home."""
        return {**self._environment, "BIKE_HOME": str(home)}

    def stage(
        self, name: str, arguments: list[str], before: Path | None, repeats: int
    ) -> tuple[tuple[Sample, ...], Path]:
        """Measure a step of the first pass and return the samples and the home that the last one left behind."""
        home, samples = self._folder / name, []
        for number in range(1, repeats + 1):
            _replace(home, before)
            samples.append(measure_child("work", arguments, self.variables(home), self._folder))
            self._log_sample(name, number, repeats, samples[-1])
        return tuple(samples), home

    def passes(self, template: Path, day: date, repeats: int) -> dict[str, list[Sample]]:
        """Measure the daily passes and the empty run in turns, so that a busy moment of the machine meets all."""
        home, empty = self._folder / "daily", self._empty_dagster_home()
        samples: dict[str, list[Sample]] = {name: [] for name in (EMPTY, DAILY_WITHOUT_DRIFT, DAILY_WITH_DRIFT)}
        for number in range(1, repeats + 1):
            samples[EMPTY].append(measure_child("empty_run", [], empty, self._folder))
            self._log_sample(EMPTY, number, repeats, samples[EMPTY][-1])
            for name, _, options in PASSES:
                _replace(home, template)
                arguments = ["daily-pass", day.isoformat(), *options]
                samples[name].append(measure_child("work", arguments, self.variables(home), self._folder))
                validate_pass(
                    name, run_child("work", ["results-of-day", day.isoformat()], self.variables(home), self._folder)
                )
                self._log_sample(name, number, repeats, samples[name][-1])
        return samples

    def _empty_dagster_home(self) -> dict[str, str]:
        """An instance with the project's dagster.yaml whose databases exist, as they do in a home by its second day."""
        folder = self._folder / "empty"
        folder.mkdir()
        shutil.copyfile(ROOT / "dagster.yaml", folder / "dagster.yaml")
        variables = {"DAGSTER_HOME": str(folder)}
        run_child("empty_run", [], variables, self._folder)
        return variables

    def _log_sample(self, name: str, number: int, repeats: int, sample: Sample) -> None:
        self._log(f"{name} {number}/{repeats}: {sample.seconds:.2f} s, {sample.peak_mib:.0f} MiB")


def validate_pass(name: str, results: dict[str, int]) -> None:
    """Refuse a daily pass that succeeded without doing its work: its seconds would be meaningless.

    Raises:
        IdlePassError: forecasts or scores of the day are missing, or its drift share where drift was to be measured.
    """
    needed = {"forecasts", "scores"} | ({"drift_shares"} if name == DAILY_WITH_DRIFT else set())
    missing = sorted(each for each in needed if not results[each])
    if missing:
        raise IdlePassError(f"{name} succeeded without {', '.join(missing)}: it did not do the work of a day.")


def _replace(home: Path, template: Path | None) -> None:
    shutil.rmtree(home, ignore_errors=True)
    if template is not None:
        shutil.copytree(template, home)
