"""The portal's client over real HTTP: all rows or a reason, whatever goes wrong on the way."""

import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pytest

from bike_assets.core.portal_fields import PortalFields
from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError
from bike_assets.resources.portal import Portal
from bike_assets.simulator.faults import BY_NAME
from bike_assets.simulator.publication import PublishedTable
from bike_assets.simulator.server import PortalSimulator
from bike_assets_tests.resources.portal_homes import END, LAST, NOW, START, city_rows, fast, serving

PASSING = [
    (name, on)
    for name, fault in BY_NAME.items()
    for on in ("records", "exports")
    if on in fault.endpoints and name != "quota"
]
LASTING = {
    "quota_without_headers": "refuses more requests",
    "quota": "refuses more requests for now",
    "error_500": "failed with HTTP 500",
    "error_503": "failed with HTTP 503",
    "timeout": "did not answer in time",
    "reset": "broke",
    "truncated": "broke off its answer",
    "truncated_clean": "(not readable Parquet|not JSON)",
    "in_stream_error": "broke off its export: Streaming interrupted",
    "malformed_json": "(is not JSON|not readable Parquet)",
    "html": "(is not JSON|not Parquet)",
    "wrong_total_count": "its export ended after",
    "missing_field": "lacks coordinates",
}
"""The error message of each lasting fault."""


@pytest.fixture
def settings(tmp_path):
    return fast(tmp_path)


@pytest.fixture
def portal(settings):
    with serving(city_rows(), settings) as (server, _):
        yield server


def client(settings, portal: PortalSimulator, **changes) -> Portal:
    return Portal(settings.model_copy(update={"portal_url": portal.url, **changes}).portal)


def as_published(answer, fields: PortalFields) -> pd.DataFrame:
    ours = {name: column for column, name in fields.by_column.items()}
    rows = answer.table.to_pandas().rename(columns=ours)
    return rows.sort_values(["counted_at", "counter_id"]).reset_index(drop=True)


def test_a_range_is_read_completely_in_two_requests(settings, portal):
    answer = client(settings, portal).rows(START, END)
    published = city_rows()
    assert answer.total == answer.table.num_rows == len(published)
    rows = as_published(answer, settings.portal_fields)
    expected = published.sort_values(["counted_at", "counter_id"]).reset_index(drop=True)
    assert list(rows["counter_id"]) == list(expected["counter_id"])
    assert list(rows["bike_count"]) == list(expected["bike_count"])
    assert list(rows["counted_at"]) == list(expected["counted_at"])
    assert [path.rpartition("/")[2] for path, _, _ in portal.requests] == ["records", "parquet"]


def test_only_the_needed_fields_are_requested_in_utc(settings, portal):
    client(settings, portal).rows(START, END)
    _, parameters, _ = portal.requests[-1]
    assert set(parameters["select"].split(",")) == set(settings.portal_fields.by_column.values())
    assert parameters["timezone"] == "UTC"


def test_a_range_ends_before_its_end(settings, portal):
    answer = client(settings, portal).rows(START, START + timedelta(hours=1))
    assert set(answer.table["date"].to_pandas()) == {START}


def test_a_range_without_rows_is_empty_and_no_error(settings, portal):
    answer = client(settings, portal).rows(START - timedelta(days=9), START - timedelta(days=8))
    assert (answer.total, answer.table.num_rows) == (0, 0)


def test_the_portals_clock_gives_the_time_of_reading(settings, portal):
    read_at = client(settings, portal).rows(START, END).read_at
    assert abs(read_at - NOW) < timedelta(minutes=5)


@pytest.mark.parametrize(("fault", "on"), PASSING)
def test_the_answer_is_complete_after_a_passing_fault(settings, portal, fault, on):
    portal.fail(fault, times=1, on=on)
    answer = client(settings, portal, portal_timeout_seconds=0.3).rows(START, END)
    distinct = answer.table.group_by(answer.table.column_names).aggregate([]).num_rows
    assert distinct == len(city_rows())


@pytest.mark.parametrize("fault", sorted(LASTING))
def test_a_lasting_fault_is_an_error_with_a_clear_message(settings, portal, fault):
    portal.fail(fault, times=None)
    patient = client(settings, portal, portal_timeout_seconds=0.3, portal_attempts=2, portal_quota_wait_seconds=0)
    with pytest.raises((SourceUnavailableError, UnreliableAnswerError), match=LASTING[fault]):
        patient.rows(START, END)


def test_an_export_with_replaced_rows_is_refused(settings, portal):
    portal.fail("replaced_rows", times=1, on="exports")
    assert client(settings, portal).rows(START, END).table.num_rows == len(city_rows())
    portal.fail("replaced_rows", times=None, on="exports")
    with pytest.raises(UnreliableAnswerError, match="different ones"):
        client(settings, portal).rows(START, END)


@pytest.mark.parametrize("change", [{}, {"counter_id": None, "counter_name": 'rue de "l\'Orme"'}, {"counter_id": None}])
def test_rows_that_the_portal_has_twice_are_accepted(settings, change):
    rows = city_rows()
    twice = rows.iloc[:3].assign(**change)
    with serving(pd.concat([rows, twice, twice]), settings) as (portal, _):
        answer = client(settings, portal).rows(START, END)
    assert answer.table.num_rows == answer.total == len(rows) + 6


def test_rows_of_other_hours_are_refused(settings, portal):
    """A server that does not heed the condition gives everything."""
    heedless = client(settings, portal)
    get = heedless._get
    heedless._get = lambda who, path, asked: get(who, path, {k: v for k, v in asked.items() if k != "where"})
    with pytest.raises(UnreliableAnswerError, match="was asked for the hours from"):
        heedless.rows(START, START + timedelta(hours=5))


