"""The assembly: each home gets its own days, zone and resources, whatever the environment holds."""

from datetime import date

import dagster as dg
import pytest

from bike_assets.build import build_defs
from bike_assets.home.record import Home
from bike_assets.settings import Settings

DAILY = ("raw_counts", "weather", "hourly_features", "predictions", "champion_performance", "drift_report")


@pytest.fixture
def homes(tmp_path) -> dict[str, Home]:
    """Two homes of different first days and zones."""
    paris = Home(tmp_path / "paris", "simulator", date(2021, 1, 1), None, "Europe/Paris", seed=7, counters=6)
    montreal = Home(tmp_path / "montreal", "simulator", date(2024, 3, 9), None, "America/Montreal", seed=7, counters=6)
    for home in (paris, montreal):
        home.claim()
    return {"paris": paris, "montreal": montreal}


def definitions(home: Home) -> dg.Definitions:
    return build_defs(settings=Settings(home=home.folder, timezone=home.timezone))


@pytest.mark.parametrize("elsewhere", ["paris", "montreal"])
def test_homes_of_one_process_have_their_own_days_and_zones(homes, monkeypatch, elsewhere):
    monkeypatch.setenv("BIKE_HOME", str(homes[elsewhere].folder))
    monkeypatch.setenv("BIKE_TIMEZONE", homes[elsewhere].timezone)
    both = {name: definitions(home) for name, home in homes.items()}
    for name, home in homes.items():
        graph = both[name].resolve_asset_graph()
        days = [graph.get(dg.AssetKey(asset)).partitions_def for asset in DAILY]
        assert {(each.start.date(), each.timezone) for each in days} == {(home.first_day, home.timezone)}
        assert graph.get(dg.AssetKey("counters")).partitions_def is None
        zones = {schedule.execution_timezone for schedule in both[name].schedules}
        assert zones == {home.timezone}
        assert both[name].resources["home"] == home
        assert both[name].resources["warehouse"].folder == home.warehouse


def test_jobs_by_day_have_the_days_of_their_home(homes):
    for home in homes.values():
        job = definitions(home).resolve_job_def("daily")
        assert job.partitions_def.get_first_partition_key() == home.first_day.isoformat()


def test_a_home_whose_source_ends_has_days_to_its_end(tmp_path):
    last = date(2021, 6, 30)
    Home(tmp_path, "file", date(2021, 4, 1), last, "Europe/Paris", file=tmp_path / "counts.csv", digest="0").claim()
    days = build_defs(settings=Settings(home=tmp_path)).resolve_asset_graph().get(dg.AssetKey("weather")).partitions_def
    assert days.get_last_partition_key() == last.isoformat()
