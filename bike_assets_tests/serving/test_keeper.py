"""Swaps: changes on disk are served within seconds; after a failure the last good state keeps serving."""

import json
from datetime import timedelta

import dagster as dg
import numpy as np
import pytest

from bike_assets.core.features import FEATURES
from bike_assets_tests.conftest import LAST_DAY, City, poll
from bike_assets_tests.serving.conftest import predict
from serving.keeper import Keeper
from serving.metrics import Metrics

NOON = f"{LAST_DAY + timedelta(days=1)}T12:00:00+02:00"
SWAP_SECONDS = 5


@pytest.fixture
def keeper(city: City) -> Keeper:
    keeper = Keeper(city.settings, Metrics())
    keeper.check()
    return keeper


@pytest.fixture
def summary_file(city: City):
    return city.home.registry / "summary.json"


def promote(city: City, version: int) -> None:
    city.resource("registry").promote(version, LAST_DAY.isoformat())


def others(city: City) -> list[int]:
    return [entry.version for entry in city.resource("registry").read().models if not entry.is_champion]


def test_a_promotion_is_served_within_seconds_by_the_named_version(city: City, api):
    counter = api.get("/counters").json()[0]["counter_id"]
    before = predict(api, {"counter_id": counter, "at": NOON}).json()
    version = others(city)[0]
    expected = predict(api, {"counter_id": counter, "at": NOON}, model=version).json()["predictions"]
    promote(city, version)
    poll(lambda: api.get("/champion").json()["version"] == version, SWAP_SECONDS, "the promotion")
    after = predict(api, {"counter_id": counter, "at": NOON}).json()
    assert after["predictions"] == expected != before["predictions"]
    assert after["model_metadata"]["version"] == version
    assert after["model_metadata"]["is_champion"]
    sample = f"bike_api_champion_version {version}.0"
    poll(lambda: sample in api.get("/metrics").text, SWAP_SECONDS, sample)
    assert "bike_api_champion_swaps_total 1.0" in api.get("/metrics").text


def test_a_new_day_is_served_without_a_restart(city: City, api):
    assert api.get("/champion").json()["counts_until"] == "2021-10-07"
    ingested = [dg.AssetKey(name) for name in ("raw_counts", "counters", "predictions")]
    assert city.run("daily", LAST_DAY + timedelta(days=1), asset_selection=ingested).success
    poll(lambda: api.get("/champion").json()["counts_until"] == "2021-10-08", SWAP_SECONDS, "the new day")
    assert api.get("/champion").json()["end"] == "2021-10-12T00:00:00+02:00"


@pytest.mark.parametrize("broken", [b"", b'{"models": [', b'{"models": 3}', b'{"models": []}', b"\xff"])
def test_a_broken_registry_keeps_the_champion_is_reported_and_recovers(city: City, api, summary_file, broken):
    served, whole = api.get("/champion").json(), summary_file.read_bytes()
    summary_file.write_bytes(broken)
    poll(lambda: api.get("/readyz").json()["status"] == "degraded", SWAP_SECONDS, "the trouble")
    ready = api.get("/readyz")
    assert ready.is_success
    assert [each["part"] for each in ready.json()["troubles"]] == ["registry"]
    assert str(city.home.folder) not in ready.text
    unread = 'bike_api_part_readable{part="registry"} 0.0'
    poll(lambda: unread in api.get("/metrics").text, SWAP_SECONDS, unread)
    assert api.get("/champion").json() == served
    summary_file.write_bytes(whole)
    poll(lambda: api.get("/readyz").json()["status"] == "ready", SWAP_SECONDS, "the end of the trouble")
    poll(lambda: unread not in api.get("/metrics").text, SWAP_SECONDS, "the metric's recovery")


def test_a_missing_registry_keeps_the_champion(keeper: Keeper, summary_file):
    before = keeper.current()
    summary_file.unlink()
    keeper.check()
    assert keeper.current() is before
    assert "no longer names a champion" in keeper.troubles["registry"].detail


def test_a_file_with_another_digest_is_not_served(city: City, keeper: Keeper):
    before, version = keeper.current(), others(city)[0]
    registry = city.resource("registry")
    path = registry.folder / registry.read().entry(version).model_file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    promote(city, version)
    keeper.check()
    assert keeper.current() is before
    assert keeper.troubles["champion"].detail.startswith("The champion's file cannot be served")
    path.write_bytes(whole)
    poll(lambda: keeper.check() or keeper.current() is not before, SWAP_SECONDS, "the healed file")
    assert keeper.current().champion.entry.version == version
    assert not keeper.troubles


def test_new_counts_are_served_by_the_old_champion_while_the_new_one_cannot_be_loaded(city: City, keeper: Keeper):
    version = others(city)[0]
    registry, before = city.resource("registry"), keeper.current()
    (registry.folder / registry.read().entry(version).model_file).unlink()
    promote(city, version)
    assert city.run("daily", LAST_DAY + timedelta(days=1), asset_selection=[dg.AssetKey("raw_counts")]).success
    keeper.check()
    serving = keeper.current()
    assert serving.champion.entry == before.champion.entry
    assert serving.city.newest == LAST_DAY + timedelta(days=1)
    assert np.isfinite(serving.champion.forecasts[-1]).all()


def test_after_unreadable_counts_the_last_counts_are_served(city: City, keeper: Keeper):
    before = keeper.current()
    day = city.home.warehouse / "monitoring_audit" / "ingestions"
    newest = max(day.rglob("*.parquet"))
    newest.rename(newest.with_suffix(".away"))
    broken = newest.with_name("rows-9-broken.parquet")
    broken.write_bytes(b"no parquet")
    keeper.check()
    assert keeper.current() is before
    assert "The counts cannot be read" in keeper.troubles["counts"].detail


def test_forecasts_that_are_not_finite_are_not_served(city: City, monkeypatch):
    monkeypatch.setattr("serving.city.model_inputs", lambda codes, _: np.full((len(codes), len(FEATURES) + 1), np.nan))
    keeper = Keeper(city.settings, Metrics())
    keeper.check()
    assert keeper.serving is None
    assert "champion" in keeper.troubles


def test_the_number_of_other_versions_in_memory_is_limited(city: City, keeper: Keeper, monkeypatch):
    monkeypatch.setattr("serving.keeper.MAX_OTHER_VERSIONS", 2)
    serving = keeper.current()
    for version in others(city):
        assert keeper.version(serving, version).entry.version == version
    assert list(serving.others) == others(city)[-2:]


def test_the_readable_summary_survives_for_a_rollback(keeper: Keeper, summary_file):
    known = [entry.version for entry in keeper.summary.models]
    summary_file.write_text(json.dumps({"models": "gone"}))
    keeper.check()
    assert [entry.version for entry in keeper.summary.models] == known