def test_a_too_low_total_count_loses_no_row(settings, portal):
    portal.fail("low_total_count", times=None)
    assert client(settings, portal).rows(START, END).table.num_rows == len(city_rows())


def test_the_number_of_requests_is_limited_by_the_attempts(settings, portal):
    portal.fail("error_500", times=None)
    with pytest.raises(SourceUnavailableError):
        client(settings, portal, portal_attempts=4).rows(START, END)
    assert len(portal.requests) == 4


def test_each_retry_is_logged_with_its_cause(settings, portal, caplog):
    portal.fail("error_503", times=1)
    with caplog.at_level(logging.WARNING):
        client(settings, portal).rows(START, END)
    assert "failed with HTTP 503" in caplog.text
    assert "The next attempt follows" in caplog.text


def test_the_client_waits_for_a_quota_that_is_reset_soon(settings):
    almost_midnight = datetime(2025, 4, 2, 23, 59, 59, tzinfo=UTC)
    with serving(city_rows(), settings, now=almost_midnight, daily_quota=2) as (portal, _):
        httpx.get(portal.url, timeout=60)
        patient = client(settings, portal, portal_quota_wait_seconds=5)
        assert patient.rows(START, END).table.num_rows == len(city_rows())
        assert [status for _, _, status in portal.requests] == [404, 200, 429, 200, 200]


def test_a_quota_that_is_reset_tomorrow_fails_at_once_with_the_time(settings, portal):
    portal.fail("quota", times=None)
    with pytest.raises(SourceUnavailableError, match=r"Too many requests.*it is reset in [\d,]+ s"):
        client(settings, portal).rows(START, END)
    assert len(portal.requests) == 1


def test_a_field_that_the_dataset_lacks_is_named_at_once(settings, portal):
    fields = settings.portal_fields.model_copy(update={"bike_count": "nombre"})
    with pytest.raises(SourceUnavailableError, match=r"HTTP 400: .*nombre"):
        client(settings, portal, portal_fields=fields).rows(START, END)


def test_another_dataset_is_named(settings, portal):
    with pytest.raises(SourceUnavailableError, match=r"has no dataset elsewhere.*BIKE_PORTAL_DATASET"):
        client(settings, portal, portal_dataset="elsewhere").rows(START, END)


def test_the_second_address_is_used_if_the_first_does_not_resolve(settings, portal):
    both = f"http://nowhere.invalid {portal.url}"
    assert client(settings, portal, portal_url=both).rows(START, END).total == len(city_rows())


def test_a_failing_address_that_resolves_is_not_replaced_by_another(settings, portal):
    portal.fail("error_500", times=None)
    both = f"{portal.url} http://nowhere.invalid"
    with pytest.raises(SourceUnavailableError, match="HTTP 500"):
        client(settings, portal, portal_url=both).rows(START, END)


def test_an_unreachable_portal_is_named(settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceUnavailableError, match=rf"{url} cannot be reached"):
            Portal(replace(settings.portal, addresses=url)).rows(START, END)


def test_all_addresses_are_named_if_none_can_be_reached(settings, deaf_address):
    both = replace(settings.portal, addresses=f"http://nowhere.invalid {deaf_address}")
    with pytest.raises(SourceUnavailableError, match=rf"nowhere\.invalid and {deaf_address} cannot be reached"):
        Portal(both).rows(START, END)


def test_the_key_is_sent_and_never_logged(settings, portal, caplog):
    from pydantic import SecretStr

    portal.fail("error_500", times=None)
    keyed = client(settings, portal, portal_api_key=SecretStr("s3cret"))
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceUnavailableError) as failure:
        keyed.rows(START, END)
    assert "s3cret" not in caplog.text + str(failure.value)
    assert keyed._client().headers["authorization"] == "Apikey s3cret"


def test_the_newest_hour_is_the_last_that_is_published(settings, portal):
    assert client(settings, portal).newest_hour() == END - timedelta(hours=1)


def test_there_is_no_newest_hour_if_nothing_is_published(settings):
    with PortalSimulator(PublishedTable(settings.portal_fields, "Europe/Paris"), settings.portal_dataset) as portal:
        assert client(settings, portal).newest_hour() is None


def test_a_quick_request_is_sent_once(settings, portal):
    portal.fail("error_503", times=None)
    with pytest.raises(SourceUnavailableError):
        client(settings, portal).newest_hour(quickly=True)
    assert len(portal.requests) == 1


def test_a_range_far_beyond_ten_thousand_rows_is_complete(settings):
    rows = city_rows(LAST - timedelta(days=40), LAST, counters=20)
    with serving(rows, settings) as (portal, _):
        answer = client(settings, portal).rows(START - timedelta(days=60), END)
    assert len(rows) > 15_000
    assert answer.table.num_rows == len(rows)


def test_the_simulator_answers_as_the_portal_does(portal):
    """The client is only as good as the server it is tried against: the documented envelope and refusal."""
    path = "/api/explore/v2.1/catalog/datasets/comptage-velo-donnees-compteurs/records"
    assert httpx.get(portal.url + path, params={"limit": 0}, timeout=60).json() == {
        "total_count": len(city_rows()),
        "results": [],
    }
    refusal = httpx.get(portal.url + path, params={"limit": 1473}, timeout=60)
    assert refusal.status_code == 400
    assert refusal.json()["error_code"] == "InvalidRESTParameterError"
