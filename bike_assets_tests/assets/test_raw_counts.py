"""Ingestion: what is published arrives once, corrections replace, and unusable or unreliable rows are reported."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pytest

from bike_assets.core.local_time import days_between
from bike_assets.core.splits import Span
from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError
from bike_assets.ingestion.counts import CHUNK_DAYS, FAILED_DAYS_LIMIT, Ingestion
from bike_assets.resources.home_source import outline_home
from bike_assets_tests.conftest import FIRST_DAY, City
from bike_assets_tests.export_files import ZONE
from bike_assets_tests.stub_source import StubSource, on

DAY = FIRST_DAY + timedelta(days=3)
COUNTS = "SELECT * FROM bike_traffic_raw.comptage_velo ORDER BY counted_at, counter_id"


def ingest(city: City, source, first: date = DAY, last: date | None = None) -> pd.DataFrame:
    """Ingest days, and return the audit rows, one a day."""
    ingestion = Ingestion(
        source, city.resource("warehouse"), city.settings.published_form, city.settings.outlier_rule, "the-run"
    )
    return ingestion.ingest(Span(first, last or first))


@pytest.fixture
def young(tmp_path, open_city) -> City:
    """A home that holds one day of its simulator."""
    city = open_city(tmp_path)
    ingest(city, city.resource("counts_source"))
    return city


def again(city: City, change) -> dict:
    """Ingest the day once more as its source has it now."""
    return ingest(city, StubSource(change)).iloc[0].to_dict()


def without_hours(rows: pd.DataFrame, hours: int) -> pd.DataFrame:
    return rows[rows["counted_at"] >= pd.Timestamp(DAY, tz=ZONE) + pd.Timedelta(hours=hours)]


def test_a_day_arrives_with_all_its_hours_and_counters(young: City):
    row = young.query("SELECT COUNT(*) AS n, COUNT(DISTINCT counted_at) AS hours FROM bike_traffic_raw.comptage_velo")
    assert row.iloc[0].to_dict() == {"n": 6 * 24, "hours": 24}


def test_the_same_day_again_changes_nothing(young: City):
    before = young.query(COUNTS)
    audit = again(young, lambda rows: rows)
    assert (audit["rows_read"], audit["rows_added"], audit["rows_changed"], audit["rows_withdrawn"]) == (144, 0, 0, 0)
    pd.testing.assert_frame_equal(young.query(COUNTS), before)


def test_a_corrected_row_replaces_the_old_one_and_a_late_one_is_added(young: City):
    def change(rows):
        rows.loc[0, "bike_count"] = 4321
        late = rows.iloc[[5]].assign(counter_id="late", bike_count=7)
        return pd.concat([rows, late])

    audit = again(young, change)
    assert (audit["rows_added"], audit["rows_changed"], audit["rows_withdrawn"]) == (1, 1, 0)
    counts = young.query(COUNTS)
    assert len(counts) == 145
    assert 4321 in set(counts["bike_count"])
    assert counts.loc[counts["counter_id"] == "late", "bike_count"].tolist() == [7]


def test_rows_that_a_source_takes_back_are_withdrawn(young: City):
    audit = again(young, lambda rows: without_hours(rows, 2))
    assert (audit["rows_read"], audit["rows_withdrawn"], audit["unread"]) == (132, 12, None)
    assert len(young.query(COUNTS)) == 132


def test_rows_without_a_counter_are_counted_and_shown_and_left_out(young: City):
    def change(rows):
        nameless = rows.iloc[:2].assign(counter_id=None, counter_name="10 avenue [Bike IN]")
        return pd.concat([rows, nameless])

    audit = again(young, change)
    assert (audit["rows_without_counter"], audit["rows_read"], audit["rows_kept"]) == (2, 146, 144)
    assert len(young.query(COUNTS)) == 144
    rejected = young.query("SELECT * FROM bike_traffic_raw.rejected_counts")
    assert rejected["problem"].tolist() == ["no counter"] * 2
    assert rejected["counter_name"].tolist() == ["10 avenue [Bike IN]"] * 2


def test_rows_that_were_left_out_are_those_of_the_last_reading(young: City):
    def spoilt(rows):
        rows.loc[:3, "bike_count"] = -1
        return rows

    for change, left_out in ((spoilt, 4), (spoilt, 4), (lambda rows: rows, 0)):
        again(young, change)
        assert len(young.query("SELECT 1 AS n FROM bike_traffic_raw.rejected_counts")) == left_out


def test_every_reading_leaves_its_audit_row(young: City):
    again(young, lambda rows: without_hours(rows, 1))
    rows = young.query("SELECT * FROM monitoring_audit.ingestions ORDER BY ingested_at")
    assert rows["rows_read"].tolist() == [144, 138]
    assert rows["rows_added"].tolist() == [144, 0]
    assert rows["rows_withdrawn"].tolist() == [0, 6]
    assert rows["run_id"].tolist() == ["the-run"] * 2
    assert rows["source"].tolist()[1] == "a stub"
    assert "synthetic" in rows["source"].tolist()[0]


def test_a_day_that_is_not_published_yet_keeps_its_rows_and_is_reported(young: City):
    source = StubSource(newest=DAY)
    audit = ingest(young, source, DAY, DAY + timedelta(days=2))
    assert audit["unread"].isna().tolist() == [True, False, False]
    assert "published nothing for this day yet" in audit["unread"].iloc[1]
    source.newest = DAY + timedelta(days=2)
    audit = ingest(young, source, DAY, DAY + timedelta(days=2))
    assert audit["unread"].isna().all()
    assert audit["rows_added"].tolist() == [0, 144, 144]


def test_a_day_that_a_source_has_left_out_is_read_as_empty(young: City):
    newest = DAY + timedelta(days=2)
    audit = ingest(young, StubSource(lambda rows: rows[~on(rows, newest - timedelta(days=1))], newest), DAY, newest)
    assert audit["unread"].isna().all()
    assert (audit["rows_read"].tolist(), audit["hours"].tolist()) == ([144, 0, 144], [24, 0, 24])


def test_a_day_that_loses_most_of_its_rows_keeps_them_and_is_reported(young: City):
    before = young.query(COUNTS)
    audit = again(young, lambda rows: without_hours(rows, 13))
    assert "the source now publishes 66 of the 144 rows that it had" in audit["unread"]
    pd.testing.assert_frame_equal(young.query(COUNTS), before)
    assert "the source now publishes 0 of the 144" in again(young, lambda rows: rows.iloc[:0])["unread"]
    assert len(young.query(COUNTS)) == 144


def test_one_bad_day_of_a_range_is_named_and_the_others_are_ingested(young: City):
    first, last = DAY - timedelta(days=3), DAY + timedelta(days=9)
    source = StubSource()
    source.unreliable = {DAY, DAY + timedelta(days=4)}
    audit = ingest(young, source, first, last).set_index("day")
    assert {day.date() for day in audit.index[audit["unread"].notna()]} == source.unreliable
    assert "cannot be believed" in audit.loc[pd.Timestamp(DAY), "unread"]
    counts = young.query("SELECT day, COUNT(*) AS n FROM bike_traffic_raw.comptage_velo GROUP BY day ORDER BY day")
    days = [day for day in days_between(first, last) if day != DAY + timedelta(days=4)]
    assert [each.date() for each in counts["day"]] == days, "the day that was there before stays"
    assert (counts["n"] == 144).all()


def test_a_source_with_only_unreliable_days_fails_the_run_early(young: City):
    source = StubSource()
    source.unreliable = set(days_between(DAY, DAY + timedelta(days=60)))
    with pytest.raises(UnreliableAnswerError, match=f"No day from {DAY} on can be read"):
        ingest(young, source, DAY, DAY + timedelta(days=15))
    asked_for_single_days = [first for first, last in source.requests if first == last]
    assert len(asked_for_single_days) == FAILED_DAYS_LIMIT
    assert len(young.query(COUNTS)) == 144


def test_a_source_that_stops_answering_keeps_the_days_that_were_read(young: City):
    source = StubSource()
    last = DAY + timedelta(days=CHUNK_DAYS + 5)
    read = source.read

    def read_a_chunk(first, last):
        if first > DAY:
            raise SourceUnavailableError("The stub is gone.")
        return read(first, last)

    source.read = read_a_chunk
    with pytest.raises(SourceUnavailableError, match="The stub is gone"):
        ingest(young, source, DAY, last)
    ingested = young.query("SELECT COUNT(DISTINCT day) AS days FROM bike_traffic_raw.comptage_velo")
    assert ingested["days"].tolist() == [CHUNK_DAYS]
    audited = young.query("SELECT COUNT(DISTINCT day) AS days FROM monitoring_audit.ingestions WHERE rows_read > 0")
    assert audited["days"].tolist() == [CHUNK_DAYS]


def test_days_in_one_run_and_in_several_are_the_same_rows(tmp_path, open_city):
    first, last = FIRST_DAY, FIRST_DAY + timedelta(days=CHUNK_DAYS + 2)

    def with_outliers(rows):
        for ago, hour in ((0, 8), (3, 9), (4, 9)):
            at = pd.Timestamp(last - timedelta(days=ago), tz=ZONE) + pd.Timedelta(hours=hour)
            rows.loc[(rows["counted_at"] == at) & (rows.index % 2 == 0), "bike_count"] = 9_000
        return rows

    cities = [open_city(tmp_path / name) for name in ("at once", "in parts")]
    ingest(cities[0], StubSource(with_outliers), first, last)
    for part in [*Span(first, last - timedelta(days=4)).chunks(9), *Span(last - timedelta(days=3), last).chunks(1)]:
        ingest(cities[1], StubSource(with_outliers), part.first, part.last)
    at_once, in_parts = (city.query(COUNTS).drop(columns="ingested_at") for city in cities)
    pd.testing.assert_frame_equal(at_once, in_parts)
    assert at_once["is_outlier"].sum() > 0
    figures = "SELECT day, rows_kept, outliers, hours, counters, counters_before FROM monitoring_audit.ingestions"
    pd.testing.assert_frame_equal(*(city.query(f"{figures} ORDER BY day") for city in cities))


def test_outliers_are_kept_and_flagged_and_not_learned_from(young: City):
    from bike_assets.resources.queries.counts import read_counts

    def with_an_outlier(rows):
        rows.loc[on(rows, last) & (rows["counted_at"].dt.hour == 10), "bike_count"] = 11_000
        return rows

    last = DAY + timedelta(days=20)
    audit = ingest(young, StubSource(with_an_outlier), DAY, last)
    assert audit["outliers"].tolist() == [0] * 20 + [6]
    flagged = young.query("SELECT bike_count FROM bike_traffic_raw.comptage_velo WHERE is_outlier")
    assert flagged["bike_count"].tolist() == [11_000] * 6
    learned = read_counts(young.resource("warehouse"), Span(last, last))
    assert len(learned) == 144 - 6
    assert learned["bike_count"].max() < 11_000


def test_the_first_ingestion_claims_its_home(tmp_path, open_city):
    young = open_city(tmp_path, source="simulator")
    (tmp_path / "home.json").unlink()
    first_day = outline_home(young.settings).first_day
    assert young.run("daily", first_day, asset_selection=[dg.AssetKey("raw_counts")]).success
    assert (tmp_path / "home.json").exists()


def test_a_run_reports_what_it_read_and_which_days_it_left(young: City):
    from bike_assets.build import build_defs

    source = StubSource()
    source.unreliable = {DAY}
    defs = build_defs(settings=young.settings, resource_overrides={"counts_source": source})
    run = defs.resolve_job_def("ingest").execute_in_process(
        instance=young.instance,
        tags={
            "dagster/asset_partition_range_start": str(DAY - timedelta(days=1)),
            "dagster/asset_partition_range_end": str(DAY + timedelta(days=1)),
        },
        asset_selection=[dg.AssetKey("raw_counts")],
        raise_on_error=False,
    )
    metadata = run.asset_materializations_for_node("raw_counts")[0].metadata
    assert metadata["source"].value == "a stub"
    assert (
        metadata["rows_read"].value
        == metadata["rows_added"].value
        == metadata["dagster/partition_row_count"].value
        == 288
    )
    assert metadata["days_left_as_they_were"].value == str(DAY)
    assert metadata["counters"].value == 6


def test_the_counters_are_as_last_published(city: City):
    assert city.run("daily", FIRST_DAY, asset_selection=[dg.AssetKey("counters")]).success
    counters = city.query("SELECT counter_id, first_day, hours, state FROM bike_traffic_raw.counters")
    assert len(counters) == 6
    assert counters["first_day"].min() == pd.Timestamp(FIRST_DAY)
    assert set(counters["state"]) == {"active"}


def test_a_counter_has_the_name_and_place_of_its_newest_row_and_its_state(young: City):
    last = DAY + timedelta(days=29)

    def change(rows):
        ids = sorted(rows["counter_id"].unique())
        late = rows["counted_at"] >= pd.Timestamp(last, tz=ZONE) + pd.Timedelta(hours=12)
        rows.loc[late & (rows["counter_id"] == ids[0]), ["counter_name", "latitude"]] = ["renamed", 48.5]
        rows.loc[(rows["counter_id"] == ids[1]) & ~on(rows, DAY), "bike_count"] = 0
        return rows[(rows["counter_id"] != ids[2]) | on(rows, DAY)]

    ingest(young, StubSource(change), DAY, last)
    run = young.run("daily", DAY, asset_selection=[dg.AssetKey("counters")])
    counters = young.query("SELECT * FROM bike_traffic_raw.counters ORDER BY counter_id")
    assert counters.loc[0, ["counter_name", "latitude", "state"]].tolist() == ["renamed", 48.5, "active"]
    assert counters["state"].tolist()[:3] == ["active", "silent", "gone"]
    metadata = run.asset_materializations_for_node("counters")[0].metadata
    states = ("active", "new", "silent", "gone")
    assert [metadata[f"counters_{state}"].value for state in states] == [
        (counters["state"] == state).sum() for state in states
    ]
    assert counters.loc[2, "counter_name"] in metadata["not_active"].value
