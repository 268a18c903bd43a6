"""Every fault as a plain client sees it, whom it befalls, and how often."""

import csv
import io
import json
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bike_assets.errors import BikeError
from bike_assets.simulator.catalogue import FAULTS
from bike_assets.simulator.faults import BY_NAME
from bike_assets_tests.conftest import poll

SELECTED = {"select": "id_compteur,sum_counts,date", "order_by": "date,id_compteur"}
FORMATS = ["csv", "json", "parquet"]


def rows_of(response: httpx.Response) -> list[tuple]:
    """Read an export or records, as strictly as their format is."""
    if "csv" in response.headers["Content-Type"]:
        header, *lines = csv.reader(io.StringIO(response.text), delimiter=";", strict=True)
        assert all(len(line) == len(header) for line in lines)
        return [tuple(line) for line in lines]
    if "json" in response.headers["Content-Type"]:
        return [tuple(row.values()) for row in response.json()]
    return [tuple(row.values()) for row in pq.read_table(io.BytesIO(response.content)).to_pylist()]


@pytest.fixture(params=FORMATS)
def exported(request, client):
    """Exports the same rows in one format: first as they are, then with a fault."""

    def exported(fault: str) -> tuple[httpx.Response, httpx.Response]:
        path = f"/exports/{request.param}"
        whole = client.get(path, **SELECTED)
        client.portal.fail(fault)
        return whole, client.get(path, **SELECTED)

    return exported


def test_quota_has_the_time_of_its_reset(client, counts):
    client.portal.fail("quota")
    response = client.get("/records")
    assert response.status_code == 429
    body = response.json()
    assert (body["errorcode"], body["limit_time_unit"], body["call_limit"]) == (10002, "day", 10000)
    assert body["reset_time"] == response.headers["X-RateLimit-Reset"] == "2026-06-11T00:00:00Z"
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert client.count() == len(counts)


def test_quota_without_headers_has_no_time_of_reset(client):
    client.portal.fail("quota_without_headers")
    response = client.get("/records")
    assert response.status_code == 429
    assert not [name for name in response.headers if "ratelimit" in name.lower()]
    assert response.json()["errorcode"] == 10005
    assert "reset_time" not in response.json()


@pytest.mark.parametrize(("fault", "status"), [("error_500", 500), ("error_503", 503)])
def test_an_error_has_its_status_and_a_json_body(client, fault, status):
    client.portal.fail(fault)
    response = client.get("/exports/parquet")
    assert response.status_code == status
    assert response.json()["error_code"]


def test_html_is_a_page_with_status_200(client):
    client.portal.fail("html")
    response = client.get("/exports/csv")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.text.startswith("<!DOCTYPE html>")


def test_a_timeout_answers_nothing_and_does_not_delay_other_requests(client, counts):
    client.portal.fail("timeout")
    with pytest.raises(httpx.ReadTimeout):
        client.http.get("counts/records", timeout=0.2)
    assert client.count() == len(counts)
    assert [status for _, _, status in client.portal.requests] == [0, 200]


def test_a_timeout_does_not_delay_the_stop(client):
    client.portal.fail("timeout")
    ended = threading.Event()

    def ask() -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/records")
        ended.set()

    threading.Thread(target=ask, daemon=True).start()
    poll(lambda: client.portal.requests, 10, "a request")
    begun = time.monotonic()
    client.portal.stop()
    assert ended.wait(60)
    assert time.monotonic() - begun < 20


def test_a_reset_breaks_the_connection(client):
    client.portal.fail("reset")
    with pytest.raises(httpx.ReadError) as broken:
        client.get("/records")
    assert "reset by peer" in str(broken.value)


@pytest.mark.parametrize("path", ["", "/records", *(f"/exports/{form}" for form in FORMATS)])
def test_a_truncated_answer_ends_in_the_middle_of_the_body(client, path):
    client.portal.fail("truncated")
    received: list[bytes] = []
    with client.http.stream("GET", f"counts{path}") as response:
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(response.iter_raw())
        assert response.status_code == 200
    assert len(b"".join(received)) < len(client.get(path).content)


def test_a_clean_truncation_of_text_shows_only_in_the_number_of_rows(client):
    for form in ("csv", "json"):
        whole = rows_of(client.get(f"/exports/{form}", **SELECTED))
        client.portal.fail("truncated_clean")
        rows = rows_of(client.get(f"/exports/{form}", **SELECTED))
        assert 0 < len(rows) < len(whole)
        assert rows == whole[: len(rows)]


def test_a_clean_truncation_of_other_answers_cannot_be_read(client):
    client.portal.fail("truncated_clean", times=2)
    with pytest.raises(pa.ArrowInvalid):
        rows_of(client.get("/exports/parquet"))
    with pytest.raises(json.JSONDecodeError):
        client.get("/records").json()


def test_an_error_in_the_stream_follows_valid_rows(exported):
    whole, broken = exported("in_stream_error")
    assert broken.status_code == 200
    good, _, error = broken.content.partition(b"Streaming interrupted due to the following error: ")
    assert len(good) > 100
    assert whole.content.startswith(good)
    assert b"(error_code: " in error


def test_an_answer_that_cannot_be_parsed_has_status_200(client):
    client.portal.fail("malformed_json", times=None)
    for path in ("", "/records", "/exports/json"):
        response = client.get(path)
        assert response.status_code == 200
        with pytest.raises(ValueError):  # noqa: PT011
            response.json()
    with pytest.raises(pa.ArrowInvalid):
        rows_of(client.get("/exports/parquet"))
    assert b"id_compteur" not in client.get("/exports/csv").content


