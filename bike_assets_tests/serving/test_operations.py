"""Jobs started over the API: requests to Dagster, answers, and errors while Dagster is not available.

Dagster is a stand-in here; `whole.test_run` uses the real one.
"""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from bike_assets.core.families import FAMILIES
from bike_assets_tests.conftest import LAST_DAY, City
from bike_assets_tests.serving.conftest import KEY
from bike_assets_tests.serving.processes import FakeDagster

ALICE = {"X-API-Key": KEY}
REASON = {"bike/reason": "alice asked for it through the API"}


@pytest.fixture
def dagster() -> Iterator[FakeDagster]:
    dagster = FakeDagster()
    yield dagster
    dagster.stop()


@pytest.fixture
def api(city: City, serve, dagster: FakeDagster):
    keys = SecretStr(f"bob:another-key-of-bobs,alice:{KEY}")
    api = serve(city.settings.model_copy(update={"api_keys": keys, "dagster_port": dagster.port}))
    api.headers.update(ALICE)
    return api


def tags_of(launched: dict) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in launched["executionMetadata"]["tags"]}


def assets_of(launched: dict) -> list[str] | None:
    selected = launched["selector"].get("assetSelection")
    return selected and [".".join(key["path"]) for key in selected]


def test_a_training_of_all_is_the_job_retrain(api, dagster):
    answer = api.post("/train", json={})
    assert answer.status_code == 202
    [launched] = dagster.launched
    assert launched["selector"] == {
        "repositoryLocationName": "bike_assets",
        "repositoryName": "__repository__",
        "jobName": "retrain",
    }
    assert tags_of(launched) == REASON
    run = answer.json()
    assert (run["job"], run["status"]) == ("retrain", "QUEUED")
    assert run["url"] == f"http://127.0.0.1:{dagster.port}/runs/{run['run_id']}"


def test_a_training_of_some_families_selects_them_and_their_evaluation(api, dagster):
    api.post("/train", json={"families": ["gradient_boosting"]})
    sets = ["train_baseline", "test_baseline", "train_current", "test_current"]
    assert assets_of(dagster.launched[0]) == [*sets, "gradient_boosting", "double_evaluation", "champion"]


def test_a_training_in_test_mode_is_the_job_that_registers_nothing(api, dagster):
    api.post("/train", json={"families": ["blend"], "test_mode": True})
    [launched] = dagster.launched
    assert launched["selector"]["jobName"] == "try_training"
    assert launched["runConfigData"] == {"ops": {"trial": {"config": {"families": ["blend"]}}}}


def test_drift_is_that_of_the_newest_day_or_of_a_named_one(api, dagster):
    for body, day in ((None, LAST_DAY), ({}, LAST_DAY), ({"day": "2021-09-30"}, LAST_DAY - timedelta(days=7))):
        assert api.post("/drift", json=body).status_code == 202
        launched = dagster.launched[-1]
        assert launched["selector"]["jobName"] == "drift"
        assert tags_of(launched) == {**REASON, "dagster/partition": day.isoformat()}


