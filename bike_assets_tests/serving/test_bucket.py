"""The API over a bucket: its champion serves, a promotion takes over, an outage changes nothing."""

import pytest

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.resources import gcs as client
from bike_assets.resources.profiles import open_registry, open_reports
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City, poll
from serving.keeper import Keeper
from serving.metrics import Metrics

SWAP_SECONDS = 10


@pytest.fixture
def settings(city: City, gcs, monkeypatch) -> Settings:
    """Settings of a home whose registry was copied to a bucket; its counts are in files."""
    monkeypatch.setattr("serving.keeper.open_warehouse", lambda _: LocalWarehouse(city.home.warehouse))
    monkeypatch.setattr(client, "RETRY_SECONDS", 1.0)
    gcp = GcpSettings(project="bikes", bucket=gcs.make_bucket(), storage_endpoint=gcs.endpoint)
    settings = city.settings.model_copy(update={"profile": "gcp", "gcp": gcp})
    here, there = city.resource("registry"), open_registry(settings)
    summary = here.read()
    for entry in summary.models:
        content = (city.home.registry / entry.model_file).read_bytes()
        assert there.write_model(entry.family, content, entry.sha256) == entry.model_file
        there.add(entry.model_copy(update={"is_champion": False, "first_champion": False}))
    there.promote(summary.champion.version, LAST_DAY.isoformat())
    return settings


@pytest.fixture
def keeper(settings: Settings) -> Keeper:
    keeper = Keeper(settings, Metrics())
    keeper.check()
    return keeper


def test_the_champion_of_the_bucket_serves_and_its_replacement_takes_over(city: City, settings, serve):
    api, registry = serve(settings), open_registry(settings)
    served = registry.read().champion.version
    assert api.get("/champion").json()["version"] == served
    other = next(entry.version for entry in registry.read().models if not entry.is_champion)
    registry.promote(other, LAST_DAY.isoformat())
    poll(lambda: api.get("/champion").json()["version"] == other, SWAP_SECONDS, "the promotion")
    assert city.resource("registry").read().champion.version == served


def test_while_the_bucket_cannot_be_read_the_champion_keeps_serving(gcs, settings, keeper):
    champion = keeper.current().champion.entry.version
    for status in (503, 403):
        with gcs.fault(status):
            keeper.check()
        assert "The registry cannot be read" in keeper.troubles["registry"].detail
        assert settings.gcp.bucket not in keeper.troubles["registry"].detail
        assert keeper.current().champion.entry.version == champion
        poll(lambda: keeper.check() or not keeper.troubles, SWAP_SECONDS, "the bucket to be readable again")


def test_the_summary_is_not_read_again_while_nothing_changes(keeper, monkeypatch):
    monkeypatch.setattr(client.BucketFolder, "read", lambda *_: pytest.fail("the summary was read again"))
    keeper.check()
    assert not keeper.troubles


def test_a_drift_report_of_the_bucket_is_served_and_nothing_beside_it(settings, serve):
    api, registry = serve(settings), open_registry(settings)
    with open_reports(settings).writing(LAST_DAY) as path:
        path.write_text("<html>drifted</html>")
    report = api.get(f"/reports/drift-{LAST_DAY}.html")
    assert "drifted" in report.text
    assert report.headers["content-type"].startswith("text/html")
    assert api.head(f"/reports/drift-{LAST_DAY}.html").is_success
    assert registry.read().champion
    for path in ("drift-1999-01-01.html", "..%2fregistry%2fsummary.json", "%2e%2e/registry/summary.json", "", "a.html"):
        assert api.get(f"/reports/{path}").status_code == 404