def test_duplicate_rows_appear_twice_and_none_is_missing(exported):
    whole, doubled = map(rows_of, exported("duplicate_rows"))
    assert len(doubled) > len(whole)
    assert set(doubled) == set(whole)


def test_replaced_rows_leave_the_number_right(exported):
    whole, replaced = map(rows_of, exported("replaced_rows"))
    assert len(replaced) == len(whole)
    assert set(replaced) < set(whole)


def test_the_missing_field_is_the_last_requested_one(exported):
    whole, lacking = map(rows_of, exported("missing_field"))
    assert lacking == [row[:-1] for row in whole]


@pytest.mark.parametrize(("fault", "sign"), [("wrong_total_count", 1), ("low_total_count", -1)])
def test_a_total_count_is_wrong_and_the_rows_are_right(client, counts, fault, sign):
    client.portal.fail(fault, times=2)
    assert (client.count() - len(counts)) * sign > 0
    assert len(client.get("/records", limit=100).json()["results"]) == 100


def test_a_fault_affects_the_given_number_of_requests_of_its_endpoint(client):
    client.portal.fail("error_500", times=2, on="exports")
    paths = ["/records", "/exports/csv", "", "/exports/json", "/exports/csv"]
    assert [client.get(path).status_code for path in paths] == [200, 500, 200, 500, 200]


def test_a_fault_waits_for_a_request_of_its_endpoint(client):
    client.portal.fail("missing_field")
    client.portal.fail("error_503")
    assert client.get("/records").status_code == 503
    assert client.get("/exports/csv", select="id,date").text.startswith("id\r\n")


def test_faults_occur_in_order_and_permanent_ones_take_turns(client):
    client.portal.fail("error_500")
    client.portal.fail("error_503", times=None)
    client.portal.fail("quota", times=None)
    assert [client.get("/records").status_code for _ in range(5)] == [500, 503, 429, 503, 429]
    client.portal.heal()
    assert client.get("/records").status_code == 200


def test_an_unknown_fault_is_refused_with_the_known_ones(client):
    with pytest.raises(BikeError) as refusal:
        client.portal.fail("flood")
    assert all(name in str(refusal.value) for name in ["'flood'", *FAULTS])
    with pytest.raises(BikeError, match="cannot occur on records"):
        client.portal.fail("missing_field", on="records")
    assert client.get("/records").status_code == 200


def test_every_fault_of_the_catalogue_can_be_played():
    assert list(BY_NAME) == list(FAULTS)


def test_a_daily_quota_ends_and_is_reset_at_midnight_utc(serve, table, counts):
    client = serve(table, daily_quota=2)
    allowed = [client.get("/records") for _ in range(2)]
    assert [each.status_code for each in allowed] == [200, 200]
    assert [each.headers["X-RateLimit-Remaining"] for each in allowed] == ["1", "0"]
    refused = client.get("/exports/csv")
    assert (refused.status_code, refused.json()["errorcode"], refused.json()["call_limit"]) == (429, 10002, 2)
    assert refused.json()["reset_time"] == "2026-06-11T00:00:00Z"
    assert int(refused.headers["X-RateLimit-Reset"]) == datetime(2026, 6, 11, tzinfo=UTC).timestamp()
    client.portal.clock.set(datetime(2026, 6, 10, 23, 59, tzinfo=UTC))
    assert client.get("/records").status_code == 429
    client.portal.clock.set(datetime(2026, 6, 11, tzinfo=UTC))
    assert client.count() == len(counts)


def test_a_fault_waits_for_a_request_that_the_quota_allows(serve, table):
    client = serve(table, daily_quota=1)
    client.get("/records")
    client.portal.fail("error_500")
    assert client.get("/records").status_code == 429
    client.portal.clock.set(datetime(2026, 6, 11, tzinfo=UTC))
    assert client.get("/records").status_code == 500


def test_the_clock_decides_what_is_published_and_runs_on(client, counts):
    clock = client.portal.clock
    clock.set(datetime(2026, 6, 2, 3, tzinfo=UTC))
    assert client.count() == len(counts) / 3
    answered_at = parsedate_to_datetime(client.get("/records").headers["Date"])
    assert (answered_at - datetime(2026, 6, 2, 3, tzinfo=UTC)).total_seconds() < 60
    first = clock.now()
    poll(lambda: clock.now() > first, 10, "a later time")
    with pytest.raises(ValueError, match="names no zone"):
        clock.set(datetime(2026, 6, 2))


def test_requests_are_recorded(client):
    client.get("/records", limit=3, where="date is null")
    client.get("/exports/csv", limit="all")
    path = "/api/explore/v2.1/catalog/datasets/counts/"
    assert list(client.portal.requests) == [
        (path + "records", {"limit": "3", "where": "date is null"}, 200),
        (path + "exports/csv", {"limit": "all"}, 400),
    ]


def test_a_portal_can_stop_and_start_at_the_same_address(client, counts):
    url = client.portal.url
    assert client.count() == len(counts)
    client.portal.stop()
    client.portal.stop()
    with pytest.raises(httpx.ConnectError):
        client.get("/records")
    client.portal.start()
    assert client.portal.url == url
    assert client.count() == len(counts)


def test_a_busy_port_is_named(serve, table, client):
    port = int(client.portal.url.rpartition(":")[2])
    with pytest.raises(BikeError, match=str(port)):
        serve(table, port=port)


def test_concurrent_requests_are_answered(client, counts):
    answers: list[int] = []
    ask = [threading.Thread(target=lambda: answers.append(client.count())) for _ in range(16)]
    for each in ask:
        each.start()
    for each in ask:
        each.join(60)
    assert answers == [len(counts)] * 16