def test_a_promotion_is_audited_with_the_keys_name_and_the_reason(city: City, api, dagster):
    other = next(entry for entry in city.resource("registry").read().models if not entry.is_champion)
    assert api.post("/promote_champion", json={"version": other.version, "reason": "back"}).status_code == 202
    [launched] = dagster.launched
    config = {"version": other.version, "by": "alice", "reason": "back"}
    assert launched["runConfigData"] == {"ops": {"champion": {"config": config}}}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/train", {"families": ["xgboost"]}, 422, f"there are {', '.join(FAMILIES)}"),
        ("/train", {"families": []}, 422, "families"),
        ("/train", {"family": "blend"}, 422, "family: Extra inputs"),
        ("/train", None, 422, "body"),
        ("/drift", {"day": "soon"}, 422, "day"),
        ("/drift", {"day": 0}, 422, "it has to be a text"),
        ("/drift", {"day": "2021-10-08"}, 422, "the newest is 2021-10-07"),
        ("/promote_champion", {"version": 99, "reason": "x"}, 404, "There is no version 99"),
        ("/promote_champion", {"version": True, "reason": "x"}, 422, "version"),
        ("/promote_champion", {"version": "1", "reason": "x"}, 422, "version"),
        ("/promote_champion", {"version": 1, "reason": " "}, 422, "reason"),
        ("/promote_champion", {"version": 0, "reason": "x"}, 422, "version"),
        ("/evaluate?wait=601", None, 422, "wait"),
        ("/evaluate?wait=-1", None, 422, "wait"),
    ],
)
def test_an_invalid_request_starts_no_run(api, dagster, path, body, status, message):
    answer = api.post(path, json=body)
    assert answer.status_code == status
    assert message in answer.json()["detail"]
    assert not dagster.launched


def test_the_champion_is_not_promoted_again(city: City, api, dagster):
    champion = city.resource("registry").read().champion
    answer = api.post("/promote_champion", json={"version": champion.version, "reason": "x"})
    assert (answer.status_code, answer.json()["error"]) == (409, "already_champion")
    assert not dagster.launched


def test_waiting_returns_the_ended_run_or_its_current_status(api, dagster):
    ended = api.post("/evaluate", params={"wait": 30})
    assert (ended.status_code, ended.json()["status"]) == (200, "SUCCESS")
    dagster.status = "STARTED"
    unfinished = api.post("/evaluate", params={"wait": 0.2})
    assert (unfinished.status_code, unfinished.json()["status"]) == (202, "STARTED")
    assert api.get(f"/runs/{unfinished.json()['run_id']}").json()["status"] == "STARTED"
    assert unfinished.json()["created_at"] == "1970-01-01T00:00:01.500000Z"


def test_an_unknown_run_is_a_404_and_an_invalid_id_a_422(api):
    assert api.get("/runs/0d1f7c1e-0000-4000-8000-000000000000").status_code == 404
    assert api.get("/runs/1").status_code == 422


@pytest.mark.parametrize(
    ("dagster_answer", "status", "error"),
    [
        ((500, b"broken"), 502, "not_dagster"),
        ((200, b"<html>"), 502, "not_dagster"),
        ((200, b'{"errors": [{"message": "/secret/place"}]}'), 502, "query_refused"),
        ((200, b'{"data": {"launchRun": {"__typename": "PythonError", "message": "/secret"}}}'), 502, "run_refused"),
        ((200, b'{"data": {"launchRun": {"__typename": "PipelineNotFoundError"}}}'), 503, "jobs_not_loaded"),
    ],
)
def test_a_refusal_by_dagster_is_reported_without_its_details(api, dagster, dagster_answer, status, error):
    dagster.answer = dagster_answer
    answer = api.post("/evaluate")
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "secret" not in answer.text


def test_without_dagster_nothing_starts_and_predictions_still_work(api, dagster):
    dagster.stop()
    answer = api.post("/evaluate")
    assert (answer.status_code, answer.json()["error"]) == (503, "dagster_away")
    assert "nothing was started; predictions still work" in answer.json()["detail"]
    counter = api.get("/counters").json()[0]["counter_id"]
    assert api.post("/predict", json={"records": [{"counter_id": counter, "at": "2021-10-08T12:00:00Z"}]}).is_success


def test_a_dagster_that_does_not_answer_times_out(city: City, serve, monkeypatch):
    monkeypatch.setattr("serving.orchestrator.TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = {"api_keys": SecretStr(f"alice:{KEY}"), "dagster_port": silent.getsockname()[1]}
        answer = serve(city.settings.model_copy(update=settings)).post("/evaluate", headers=ALICE)
    assert (answer.status_code, answer.json()["error"]) == (503, "dagster_slow")
    assert "check its runs before you retry" in answer.json()["detail"]
