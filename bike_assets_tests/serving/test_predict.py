"""`POST /predict`: the forecasts of the graph, in the order of the records, and refusals."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City
from bike_assets_tests.serving.conftest import predict
from serving.wire import MAX_RECORDS

NOON = f"{LAST_DAY + timedelta(days=1)}T12:00:00+02:00"
FIRST_HOUR, END = "2021-10-01T00:00:00+02:00", "2021-10-11T00:00:00+02:00"
FORECAST = (
    "SELECT counter_id, counted_at, horizon_days, known_counter, predicted_count, naive_count "
    "FROM bike_traffic_predictions.predictions WHERE model_version = @version "
)


@pytest.fixture
def counters(city: City):
    return city.query("SELECT * FROM bike_traffic_raw.counters ORDER BY counter_id")


def records(rows) -> list[dict]:
    return [
        {"counter_id": counter, "at": at.isoformat()}
        for counter, at in zip(rows["counter_id"], rows["counted_at"], strict=True)
    ]


def test_predictions_are_those_the_graph_issued_for_every_counter_and_hour(city: City, api):
    champion = city.resource("registry").read().champion
    issued = city.query(FORECAST + "AND issued_on = @day", version=champion.version, day=LAST_DAY)
    assert len(issued) == 6 * 72
    answer = predict(api, *records(issued)).json()
    np.testing.assert_allclose(answer["predictions"], issued["predicted_count"], rtol=1e-5)
    assert [each["horizon_days"] for each in answer["details"]] == issued["horizon_days"].tolist()
    assert all(each == {"known_counter": True, "horizon_days": 1, "warnings": []} for each in answer["details"][:1])
    scores = champion.scores["test_current"]
    assert answer["model_metadata"] == {
        "family": champion.family,
        "version": champion.version,
        "run_id": champion.run_id,
        "is_champion": True,
        "r2": scores["r2"],
        "rmse": scores["rmse"],
        "promoted_on": champion.promoted_on,
    }


def test_past_days_are_answered_as_they_would_have_been_issued(city: City, api):
    version = city.resource("registry").read().champion.version
    sql = FORECAST + "AND horizon_days = 1 AND day BETWEEN @first AND @last"
    first = LAST_DAY - timedelta(days=6)
    hindcast = city.query(sql, version=version, first=first, last=LAST_DAY)
    assert len(hindcast) == 6 * 24 * 7
    answer = predict(api, *records(hindcast)).json()
    np.testing.assert_allclose(answer["predictions"], hindcast["predicted_count"], rtol=1e-5)
    assert {each["horizon_days"] for each in answer["details"]} == {1}


def test_a_request_can_name_another_version_or_a_family(city: City, api, counters):
    summary = city.resource("registry").read()
    other = next(entry for entry in summary.models if not entry.is_champion)
    record = {"counter_id": counters["counter_id"][0], "at": NOON}
    by_number = predict(api, record, model=other.version).json()
    by_family = predict(api, record, model=other.family).json()
    assert by_number["predictions"] == by_family["predictions"] != predict(api, record).json()["predictions"]
    metadata = by_number["model_metadata"]
    assert (metadata["version"], metadata["is_champion"], metadata["promoted_on"]) == (other.version, False, None)
    assert predict(api, record, model=summary.champion.version).json()["model_metadata"]["is_champion"]


def test_a_version_that_cannot_be_loaded_is_a_503_and_the_champion_answers(city: City, api, counters):
    other = next(entry for entry in city.resource("registry").read().models if not entry.is_champion)
    (city.home.registry / other.model_file).write_bytes(b"no model")
    record = {"counter_id": counters["counter_id"][0], "at": NOON}
    refused = predict(api, record, model=other.version)
    assert (refused.status_code, refused.json()["error"]) == (503, "model_unavailable")
    assert str(city.home.registry) not in refused.text
    assert predict(api, record).is_success


def test_any_minute_means_its_hour_in_any_offset(api, counters):
    counter = counters["counter_id"][0]
    requested = [NOON, NOON.replace("12:00", "12:59"), "2021-10-08T10:30:00Z", "2021-10-08 06:00:00-04:00"]
    predictions = predict(api, *({"counter_id": counter, "at": at} for at in requested)).json()["predictions"]
    assert len(set(predictions)) == 1


def test_records_in_the_portals_form_are_accepted(api, counters):
    row = counters.iloc[0]
    plain = predict(api, {"counter_id": row["counter_id"], "at": NOON}).json()["predictions"]
    named = {"nom_du_compteur": row["counter_name"], "date_et_heure_de_comptage": NOON}
    place = {"latitude": row["latitude"], "longitude": row["longitude"]}
    text = f"{row['latitude']}, {row['longitude']}"
    for more in (
        {},
        place,
        {"coordonnées_géographiques": text},
        {"coordonnées_géographiques": {"lat": row["latitude"], "lon": row["longitude"]}},
        {"coordonnées_géographiques": None, "mois_annee_comptage": "octobre 2021"},
    ):
        answer = predict(api, {**named, **more}).json()
        assert (answer["predictions"], answer["details"][0]["warnings"]) == (plain, [])


def test_a_position_far_from_the_counter_is_a_warning(api, counters):
    row = counters.iloc[0]
    record = {
        "counter_name": row["counter_name"],
        "at": NOON,
        "latitude": row["latitude"] + 0.01,
        "longitude": row["longitude"],
    }
    near, far = predict(api, {"counter_name": row["counter_name"], "at": NOON}, record).json()["details"]
    assert near["warnings"] == []
    assert far["warnings"] == ["the given position is 1,112 m from this counter"]


def test_the_position_selects_between_two_counters_with_one_name(city: City, serve, counters):
    from bike_assets.core.schemas import COUNTERS

    first, second = counters.iloc[0], counters.iloc[5]
    twin = counters.assign(counter_name=counters["counter_name"].where(counters.index != 5, first["counter_name"]))
    city.resource("warehouse").merge(COUNTERS, twin)
    api = serve(city.settings)
    refused = predict(api, {"counter_name": first["counter_name"], "at": NOON})
    assert refused.status_code == 422
    assert f"give the counter_id, one of {first['counter_id']}, {second['counter_id']}" in refused.json()["detail"]
    place = {"latitude": second["latitude"], "longitude": second["longitude"]}
    chosen = predict(api, {"counter_name": first["counter_name"], "at": NOON, **place}).json()
    assert chosen["predictions"] == predict(api, {"counter_id": second["counter_id"], "at": NOON}).json()["predictions"]


def test_a_counter_that_the_model_never_saw_is_forecast_with_a_warning(city: City, serve, counters):
    registry = city.resource("registry")
    summary, new = registry.read(), counters["counter_id"][0]
    without = [name if name != new else "another-counter" for name in summary.champion.counters]
    changed = summary.model_copy(
        update={"models": [entry.model_copy(update={"counters": without}) for entry in summary.models]}
    )
    (registry.folder / "summary.json").write_text(changed.model_dump_json())
    detail = predict(serve(city.settings), {"counter_id": new, "at": NOON}).json()["details"][0]
    assert not detail["known_counter"]
    assert "did not learn from this counter" in detail["warnings"][0]


def test_a_day_that_the_model_learned_from_has_a_warning(city: City, serve, counters):
    registry = city.resource("registry")
    summary = registry.read()
    late = [entry.model_copy(update={"trained_until": "2021-10-03"}) for entry in summary.models]
    (registry.folder / "summary.json").write_text(summary.model_copy(update={"models": late}).model_dump_json())
    counter = counters["counter_id"][0]
    requested = ({"counter_id": counter, "at": f"2021-10-0{day}T12:00:00+02:00"} for day in (3, 4))
    learned, unseen = predict(serve(city.settings), *requested).json()["details"]
    assert "learned from this day" in learned["warnings"][0]
    assert unseen["warnings"] == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"counter_id": "nowhere", "at": NOON}, "no counter 'nowhere'"),
        ({"counter_name": "Rue de Nulle Part", "at": NOON}, "no counter named 'Rue de Nulle Part'"),
        ({"at": NOON}, "it names no counter"),
        ({"counter_id": "a", "counter_name": "b", "at": NOON}, "names a counter twice"),
        ({"counter_id": "a"}, "it has no time"),
        ({"counter_id": "a", "at": "2021-10-08T12:00:00"}, "timezone component - at `$.records[0].at`"),
        ({"counter_id": "a", "at": "soon"}, "`$.records[0].at`"),
        ({"counter_id": 3, "at": NOON}, "Expected `str`, got `int` - at `$.records[0].counter_id`"),
        ({"counter_id": "", "at": NOON}, "length >= 1"),
        ({"counter_id": "x" * 201, "at": NOON}, "length <= 200"),
        ("900000", "`$.records[0]`"),
    ],
)
def test_a_record_that_cannot_be_answered_is_a_422_that_names_it(api, record, message):
    answer = predict(api, record)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ({"latitude": 48.8}, "latitude or longitude is missing"),
        ({"latitude": 91, "longitude": 2}, "`float` <= 90"),
        ({"coordonnées_géographiques": "48.8"}, "has to be a text such as"),
        ({"coordonnées_géographiques": "nan, nan"}, "has to be a text such as"),
        ({"coordonnées_géographiques": "1e999, 2"}, "has to be a text such as"),
        ({"coordonnées_géographiques": {"lat": 1}}, "has to be a text such as"),
        ({"coordonnées_géographiques": [[[[]]]]}, "has to be a text such as"),
    ],
)
def test_an_invalid_position_is_a_422(api, counters, position, message):
    answer = predict(api, {"counter_name": counters["counter_name"][0], "at": NOON, **position})
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    ("at", "answered"),
    [
        (FIRST_HOUR, True),
        ("2021-09-30T23:59:59+02:00", False),
        ("2021-10-10T23:59:59+02:00", True),
        (END, False),
        ("0001-01-01T00:00:00+00:00", False),
        ("9999-12-31T23:59:59-23:59", False),
    ],
)
def test_only_six_days_back_and_three_ahead_are_answered(api, counters, at, answered):
    answer = predict(api, {"counter_id": counters["counter_id"][0], "at": at})
    assert answer.is_success == answered
    if not answered:
        assert answer.status_code == 422
        assert f"from {FIRST_HOUR} to before {END}" in answer.json()["detail"]


def test_the_first_ten_wrong_records_are_listed(api, counters):
    good = {"counter_id": counters["counter_id"][0], "at": NOON}
    body = predict(api, good, *[{"counter_id": "nowhere", "at": NOON}] * 30).json()
    assert [each["record"] for each in body["records"]] == list(range(1, 11))
    assert body["detail"] == "Record 1: there is no counter 'nowhere': GET /counters lists them."


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"records": 1}', b"null"])
def test_a_body_that_is_not_a_request_is_a_422(api, body):
    assert api.post("/predict", content=body).status_code == 422


def test_deep_json_is_a_422(api):
    deep = "[" * 100_000 + "]" * 100_000
    for body in (deep, f'{{"records": {deep}}}', f'{{"records": [{{"x": {deep}}}]}}'):
        assert api.post("/predict", content=body).status_code == 422


def test_as_many_records_as_allowed_are_answered_and_one_more_is_not(api, counters):
    record = {"counter_id": counters["counter_id"][0], "at": NOON}
    assert len(predict(api, *[record] * MAX_RECORDS).json()["predictions"]) == MAX_RECORDS
    refused = predict(api, *[record] * (MAX_RECORDS + 1))
    assert refused.status_code == 422
    assert f"length <= {MAX_RECORDS}" in refused.json()["detail"]
    assert predict(api).status_code == 422


def test_an_unknown_field_or_model_is_named(api, counters):
    record = {"counter_id": counters["counter_id"][0], "at": NOON}
    assert "unknown field `modell`" in predict(api, record, modell=1).json()["detail"]
    for model in (99, "xgboost", 2**63 - 1, 10**30):
        refused = predict(api, record, model=model)
        assert (refused.status_code, refused.json()["error"]) == (404, "unknown_model")
    for model in (0, -1, True, 1.5, ""):
        assert predict(api, record, model=model).status_code == 422


def test_without_a_champion_the_answer_says_how_to_make_one(tmp_path, serve):
    api = serve(Settings(home=tmp_path))
    for answer in (
        api.get("/champion"),
        api.get("/readyz"),
        api.get("/counters"),
        predict(api, {"counter_id": "a", "at": NOON}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (503, "no_champion")
        assert "make materialize" in answer.json()["detail"]
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/models").json() == []


def test_a_counter_silent_for_four_weeks_has_no_forecast(city: City, serve, counters):
    from bike_assets.core.schemas import COMPTAGE_VELO

    gone, since = counters["counter_id"][0], LAST_DAY - timedelta(days=40)
    rows = city.query("SELECT * FROM bike_traffic_raw.comptage_velo WHERE day > @since", since=since)
    days = {day.date() for day in rows["day"]}
    city.resource("warehouse").merge(COMPTAGE_VELO, rows[rows["counter_id"] != gone], complete_days=days)
    api = serve(city.settings)
    refused = predict(api, {"counter_id": gone, "at": NOON})
    assert refused.status_code == 422
    assert f"counter {gone!r} counted nothing in the four weeks before" in refused.json()["detail"]
    assert api.get(f"/forecast/{gone}").status_code == 404
    [listed] = [each for each in api.get("/counters").json() if each["counter_id"] == gone]
    assert not listed["has_forecast"]


TEXTS = st.text(max_size=20)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | TEXTS
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "counter_id": TEXTS | ANYTHING,
        "counter_name": TEXTS | ANYTHING,
        "at": MOMENTS | ANYTHING,
        "nom_du_compteur": TEXTS,
        "date_et_heure_de_comptage": MOMENTS,
        "coordonnées_géographiques": ANYTHING,
        "latitude": ANYTHING,
        "longitude": ANYTHING,
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS | ANYTHING, max_size=4), model=ANYTHING)
def test_any_json_is_refused_with_a_message(api, records, model):
    answer = api.post("/predict", content=json.dumps({"records": records, "model": model}))
    assert answer.status_code in {404, 422}
    assert len(answer.json()["detail"]) > 10
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.datetimes(datetime(2021, 9, 29), datetime(2021, 10, 13), timezones=st.just(UTC)), counter=st.integers(0, 5)
)
def test_exactly_the_hours_in_the_range_are_answered(api, counters, at, counter):
    answer = predict(api, {"counter_id": counters["counter_id"][counter], "at": at.isoformat()})
    inside = datetime.fromisoformat(FIRST_HOUR) <= at < datetime.fromisoformat(END)
    assert answer.is_success == inside
    if inside:
        assert np.isfinite(answer.json()["predictions"][0])
