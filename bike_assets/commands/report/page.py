"""Reads the contents, renders the page, and writes it atomically."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, select_autoescape

from bike_assets.commands.report import contents
from bike_assets.commands.report.contents import Listing, number
from bike_assets.errors import BikeError
from bike_assets.exporter.data import read_data
from bike_assets.exporter.names import Sample
from bike_assets.exporter.orchestration import DagsterOfHome
from bike_assets.exporter.sources import Sources, open_sources
from bike_assets.home.record import describe_source
from bike_assets.resources.profiles import open_warehouse
from bike_assets.resources.queries.counts import whole_days
from bike_assets.settings import Settings

NAME = "report.html"


def write_report(settings: Settings, output: Path | None) -> Path:
    """Write the report of the home in the settings, and return its path.

    Raises:
        BikeError: the home holds nothing yet, or the file cannot be written.
    """
    sources = open_sources(settings, open_warehouse(settings))
    span = whole_days(sources.warehouse, sources.home.timezone) if sources else None
    if sources is None or span is None:
        raise BikeError(f"{settings.home_folder} holds no counts yet: type make run, or bike materialize.")
    path = output or sources.home.folder / NAME
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(_html(sources, span.last), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise BikeError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _html(sources: Sources, day: date) -> str:
    champion = sources.registry.read().champion
    runs = DagsterOfHome(sources.settings).runs()
    pictures = [contents.history_of(sources, day), champion and contents.week_of(sources, day, champion.version)]
    environment = Environment(loader=PackageLoader("bike_assets.commands.report", "."), autoescape=select_autoescape())
    return environment.get_template("page.html").render(
        zone=sources.home.timezone,
        made=datetime.now(UTC).astimezone(ZoneInfo(sources.home.timezone)).strftime("%Y-%m-%d %H:%M"),
        source=describe_source(sources.home),
        day=day,
        champion=champion,
        decision=contents.decisions_of(sources, day).rows[:1],
        failing=[row for row in _checks(runs) if row[1] != "holds"],
        pictures=[picture for picture in pictures if picture],
        listings=[
            contents.scores_of(sources, day),
            contents.decisions_of(sources, day),
            contents.evaluations_of(sources),
            contents.deployments_of(sources),
            Listing("Checks", ["check", "", "of", "made"], _checks(runs), "No check was made yet."),
            Listing("Data", ["", ""], _data(read_data(sources)), "Nothing was read yet."),
        ],
    )


def _checks(runs: Iterable[Sample]) -> list[list[str]]:
    """Return the newest evaluation of each check; failing checks come first."""
    samples = list(runs)
    made = {sample.labels: sample.value for sample in samples if sample.name == "bike_asset_check_timestamp_seconds"}
    rows = []
    for sample in samples:
        if sample.name != "bike_asset_check_passed":
            continue
        asset, check, severity = sample.labels
        at = datetime.fromtimestamp(made[asset, check], UTC).strftime("%Y-%m-%d %H:%M UTC")
        state = "holds" if sample.value else f"does not hold ({severity})"
        rows.append([check.replace("_", " "), state, asset, at])
    return sorted(rows, key=lambda row: (row[1] == "holds", row[2], row[0]))


def _data(samples: Iterable[Sample]) -> list[list[str]]:
    """Return the totals of ingested data, as label and number."""
    found = {(sample.name, *sample.labels): sample.value for sample in samples}
    rows = [[label, number(found.get((name,), 0), 0)] for name, label in TOTALS.items()]
    for (name, *labels), value in found.items():
        if name == "bike_counters":
            rows.append([f"counters that are {labels[0]}", number(value, 0)])
        if name == "bike_rows_rejected_total" and value:
            rows.append([f"rows left out of readings: {labels[0].replace('_', ' ')}", number(value, 0)])
    return rows


TOTALS = {
    "bike_rows_ingested_total": "counts added",
    "bike_rows_corrected_total": "counts that a later reading changed",
    "bike_rows_withdrawn_total": "counts that a later reading no longer had",
}
