"""Ids, limits, the log and metrics of requests; no answer shows internals."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bike_assets_tests.conftest import City
from bike_assets_tests.serving.conftest import KEY, predict
from serving.metrics import Metrics


def samples(api, name: str) -> dict[tuple, float]:
    """Return the samples of a metric by their labels' values."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(api.get("/metrics").text)
        for sample in family.samples
        if sample.name == name
    }


def test_a_request_keeps_a_valid_id_or_gets_a_new_one(api):
    assert api.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    for odd in ("", "a b", "x" * 65, "é".encode()):
        assert len(api.get("/healthz", headers={"X-Request-ID": odd}).headers["X-Request-ID"]) == 32


def test_labels_are_templates_and_never_paths(api):
    for path in ("/forecast/nowhere", "/forecast/somewhere", "/nix", "/nix/else", "/reports/none.html", "/healthz"):
        api.get(path)
    api.request("BREW", "/healthz")
    predict(api, {"counter_id": "x", "at": "soon"})
    counted = samples(api, "fastapi_requests_total")
    assert counted["/forecast/{counter_id}", "GET", "404"] == 2
    assert counted["unmatched", "GET", "404"] == 2
    assert counted["/reports", "GET", "404"] == 1
    assert counted["/predict", "POST", "422"] == 1
    assert counted["/healthz", "OTHER", "405"] == 1
    seconds = samples(api, "fastapi_request_duration_seconds_count")
    assert seconds["/forecast/{counter_id}", "GET"] == 2


def test_a_failure_of_an_unknown_method_is_counted_as_other():
    metrics = Metrics()
    metrics.observe_request("BREW", "/predict", 500, 0.1)
    exposed = metrics.exposition().decode()
    assert 'fastapi_errors_total{endpoint="/predict",method="OTHER",status_code="500"} 1.0' in exposed
    assert "BREW" not in exposed


def test_predictions_are_counted_by_version_and_for_unknown_counters(city: City, api):
    counter = api.get("/counters").json()[0]["counter_id"]
    champion = city.resource("registry").read().champion
    record = {"counter_id": counter, "at": "2021-10-08T12:00:00+02:00"}
    predict(api, *[record] * 5)
    predict(api, record)
    assert samples(api, "bike_api_predictions_total") == {(champion.family, str(champion.version)): 6}
    assert samples(api, "bike_api_unknown_counter_predictions_total") == {(): 0}
    assert samples(api, "bike_api_champion_version") == {(): champion.version}
    assert samples(api, "bike_api_counts_end_timestamp_seconds") == {(): 1633644000}
    assert set(samples(api, "bike_api_part_readable").values()) == {1}


def test_a_large_body_is_refused_with_and_without_its_length(city: City, serve):
    api = serve(city.settings.model_copy(update={"api_max_body_bytes": 2000}))
    for content in (b"x" * 2001, (b"x" * 500 for _ in range(5))):
        refused = api.post("/predict", content=content)
        assert (refused.status_code, refused.json()["error"]) == (413, "body_too_large")
        assert "2,000 bytes" in refused.json()["detail"]
    assert api.post("/train", content=b"x" * 2001).status_code == 413


def test_a_failure_shows_no_details_and_is_logged_with_its_id(api, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/place is broken")

    monkeypatch.setattr("serving.routes.forecasts._find_counter", fail)
    answer = api.get("/forecast/a")
    assert (answer.status_code, answer.json()["error"]) == (500, "failed")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    logged = capsys.readouterr()
    assert answer.headers["X-Request-ID"] in logged.out + logged.err
    assert samples(api, "fastapi_errors_total")["/forecast/{counter_id}", "GET", "500"] == 1


def test_only_named_sites_may_read_answers(city: City, api, serve):
    here, there = {"Origin": "https://here.example"}, {"Origin": "https://there.example"}
    answer = api.get("/healthz", headers=here)
    assert "access-control-allow-origin" not in answer.headers
    open_api = serve(city.settings.model_copy(update={"api_cors_origins": here["Origin"]}))
    assert open_api.get("/healthz", headers=here).headers["access-control-allow-origin"] == here["Origin"]
    assert "access-control-allow-origin" not in open_api.get("/healthz", headers=there).headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_drift_report_is_served_and_nothing_beside_it(city: City, api):
    (city.home.reports).mkdir(exist_ok=True)
    (city.home.reports / "drift-2021-10-07.html").write_text("<html>drifted</html>")
    assert "drifted" in api.get("/reports/drift-2021-10-07.html").text
    for path in ("/reports/drift-1999-01-01.html", "/reports/../home.json", "/reports/%2e%2e/home.json", "/reports/"):
        assert api.get(path).status_code == 404


def test_endpoints_that_start_jobs_need_a_key(city: City, api, serve):
    bodies = {"/train": {}, "/evaluate": None, "/drift": {}, "/promote_champion": {"version": 1, "reason": "x"}}
    closed = serve(city.settings)
    for path, body in bodies.items():
        shut = closed.post(path, json=body, headers={"X-API-Key": KEY})
        assert (shut.status_code, shut.json()["error"]) == (403, "no_keys_set")
        assert "BIKE_API_KEYS=name:key" in shut.json()["detail"]
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": f"{KEY}x"}):
            refused = api.post(path, json=body, headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (401, "unknown_key")
    assert api.get("/runs/0d1f7c1e-0000-4000-8000-000000000000").status_code == 401


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_has_one_line_per_request(city: City, log_format, tmp_path):
    import os
    import subprocess
    import sys

    script = (
        "from fastapi.testclient import TestClient; from serving.server import app_from_environment\n"
        "with TestClient(app_from_environment()) as api: api.get('/nix', headers={'X-Request-ID': 'mine'})"
    )
    environment = {**os.environ, "BIKE_HOME": str(city.home.folder), "BIKE_LOG_FORMAT": log_format}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    [line] = [line for line in done.stderr.splitlines() if "/nix" in line]
    if log_format == "json":
        logged = json.loads(line)
        assert (logged["path"], logged["status"], logged["request_id"]) == ("/nix", 404, "mine")
    else:
        assert "method=GET path=/nix status=404" in line
        assert "request_id=mine" in line
