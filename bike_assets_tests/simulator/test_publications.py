"""What is published when: a simulated city, a replayed export, and the table of a test."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from bike_assets.core.simulation import SimulatedCity
from bike_assets.simulator.publication import CACHED_DAYS, PublishedTable, ReplayedPublication, SimulatedPublication
from bike_assets.simulator.scenarios import parse_scenarios
from bike_assets_tests.export_files import write_export
from bike_assets_tests.simulator.conftest import FIELDS, FIRST, FORM, NOW, ZONE

HOUR = timedelta(hours=1)
START, END = datetime(2026, 5, 31, 22, tzinfo=UTC), datetime(2026, 6, 3, 22, tzinfo=UTC)


@pytest.fixture
def replayed(tmp_path, counts):
    return ReplayedPublication(write_export(tmp_path / "export.csv", counts), FORM)


@pytest.fixture
def simulated(town):
    return SimulatedPublication(town, FIELDS, first_day=FIRST)


def counted(table: pa.Table) -> list[tuple]:
    rows = table.select(["id_compteur", "date", "sum_counts"]).to_pylist()
    return [tuple(row.values()) for row in rows]


def expected(counts: pd.DataFrame) -> list[tuple]:
    times = counts["counted_at"].astype(object)
    return list(zip(counts["counter_id"], times, counts["bike_count"], strict=True))


@pytest.mark.parametrize("kind", ["simulated", "replayed", "table"])
def test_every_publication_returns_the_rows_of_a_range(request, counts, kind):
    publication = request.getfixturevalue(kind)
    assert counted(publication.published(START, END, NOW)) == expected(counts)
    middle = counts[counts["counted_at"].between(START + 5 * HOUR, START + 9 * HOUR)]
    assert counted(publication.published(START + 5 * HOUR, START + 10 * HOUR, NOW)) == expected(middle)
    assert counted(publication.published(START + HOUR, START + HOUR, NOW)) == []
    assert counted(publication.published(START - 90 * HOUR, START, NOW)) == []


@pytest.mark.parametrize("kind", ["simulated", "replayed", "table"])
def test_a_day_is_published_once_it_is_over_where_it_was_counted(request, counts, kind):
    publication = request.getfixturevalue(kind)
    still_the_second, third = datetime(2026, 6, 2, 21, 59, tzinfo=UTC), datetime(2026, 6, 2, 22, tzinfo=UTC)
    before_the_first = START + HOUR
    for now, last in ((still_the_second, 1), (third, 2), (third + 24 * HOUR, 3)):
        assert publication.span(now) == (START, START + (24 * last - 1) * HOUR)
        assert publication.published(START, END, now).num_rows == 24 * last * counts["counter_id"].nunique()
    assert publication.span(before_the_first) is None
    assert publication.published(START, END, before_the_first).num_rows == 0


@pytest.mark.parametrize(("months", "first"), [(None, date(2025, 5, 10)), (2, date(2026, 4, 10))])
def test_the_window_of_a_city_rolls_with_the_clock(town, months, first):
    publication = SimulatedPublication(town, FIELDS, months=months)
    for later in (timedelta(), timedelta(days=1)):
        start, last = publication.span(NOW + later)
        assert (start.astimezone().astimezone(UTC) + 2 * HOUR).date() == first + later
        assert last == datetime(2026, 6, 9, 21, tzinfo=UTC) + later
        assert publication.published(start - 48 * HOUR, start, NOW + later).num_rows == 0


def test_a_city_draws_a_day_once_and_keeps_few(town):
    drawn = []

    class Watched(SimulatedCity):
        def counts(self, first, last):
            drawn.append(first)
            return super().counts(first, last)

    publication = SimulatedPublication(Watched(7, 4, ZONE, "FR"), FIELDS)
    now, end = datetime(2026, 9, 10, tzinfo=UTC), datetime(2026, 8, 31, 22, tzinfo=UTC)
    start = end - timedelta(days=CACHED_DAYS)
    for _ in range(3):
        publication.published(start, end, now)
    assert drawn == [start.date() + timedelta(days=1 + each) for each in range(CACHED_DAYS)]
    publication.published(start - timedelta(days=3), start, now)
    assert len(drawn) == CACHED_DAYS + 3
    publication.published(start, start + timedelta(days=3), now)
    assert len(drawn) == CACHED_DAYS + 6


def test_two_portals_of_one_city_publish_the_same(town):
    scenarios = parse_scenarios("late_rows,corrections,null_ids,outages,new_counters,outliers,reversed_week")
    tables = [
        SimulatedPublication(SimulatedCity(seed, 10, ZONE, "FR"), FIELDS, scenarios).published(START, END, END)
        for seed in (7, 7, 8)
    ]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_a_days_rows_grow_and_change_until_it_is_settled(town, counts):
    publication = SimulatedPublication(town, FIELDS, parse_scenarios("late_rows,corrections"), first_day=FIRST)
    mornings = [END + timedelta(days=days, hours=5) for days in range(4)]
    last_day = [set(counted(publication.published(END - 24 * HOUR, END, now))) for now in mornings]
    assert last_day[0] == last_day[1]
    assert last_day[2] == last_day[3] == set(expected(counts[counts["counted_at"] >= END - 24 * HOUR]))
    assert len(last_day[0]) < len(last_day[2])
    assert last_day[0] - last_day[2]


def test_a_replay_keeps_rows_without_a_counter(tmp_path, counts):
    rows = counts.assign(counter_id=counts["counter_id"].mask(counts.index < 7, ""))
    publication = ReplayedPublication(write_export(tmp_path / "export.csv", rows), FORM)
    table = publication.published(START, END, NOW)
    assert (table.num_rows, table["id_compteur"].null_count) == (len(counts), 7)


def test_a_table_accepts_duplicates_and_withdraws_rows(counts):
    table = PublishedTable(FIELDS, ZONE)
    assert table.span(NOW) is None
    assert table.published(START, END, NOW).num_rows == 0
    table.put(counts.sample(frac=1, random_state=1))
    table.put(counts.head(5).assign(bike_count=None))
    published = table.published(START, END, NOW)
    assert (published.num_rows, published["sum_counts"].null_count) == (len(counts) + 5, 5)
    assert published["date"].to_pylist() == sorted(published["date"].to_pylist())
    table.withdraw(lambda rows: rows["bike_count"].isna())
    table.withdraw(table.rows["counter_id"] == counts["counter_id"].iloc[0])
    assert table.published(START, END, NOW).num_rows == len(table.rows) == len(counts) * 9 // 10
    rows = table.rows
    rows["bike_count"] = -1
    assert (table.rows["bike_count"] >= 0).all()
    table.withdraw(lambda rows: rows["bike_count"] >= 0)
    assert table.span(NOW) is None
    table.put(counts)
    assert counted(table.published(START, END, NOW)) == expected(counts)
