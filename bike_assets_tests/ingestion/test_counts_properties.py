"""Whatever the portal publishes, corrects and breaks, in whatever order: the table holds what it last published."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bike_assets.core.ingestion import MAX_SHRINKAGE
from bike_assets.core.local_time import days_between, hours_of, local_days
from bike_assets.core.plausibility import OutlierRule
from bike_assets.core.splits import Span
from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError
from bike_assets.home.record import Home
from bike_assets.ingestion.counts import Ingestion
from bike_assets.resources.counts_source import PortalSource
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.simulator.faults import BY_NAME
from bike_assets_tests.resources.portal_homes import NOW, ZONE, fast, serving

FIRST, LAST = date(2025, 3, 28), date(2025, 4, 1)
DAYS = days_between(FIRST, LAST)
SHOWN = ["counter_id", "counter_name", "site_id", "site_name", "latitude", "longitude", "bike_count"]
QUICK_FAULTS = sorted(set(BY_NAME) - {"timeout"})
days = st.sampled_from(DAYS)
counters = st.sampled_from(["a", "b", "c"])
counts = st.integers(0, 200)
hours = st.integers(0, 24)


def rows_of(day: date, counter: str, first: int, step: int) -> pd.DataFrame:
    """A counter's counts of a local day; the day of the change has 23 hours."""
    counted_at = hours_of(day, ZONE)["counted_at"]
    return pd.DataFrame(
        {
            "counter_id": counter,
            "counter_name": f"{counter} street",
            "site_id": "1",
            "site_name": "street",
            "latitude": 48.85,
            "longitude": 2.35,
            "counted_at": counted_at,
            "bike_count": [(first + step * n) % 200 for n in range(len(counted_at))],
        }
    )


