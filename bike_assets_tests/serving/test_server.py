"""The API: the champion's day ahead, plain refusals, and a new champion without a restart."""

from datetime import timedelta

import dagster as dg
import pytest
from fastapi.testclient import TestClient

from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City, poll
from serving.server import create_app

NOON = f"{LAST_DAY + timedelta(days=1)}T12:00:00+02:00"


@pytest.fixture
def api(city: City) -> TestClient:
    return TestClient(create_app(city.settings))


@pytest.fixture
def counters(city: City):
    return city.query("SELECT counter_id, counter_name FROM bike_traffic_raw.counters ORDER BY counter_id")


def ask(api: TestClient, *records: dict):
    return api.post("/predict", json={"records": list(records)})


def test_it_answers_what_the_graph_forecast(city: City, api, counters):
    issued = city.query(
        "SELECT counter_id, predicted_count FROM bike_traffic_predictions.predictions "
        "WHERE issued_on = @day AND counted_at = TIMESTAMP('2021-10-08 10:00:00+00') ORDER BY counter_id",
        day=LAST_DAY,
    )
    answer = ask(api, *({"counter_id": counter, "at": NOON} for counter in issued["counter_id"])).json()
    assert answer["predictions"] == issued["predicted_count"].tolist()
    assert answer["details"][0] == {"known_counter": True, "horizon_days": 1}
    champion = city.resource("registry").read().champion
    assert answer["model_metadata"]["run_id"] == champion.run_id
    assert answer["model_metadata"]["r2"] == champion.scores["test_current"]["r2"]


def test_a_counter_may_be_named_and_any_minute_means_its_hour(api, counters):
    by_id = ask(api, {"counter_id": counters["counter_id"][0], "at": NOON}).json()
    by_name = ask(api, {"counter_name": counters["counter_name"][0], "at": NOON.replace("12:00", "12:59")}).json()
    assert by_id["predictions"] == by_name["predictions"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"counter_id": "nowhere", "at": NOON}, "nowhere"),
        ({"counter_name": "Rue de Nulle Part", "at": NOON}, "Rue de Nulle Part"),
        ({"at": NOON}, "give counter_id or counter_name"),
        ({"counter_id": "a", "counter_name": "b", "at": NOON}, "give counter_id or counter_name"),
        ({"counter_id": "a", "at": "2021-10-08T12:00:00"}, "timezone"),
        ({"counter_id": "a", "at": "soon"}, "datetime"),
    ],
)
def test_a_record_that_cannot_be_answered_is_a_422_that_names_it(api, record, said):
    answer = ask(api, record)
    assert answer.status_code == 422
    assert said in answer.text


@pytest.mark.parametrize("day", [LAST_DAY, LAST_DAY + timedelta(days=2)])
def test_another_day_than_the_one_ahead_is_a_422_that_names_the_range(api, counters, day):
    answer = ask(api, {"counter_id": counters["counter_id"][0], "at": f"{day}T12:00:00+02:00"})
    assert answer.status_code == 422
    assert "2021-10-07T22:00:00+00:00 to 2021-10-08T22:00:00+00:00" in answer.json()["detail"]


def test_no_records_and_too_many_are_refused(api):
    assert ask(api).status_code == 422
    assert ask(api, *[{"counter_id": "a", "at": NOON}] * 10_001).status_code == 422


def test_without_a_champion_it_lives_and_says_how_to_make_one(tmp_path):
    api = TestClient(create_app(Settings(home=tmp_path)))
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/champion").status_code == 503
    assert "make materialize" in ask(api, {"counter_id": "a", "at": NOON}).json()["detail"]


def test_a_broken_registry_is_a_503_that_names_the_file(city: City, api):
    (city.home.registry / "summary.json").write_text("{")
    answer = api.get("/champion")
    assert answer.status_code == 503
    assert "summary.json" in answer.json()["detail"]


def test_a_promotion_and_a_new_day_are_picked_up_without_a_restart(city: City, api):
    assert api.get("/champion").json()["forecast_day"] == "2021-10-08"
    registry = city.resource("registry")
    first = registry.read().champion
    registry.add(first.model_copy(update={"version": 9, "fingerprint": "other", "is_champion": False}))
    registry.promote(9, LAST_DAY.isoformat())
    poll(lambda: api.get("/champion").json()["version"] == 9, 5, "the promotion")
    ingested = [dg.AssetKey(name) for name in ("raw_counts", "counters", "predictions")]
    assert city.run("daily", LAST_DAY + timedelta(days=1), asset_selection=ingested).success
    poll(lambda: api.get("/champion").json()["forecast_day"] == "2021-10-09", 5, "the new day")


def test_a_drift_report_is_served_and_nothing_beside_it(city: City, api):
    (city.home.reports).mkdir(exist_ok=True)
    (city.home.reports / "drift-2021-10-07.html").write_text("<html>drifted</html>")
    assert "drifted" in api.get("/reports/drift-2021-10-07.html").text
    for path in ("/reports/drift-1999-01-01.html", "/reports/../home.json", "/reports/%2e%2e/home.json", "/reports/"):
        assert api.get(path).status_code == 404
