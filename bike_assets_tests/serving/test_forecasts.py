"""The endpoints that only read: counters, forecasts, counts, champion, models; and their OpenAPI document."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from bike_assets_tests.conftest import LAST_DAY, City


@pytest.fixture
def counter(api) -> dict:
    return api.get("/counters").json()[0]


def test_every_counter_is_listed_with_its_position_and_last_count(city: City, api):
    listed = {each["counter_id"]: each for each in api.get("/counters").json()}
    rows = city.query("SELECT * FROM bike_traffic_raw.counters")
    assert set(listed) == set(rows["counter_id"])
    for row in rows.itertuples():
        counter = listed[row.counter_id]
        assert (counter["counter_name"], counter["latitude"], counter["state"]) == (
            row.counter_name,
            row.latitude,
            row.state,
        )
        assert counter["has_forecast"]
    newest = city.query(
        "SELECT counter_id, counted_at, bike_count FROM bike_traffic_raw.comptage_velo WHERE day = @day "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY counter_id ORDER BY counted_at DESC) = 1",
        day=LAST_DAY,
    )
    for row in newest.itertuples():
        counter = listed[row.counter_id]
        assert datetime.fromisoformat(counter["last_counted_at"]) == row.counted_at
        assert counter["last_count"] == row.bike_count


@pytest.mark.parametrize("days", [1, 2, 3])
def test_the_next_days_are_the_champions_forecast_from_midnight_on(city: City, api, counter, days):
    answer = api.get(f"/forecast/{counter['counter_id']}", params={"days": days}).json()
    issued = city.query(
        "SELECT counted_at, horizon_days, predicted_count, naive_count FROM bike_traffic_predictions.predictions "
        "WHERE issued_on = @day AND counter_id = @counter AND model_version = @version AND horizon_days <= @days "
        "ORDER BY counted_at",
        day=LAST_DAY,
        counter=counter["counter_id"],
        version=answer["version"],
        days=days,
    )
    hours = answer["hours"]
    assert hours[0]["at"] == "2021-10-08T00:00:00+02:00"
    assert [datetime.fromisoformat(hour["at"]) for hour in hours] == issued["counted_at"].tolist()
    for name in ("horizon_days", "predicted_count", "naive_count"):
        np.testing.assert_allclose([hour[name] for hour in hours], issued[name], rtol=1e-5)
    assert (answer["timezone"], answer["counts_until"]) == ("Europe/Paris", "2021-10-07")


def test_the_last_days_have_counts_and_their_hindcasts(city: City, api, counter):
    hours = api.get(f"/counts/{counter['counter_id']}").json()["hours"]
    counted = city.query(
        "SELECT counted_at, bike_count FROM bike_traffic_raw.comptage_velo "
        "WHERE counter_id = @counter AND day > @before ORDER BY counted_at",
        counter=counter["counter_id"],
        before=LAST_DAY - timedelta(days=7),
    )
    assert len(hours) == 7 * 24
    shown = {datetime.fromisoformat(hour["at"]): hour["bike_count"] for hour in hours if hour["bike_count"] is not None}
    assert shown == dict(zip(counted["counted_at"], counted["bike_count"], strict=True))
    assert all(hour["predicted_count"] > 0 for hour in hours)
    assert len(api.get(f"/counts/{counter['counter_id']}", params={"days": 1}).json()["hours"]) == 24


def test_champion_and_models_are_those_of_the_registry(city: City, api):
    summary = city.resource("registry").read()
    champion = api.get("/champion").json()
    assert champion["version"] == summary.champion.version
    assert champion["scores"] == summary.champion.scores
    assert (champion["first_hour"], champion["end"]) == ("2021-10-01T00:00:00+02:00", "2021-10-11T00:00:00+02:00")
    listed = api.get("/models").json()
    assert [each["version"] for each in listed] == sorted((e.version for e in summary.models), reverse=True)
    assert [each["version"] for each in listed if each["is_champion"]] == [summary.champion.version]
    assert date.fromisoformat(listed[0]["trained_until"]) < LAST_DAY


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/forecast/nowhere", 404),
        ("/counts/nowhere", 404),
        (f"/forecast/{'x' * 201}", 422),
        ("/forecast/{id}?days=0", 422),
        ("/forecast/{id}?days=4", 422),
        ("/counts/{id}?days=8", 422),
        ("/counts/{id}?days=soon", 422),
        ("/nix", 404),
    ],
)
def test_what_does_not_exist_is_refused_with_a_message(api, counter, path, status):
    answer = api.get(path.replace("{id}", counter["counter_id"]))
    assert answer.status_code == status
    assert len(answer.json()["detail"]) > 10


def test_the_documentation_needs_no_other_host(api):
    for path in ("/docs", "/redoc"):
        page = api.get(path).text
        assert "://" not in page.replace("http://testserver", "")


def test_the_document_describes_every_endpoint_with_examples(api):
    document = api.get("/openapi.json").json()
    assert {"/predict", "/forecast/{counter_id}", "/counters", "/counts/{counter_id}", "/champion", "/models"} <= set(
        document["paths"]
    )
    operations = {"/train", "/evaluate", "/drift", "/promote_champion", "/runs/{run_id}"}
    assert operations | {"/healthz", "/readyz", "/metrics"} <= set(document["paths"])
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) == 3
    record = document["components"]["schemas"]["Record"]["properties"]
    assert {"counter_id", "at", "nom_du_compteur", "coordonnées_géographiques"} <= set(record)
