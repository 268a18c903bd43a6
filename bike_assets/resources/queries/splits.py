"""The recorded training and test sets."""

from datetime import date

from bike_assets.core.local_time import as_date
from bike_assets.core.splits import TEST_BASELINE, TRAIN_BASELINE, Baseline, Span
from bike_assets.resources.table_rows import one_row
from bike_assets.resources.warehouse import Warehouse


def recorded_split(warehouse: Warehouse, name: str) -> dict | None:
    """Return the newest record of a training or test set, with its days as dates.

    The two baseline sets are cut one after the other. If a process dies in between, the old pair stays in force: a
    record of one counts only with a record of the other.
    """
    row = one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.splits WHERE name = @name "
            "AND cut_on IN (SELECT cut_on FROM monitoring_audit.splits WHERE name = @other) "
            "ORDER BY cut_on DESC LIMIT 1",
            name=name,
            other={TRAIN_BASELINE: TEST_BASELINE, TEST_BASELINE: TRAIN_BASELINE}.get(name, name),
        )
    )
    return {**row, **{key: as_date(row[key]) for key in ("first_day", "last_day", "cut_on")}} if row else None


def bootstrapped_on(warehouse: Warehouse) -> date | None:
    """Return the newest whole local day at the time when the home's first sets were cut."""
    row = one_row(
        warehouse.query(
            "SELECT MIN(cut_on) AS cut_on FROM monitoring_audit.splits WHERE name = @name", name=TRAIN_BASELINE
        )
    )
    return as_date(row["cut_on"]) if row and row["cut_on"] else None


def recorded_span(warehouse: Warehouse, name: str) -> Span | None:
    """Return the days of the newest record of a training or test set."""
    row = recorded_split(warehouse, name)
    return Span(row["first_day"], row["last_day"]) if row else None


def recorded_baseline(warehouse: Warehouse) -> Baseline | None:
    """Return the frozen baseline split; None before it exists."""
    train, test = (recorded_span(warehouse, name) for name in (TRAIN_BASELINE, TEST_BASELINE))
    return Baseline(train, test) if train and test else None
