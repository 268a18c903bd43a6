"""A part that fails or hangs is reported, recovers, and does not affect the others."""

import sqlite3
import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bike_assets.exporter.collector import Part, Parts
from bike_assets.exporter.names import Sample
from bike_assets.settings import Settings
from bike_assets_tests.conftest import City, poll
from bike_assets_tests.exporter.test_figures import Scraped


def exposed(*parts: Part) -> str:
    registry = CollectorRegistry()
    registry.register(Parts(parts))
    return generate_latest(registry).decode()


def healthy() -> Part:
    return Part("healthy", lambda: None, lambda: [Sample("bike_champion_version", 3)])


def test_a_failing_part_is_reported_and_the_others_are_exposed():
    def fail() -> list[Sample]:
        raise OSError("/secret/place")

    text = exposed(healthy(), Part("broken", lambda: None, fail))
    assert 'bike_exporter_part_readable{part="broken"} 0.0' in text
    assert 'bike_exporter_part_readable{part="healthy"} 1.0' in text
    assert "bike_champion_version 3.0" in text
    assert "secret" not in text


def test_a_hanging_part_is_left_out_until_it_is_read(monkeypatch):
    monkeypatch.setattr("bike_assets.exporter.collector.WAIT_SECONDS", 0.1)
    free, reads = threading.Event(), []

    def slow() -> list[Sample]:
        reads.append(1)
        free.wait(60)
        return [Sample("bike_drift_share", 0.5)]

    registry = CollectorRegistry()
    registry.register(Parts([healthy(), Part("slow", lambda: 1, slow)]))
    for _ in range(3):
        text = generate_latest(registry).decode()
        assert 'bike_exporter_part_readable{part="slow"} 0.0' in text
        assert "bike_champion_version 3.0" in text
    assert len(reads) == 1
    free.set()
    poll(lambda: "bike_drift_share 0.5" in generate_latest(registry).decode(), 5, "the slow part")
    assert len(reads) == 1


def test_a_scrape_waits_for_new_figures_only_if_the_old_ones_are_too_old(monkeypatch):
    monkeypatch.setattr("bike_assets.exporter.collector.WAIT_SECONDS", 0.1)
    state, free = {"now": 1}, threading.Event()

    def read() -> list[Sample]:
        if state["now"] > 1:
            free.wait(60)
        return [Sample("bike_drift_share", state["now"])]

    registry = CollectorRegistry()
    registry.register(Parts([Part("part", lambda: state["now"], read)], patience=0.01))
    assert "bike_drift_share 1.0" in generate_latest(registry).decode()
    state["now"] = 2
    text = generate_latest(registry).decode()
    assert "bike_drift_share 1.0" in text
    assert 'bike_exporter_part_readable{part="part"} 1.0' in text
    monkeypatch.setattr("bike_assets.exporter.collector.MAX_STALE_SECONDS", 0)
    text = generate_latest(registry).decode()
    assert "bike_drift_share" not in text
    assert 'bike_exporter_part_readable{part="part"} 0.0' in text
    free.set()
    poll(lambda: "bike_drift_share 2.0" in generate_latest(registry).decode(), 5, "the new figures")


def test_old_figures_are_not_exposed_after_a_failed_read():
    now = {"state": 1, "broken": False}

    def read() -> list[Sample]:
        if now["broken"]:
            raise OSError
        return [Sample("bike_drift_share", now["state"])]

    registry = CollectorRegistry()
    registry.register(Parts([Part("part", lambda: now["state"], read)]))
    assert "bike_drift_share 1.0" in generate_latest(registry).decode()
    now |= {"state": 2, "broken": True}
    assert "bike_drift_share" not in generate_latest(registry).decode()
    now["broken"] = False
    assert "bike_drift_share 2.0" in generate_latest(registry).decode()


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_home_is_readable(tmp_path, made):
    if made:
        from bike_assets_tests.conftest import claim

        claim(tmp_path)
    scraped = Scraped(Settings(home=tmp_path))
    assert set(scraped.of("bike_exporter_part_readable").values()) == {1}
    assert scraped.of("bike_champion_version") == {}
    assert scraped.of("bike_build_info")


def test_a_broken_registry_and_a_missing_warehouse_are_reported_and_recover(city: City):
    scraped = Scraped(city.settings)
    summary, warehouse = city.home.registry / "summary.json", city.home.warehouse
    whole = summary.read_bytes()
    summary.write_text("{")
    warehouse.rename(warehouse.with_name("away"))
    unread = {key for key, value in scraped.of("bike_exporter_part_readable").items() if not value}
    assert unread == {("models",), ("forecasts",)} or unread == {("models",)}
    assert scraped.of("bike_runs_total")
    summary.write_bytes(whole)
    warehouse.with_name("away").rename(warehouse)
    assert set(scraped.of("bike_exporter_part_readable").values()) == {1}
    assert scraped.of("bike_model_r2")


def test_a_locked_database_of_dagster_is_reported_and_recovers(city: City, monkeypatch):
    monkeypatch.setattr("bike_assets.exporter.collector.WAIT_SECONDS", 0.5)
    scraped = Scraped(city.settings)
    poll(lambda: scraped.of("bike_runs_total"), 20, "the first reading")
    database = next(city.home.dagster.rglob("runs.db"))
    with sqlite3.connect(database, isolation_level=None) as locking:
        locking.execute("PRAGMA locking_mode = EXCLUSIVE")
        locking.execute("BEGIN EXCLUSIVE")
        poll(lambda: not scraped.of("bike_exporter_part_readable")[("runs",)], 20, "the lock to be noticed")
        assert scraped.of("bike_model_r2")
        locking.execute("ROLLBACK")
    locking.close()
    poll(lambda: scraped.of("bike_exporter_part_readable")[("runs",)], 60, "its end")
    assert scraped.of("bike_runs_total")
