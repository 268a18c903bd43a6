"""Metrics of the newest drift report."""

from collections.abc import Iterator

from bike_assets.core.schemas import DRIFT
from bike_assets.exporter.names import Sample
from bike_assets.exporter.sources import Sources
from bike_assets.resources.queries.decisions import NEWEST_DRIFT

TABLES = (DRIFT,)


def read_drift(sources: Sources) -> Iterator[Sample]:
    """Return the figures of the newest drift report."""
    row = next(iter(sources.rows(NEWEST_DRIFT)), None)
    if row is None:
        return
    yield Sample("bike_drift_end_timestamp_seconds", sources.end_of(row["day"]))
    for sample in ("current", "reference"):
        yield Sample("bike_drift_rows", row[f"rows_{sample}"], (sample,))
    for which in ("new_counters", "vanished_counters"):
        yield Sample(f"bike_drift_{which}", len(_names_in(row[which])))
    share = row["drift_share"]
    yield Sample("bike_drift_enough_data", share is not None)
    if share is None:
        return
    columns = _names_in(row["drifted_columns"])
    yield Sample("bike_drift_share", share)
    yield Sample("bike_drift_detected", share >= sources.settings.drift_warning)
    yield Sample("bike_drift_drifted_columns", len(columns))
    yield Sample("bike_drift_checked_columns", row["columns_checked"])
    for column in columns:
        yield Sample("bike_drift_column_drifted", 1, (column,))


def _names_in(names: str | None) -> list[str]:
    return [name for name in (names or "").split(", ") if name]