class Ingesting(RuleBasedStateMachine):
    """A portal, a home, and a plain dictionary of what the home should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="bike-property-"))
        self.settings = fast(self.folder)
        empty = rows_of(FIRST, "a", 0, 0).iloc[:0]
        self.portal, self.published = self.open.enter_context(serving(empty, self.settings, NOW))
        self.held: dict[date, dict] = {day: {} for day in DAYS}
        self.restart()

    @rule()
    def restart(self) -> None:
        """Another process: nothing is known but what lies on the disk."""
        self.warehouse = LocalWarehouse(self.folder / "warehouse", threads=1)

    @initialize(counter=counters, first=counts)
    def publish_rows(self, counter: str, first: int) -> None:
        for day in DAYS[:3]:
            self.published.put(rows_of(day, counter, first, 3))

    @rule(day=days, counter=counters, first=counts, step=st.integers(0, 7))
    def publish(self, day: date, counter: str, first: int, step: int) -> None:
        self.published.put(rows_of(day, counter, first, step))

    @rule(day=days, counter=counters, hour=hours, count=counts)
    def publish_a_late_or_corrected_row(self, day: date, counter: str, hour: int, count: int) -> None:
        rows = rows_of(day, counter, count, 0)
        row = rows.iloc[[hour % len(rows)]]
        same = row["counted_at"].iloc[0]
        self.published.withdraw(lambda all_rows: (all_rows["counter_id"] == counter) & (all_rows["counted_at"] == same))
        self.published.put(row)

    @rule(day=days, hour=hours)
    def publish_a_row_without_counter(self, day: date, hour: int) -> None:
        rows = rows_of(day, "a", 7, 0)
        row = rows.iloc[[hour % len(rows)]]
        self.published.put(row.assign(counter_id=None, site_id=None, latitude=np.nan, longitude=np.nan))

    @rule(counter=counters, name=st.sampled_from(["one", "two"]), day=days)
    def rename_a_counter_from_noon(self, counter: str, name: str, day: date) -> None:
        rows = self.published.rows
        noon = hours_of(day, ZONE)["counted_at"].iloc[12]
        renamed = (rows["counter_id"] == counter) & (rows["counted_at"] >= noon)
        if renamed.any():
            self.published.withdraw(renamed)
            self.published.put(rows[renamed].assign(counter_name=name))

    @rule(day=days, counter=counters, hour=hours)
    def withdraw_a_row(self, day: date, counter: str, hour: int) -> None:
        start = hours_of(day, ZONE)["counted_at"].iloc[hour % 23]
        self.published.withdraw(lambda rows: (rows["counter_id"] == counter) & (rows["counted_at"] == start))

    @rule(fault=st.sampled_from(QUICK_FAULTS), times=st.integers(1, 8))
    def break_some_answers(self, fault: str, times: int) -> None:
        self.portal.fail(fault, times=times)

    @rule(first=days, last=days)
    def ingest(self, first: date, last: date) -> None:
        span = Span(min(first, last), max(first, last))
        self.settle(span, [self.try_ingesting(span)])

    @rule(first=days, last=days, other_first=days, other_last=days)
    def ingest_twice_at_once(self, first: date, last: date, other_first: date, other_last: date) -> None:
        spans = [Span(min(pair), max(pair)) for pair in ((first, last), (other_first, other_last))]
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(self.try_ingesting, spans))
        both = Span(min(span.first for span in spans), max(span.last for span in spans))
        self.settle(both, outcomes)

    @rule()
    def heal_and_ingest_everything(self) -> None:
        self.portal.heal()
        outcome = self.try_ingesting(Span(FIRST, LAST))
        assert outcome is not None
        self.settle(Span(FIRST, LAST), [outcome])

    def try_ingesting(self, span: Span) -> set[date] | None:
        """Ingest as one run does; return the days that were read, or None where the run failed."""
        home = Home(self.folder, "portal", FIRST, None, ZONE, portal=self.portal.url, dataset="d")
        source = PortalSource(home, replace(self.settings.portal, addresses=self.portal.url))
        warehouse = LocalWarehouse(self.folder / "warehouse", threads=1)
        try:
            audit = Ingestion(source, warehouse, self.settings.published_form, OutlierRule(), "run").ingest(span)
        except (SourceUnavailableError, UnreliableAnswerError):
            return None
        return {each.date() for each in audit.loc[audit["unread"].isna(), "day"]}

    def settle(self, span: Span, outcomes: list[set[date] | None]) -> None:
        """What was read is as published; a run that failed may have stored a day before it failed."""
        table, published = self.table(), self.expected()
        for day in DAYS:
            read = any(outcome is not None and day in outcome for outcome in outcomes)
            failed = any(outcome is None for outcome in outcomes)
            if day in span and read:
                assert table[day] == published[day]
            elif day in span and failed:
                assert table[day] in (self.held[day], published[day])
            else:
                assert table[day] == self.held[day]
            self.held[day] = table[day]

    def expected(self) -> dict[date, dict]:
        """The last published row of every counter and hour, by day."""
        rows = self.published.rows
        return by_day(rows[rows["counter_id"].notna()].drop_duplicates(["counter_id", "counted_at"], keep="last"))

    def table(self) -> dict[date, dict]:
        """What the home holds."""
        return by_day(self.warehouse.query("SELECT * FROM bike_traffic_raw.comptage_velo"))

    @invariant()
    def nothing_is_doubled_or_invented(self) -> None:
        assert self.table() == self.held

    @invariant()
    def no_temporary_file_stays(self) -> None:
        assert not list(self.folder.rglob("*.tmp"))

    def teardown(self) -> None:
        self.portal.heal()
        for day in DAYS:
            read = self.try_ingesting(Span(day, day))
            before, now = len(self.held[day]), len(self.expected()[day])
            shrunk = now < before * (1 - MAX_SHRINKAGE)
            assert read == set() if shrunk else read == {day} or not now
            assert self.table()[day] == (self.held[day] if shrunk else self.expected()[day])
        self.open.close()
        self.warehouse.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def by_day(rows: pd.DataFrame) -> dict[date, dict]:
    """Return rows as plain values by day, counter and hour."""
    found: dict[date, dict] = {day: {} for day in DAYS}
    if rows.empty:
        return found
    local = local_days(rows["counted_at"].astype("datetime64[us, UTC]"), ZONE)
    for day, row in zip(local, rows.to_dict("records"), strict=True):
        found[day.date()][row["counter_id"], row["counted_at"]] = tuple(row[name] for name in SHOWN)
    return found


TestIngesting = Ingesting.TestCase
TestIngesting.settings = settings(
    max_examples=8,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
