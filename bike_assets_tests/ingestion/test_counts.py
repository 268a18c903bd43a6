"""From the portal's HTTP to the table: days of every length, other cities, outages in the middle."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.build import build_defs
from bike_assets.core.local_time import days_between, hours_in_days
from bike_assets.core.plausibility import OutlierRule
from bike_assets.core.repeated_rows import DifferingRowsError
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span
from bike_assets.errors import SourceUnavailableError
from bike_assets.home.record import Home
from bike_assets.ingestion.counts import CHUNK_DAYS, Ingestion
from bike_assets.resources.counts_source import PortalSource
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import FIRST_DAY, City
from bike_assets_tests.resources.portal_homes import fast, serving
from bike_assets_tests.stub_source import StubSource, on

FORM = Settings().published_form
LATER = datetime(2026, 1, 5, 9, tzinfo=UTC)
PUBLISHED = ["counter_id", "counter_name", "site_id", "site_name", "latitude", "longitude", "counted_at", "bike_count"]
ELSEWHERE = """
timezone = "America/Montreal"
holidays_country = "CA"
portal_url = "https://data.example.org"
portal_dataset = "comptages-velo-horaires"

[portal_fields]
counter_id = "device"
bike_count = "bikes"
counted_at = "hour_start"
counter_name = "street"
coordinates = "geo_point_2d"
"""


def ingest(settings: Settings, url: str, span: Span) -> tuple[pd.DataFrame, LocalWarehouse]:
    """Ingest as a run does, and return the audit rows and the warehouse."""
    home = Home(settings.home, "portal", span.first, None, settings.timezone, portal=url, dataset="d")
    source = PortalSource(home, replace(settings.portal, addresses=url))
    warehouse = LocalWarehouse(Path(settings.home) / "warehouse")
    return Ingestion(source, warehouse, settings.published_form, OutlierRule(), "run").ingest(span), warehouse


def table(warehouse: LocalWarehouse) -> pd.DataFrame:
    columns = ", ".join(PUBLISHED)
    return warehouse.query(f"SELECT {columns} FROM bike_traffic_raw.comptage_velo ORDER BY counted_at, counter_id")


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[PUBLISHED].sort_values(["counted_at", "counter_id"]).reset_index(drop=True)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(date(2025, 3, 29), date(2025, 3, 31), id="clocks go forward"),
        pytest.param(date(2025, 10, 25), date(2025, 10, 27), id="clocks go back"),
        pytest.param(date(2024, 2, 28), date(2024, 3, 1), id="a leap day"),
        pytest.param(date(2024, 12, 30), date(2025, 1, 2), id="a year's end"),
    ],
)
def test_every_hour_of_every_kind_of_day_is_ingested_once(tmp_path, first, last):
    settings = fast(tmp_path)
    rows = SimulatedCity(3, 4, settings.timezone, "FR").counts(first, last)
    around = SimulatedCity(3, 4, settings.timezone, "FR").counts(first - timedelta(days=1), last + timedelta(days=1))
    with serving(around, settings, LATER) as (portal, _):
        audit, warehouse = ingest(settings, portal.url, Span(first, last))
    pd.testing.assert_frame_equal(table(warehouse), in_order(rows), check_dtype=False)
    assert list(audit["hours"]) == list(hours_in_days(audit["day"], settings.timezone))
    assert [day.date() for day in audit["day"]] == days_between(first, last)


def test_a_counter_renamed_in_the_middle_of_a_day_keeps_its_id_and_each_hour_its_name(tmp_path):
    settings, day = fast(tmp_path), date(2025, 5, 5)
    rows = SimulatedCity(3, 4, settings.timezone, "FR").counts(day, day)
    renamed = (rows["counter_id"] == rows["counter_id"].iloc[0]) & (
        rows["counted_at"] >= pd.Timestamp("2025-05-05 12:00", tz="UTC")
    )
    rows.loc[renamed, "counter_name"] = "another name"
    with serving(rows, settings, LATER) as (portal, _):
        _, warehouse = ingest(settings, portal.url, Span(day, day))
    pd.testing.assert_frame_equal(table(warehouse), in_order(rows), check_dtype=False)
    assert 0 < renamed.sum() < 24


def test_another_city_needs_only_a_file_of_settings(tmp_path):
    """Other names, another zone, no sites, and ids that are numbers."""
    file = tmp_path / "city.toml"
    file.write_text(ELSEWHERE)
    settings = fast(tmp_path, city_file=file)
    first, last = date(2025, 3, 8), date(2025, 3, 10)
    rows = SimulatedCity(3, 4, settings.timezone, "CA").counts(first, last)
    rows["counter_id"] = rows["counter_id"].str.replace("-", "")
    with serving(rows, settings, LATER) as (portal, _):
        audit, warehouse = ingest(settings, portal.url, Span(first, last))
        path, parameters, _ = portal.requests[-1]
    assert "/datasets/comptages-velo-horaires/" in path
    assert parameters["select"] == "device,bikes,hour_start,street,geo_point_2d"
    assert list(audit["hours"]) == [24, 23, 24]
    expected = in_order(rows.assign(site_id=rows["counter_id"], site_name=rows["counter_name"]))
    pd.testing.assert_frame_equal(table(warehouse), expected, check_dtype=False)


DIRECTIONS = ELSEWHERE.replace('counter_id = "device"', 'counter_id = ["device", "direction"]')


@pytest.fixture
def two_directions(tmp_path) -> Iterator[tuple[str, pd.DataFrame]]:
    """A portal that publishes two rows for each site and hour; its address and the rows."""
    file = tmp_path / "published.toml"
    file.write_text(DIRECTIONS)
    settings = fast(tmp_path, city_file=file)
    one_way = SimulatedCity(3, 2, settings.timezone, "CA").counts(date(2025, 3, 8), date(2025, 3, 10))
    one_way["counter_id"] = one_way["counter_id"].str.replace("-", "")
    ways = [one_way.assign(counter_id=one_way["counter_id"] + f":{way}") for way in ("IN", "OUT")]
    ways[1]["bike_count"] += 5
    rows = pd.concat(ways, ignore_index=True)
    with serving(rows, settings, LATER) as (portal, _):
        yield portal.url, rows


def city(folder: Path, text: str) -> Settings:
    file = folder / "city.toml"
    file.write_text(text)
    return fast(folder, city_file=file)


def test_directions_are_counters_of_their_own_over_http(tmp_path, two_directions):
    url, rows = two_directions
    _, warehouse = ingest(city(tmp_path, DIRECTIONS), url, Span(date(2025, 3, 8), date(2025, 3, 10)))
    stored = table(warehouse)
    assert set(stored["counter_id"]) == set(rows["counter_id"])
    assert stored["bike_count"].sum() == rows["bike_count"].sum()
    assert all(name.endswith((", IN", ", OUT")) for name in stored["counter_name"])


def test_directions_are_added_over_http(tmp_path, two_directions):
    url, rows = two_directions
    span = Span(date(2025, 3, 8), date(2025, 3, 10))
    audit, warehouse = ingest(city(tmp_path, f'repeated_rows = "add"\n{ELSEWHERE}'), url, span)
    assert audit["rows_summed"].sum() == len(rows) / 2
    assert table(warehouse)["bike_count"].sum() == rows["bike_count"].sum()


def test_counts_of_15_minutes_are_added_up_over_http(tmp_path):
    settings = city(tmp_path, f"interval_minutes = 15\n{ELSEWHERE}")
    span = Span(date(2025, 3, 8), date(2025, 3, 10))
    hours = SimulatedCity(3, 2, settings.timezone, "CA").counts(span.first, span.last)
    hours["counter_id"] = hours["counter_id"].str.replace("-", "")
    parts = [hours.assign(counted_at=hours["counted_at"] + pd.Timedelta(minutes=minute)) for minute in (0, 15, 30, 45)]
    with serving(pd.concat(parts, ignore_index=True), settings, LATER) as (portal, _):
        audit, warehouse = ingest(settings, portal.url, span)
        home = Home(tmp_path, "portal", span.first, None, settings.timezone, portal=portal.url, dataset="d")
        assert PortalSource(home, replace(settings.portal, addresses=portal.url)).newest_day() == span.last
    assert audit["hours"].tolist() == [24, 23, 24]
    assert table(warehouse)["bike_count"].sum() == 4 * hours["bike_count"].sum()


def test_directions_without_a_rule_are_refused_with_the_portals_field(tmp_path, two_directions):
    url, _ = two_directions
    with pytest.raises(DifferingRowsError, match=r'The column direction distinguishes them.*\["device", "direction"\]'):
        ingest(city(tmp_path, ELSEWHERE), url, Span(date(2025, 3, 8), date(2025, 3, 10)))


def test_the_same_days_again_change_nothing_and_write_no_file(tmp_path):
    settings, span = fast(tmp_path), Span(date(2025, 5, 1), date(2025, 5, 6))
    rows = SimulatedCity(3, 4, settings.timezone, "FR").counts(span.first, span.last)
    with serving(rows, settings, LATER) as (portal, _):
        ingest(settings, portal.url, span)
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("comptage_velo/day=*/*.parquet")}
        audit, _ = ingest(settings, portal.url, span)
    assert audit[["rows_added", "rows_changed", "rows_withdrawn"]].to_numpy().sum() == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("comptage_velo/day=*/*.parquet")} == files


def test_an_outage_in_the_middle_keeps_the_earlier_days_and_is_reported(tmp_path):
    settings = fast(tmp_path, portal_quota_wait_seconds=0)
    span = Span(date(2025, 5, 1), date(2025, 5, 1) + timedelta(days=CHUNK_DAYS + 5))
    rows = SimulatedCity(3, 2, settings.timezone, "FR").counts(span.first, span.last)
    with (
        serving(rows, settings, LATER, daily_quota=3) as (portal, _),
        pytest.raises(SourceUnavailableError, match="refuses more requests"),
    ):
        ingest(settings, portal.url, span)
    half = table(LocalWarehouse(tmp_path / "warehouse"))
    assert half["counted_at"].dt.tz_convert(settings.timezone).dt.date.nunique() == CHUNK_DAYS
    with serving(rows, settings, LATER) as (portal, _):
        _, warehouse = ingest(settings, portal.url, span)
    pd.testing.assert_frame_equal(table(warehouse), in_order(rows), check_dtype=False)


DAY = FIRST_DAY + timedelta(days=3)


def take(city: City, source: StubSource, last: date, rule: OutlierRule | None = None) -> pd.DataFrame:
    warehouse = city.resource("warehouse")
    return Ingestion(source, warehouse, FORM, rule or OutlierRule(), "run").ingest(Span(DAY, last))


def test_the_audit_has_the_number_of_rows_that_the_source_reports(tmp_path, open_city):
    source = StubSource()
    read = source.read
    source.read = lambda first, last: replace(read(first, last), reported=10_000)
    assert take(open_city(tmp_path), source, DAY)["rows_reported"].tolist() == [10_000]


def test_outliers_are_flagged_by_the_rule_in_force(tmp_path, open_city):
    city, last = open_city(tmp_path), DAY + timedelta(days=20)

    def with_outliers(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[on(rows, last) & (rows["counted_at"].dt.hour == 10), "bike_count"] = 11_000
        return rows

    for rule, expected in ((OutlierRule(1000, 300), 0), (OutlierRule(6, 300), 6)):
        assert take(city, StubSource(with_outliers), last, rule)["outliers"].sum() == expected
        flagged = city.query("SELECT COUNTIF(is_outlier) AS n FROM bike_traffic_raw.comptage_velo")
        assert flagged["n"].item() == expected


def test_days_ingested_before_an_outage_have_their_audit_rows(tmp_path, open_city):
    city, source = open_city(tmp_path), StubSource()
    read = source.read
    source.unreliable = {DAY + timedelta(days=3)}

    def falls_silent(first: date, last: date):
        if first == DAY + timedelta(days=2):
            raise SourceUnavailableError("it is gone")
        return read(first, last)

    source.read = falls_silent
    with pytest.raises(SourceUnavailableError):
        take(city, source, DAY + timedelta(days=3))
    days = "SELECT COUNT(DISTINCT day) AS n FROM "
    came_in = city.query(days + "bike_traffic_raw.comptage_velo")["n"].item()
    assert came_in == city.query(days + "monitoring_audit.ingestions")["n"].item() == 2


def test_features_of_withdrawn_counts_are_withdrawn(tmp_path, open_city):
    city, day = open_city(tmp_path), FIRST_DAY + timedelta(days=30)
    Ingestion(StubSource(), city.resource("warehouse"), FORM, OutlierRule(), "run").ingest(Span(FIRST_DAY, day))
    left = "SELECT COUNT(DISTINCT counter_id) AS n FROM bike_traffic_raw.hourly_features WHERE day = @day"
    counters = []
    for change in (lambda rows: rows, lambda rows: rows[rows["counter_id"] != rows["counter_id"].min()]):
        defs = build_defs(settings=city.settings, resource_overrides={"counts_source": StubSource(change)})
        job = defs.resolve_job_def("ingest")
        assert job.execute_in_process(instance=city.instance, partition_key=str(day)).success
        counters.append(city.query(left, day=day)["n"].item())
    assert counters == [counters[0], counters[0] - 1]
