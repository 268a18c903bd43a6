"""The query language: what conditions choose, and how what is no query is refused."""

import pandas as pd
import pytest

from bike_assets.simulator.publication import PublishedTable
from bike_assets_tests.simulator.conftest import FIELDS, ZONE

NOON = pd.Timestamp("2026-06-02T12:00", tz="UTC")
COUNTERS = 10


@pytest.mark.parametrize(
    ("where", "hours"),
    [
        ("date >= date'2026-06-02T12:00:00Z'", 34),
        ("date > date'2026-06-02T12:00:00Z'", 33),
        ("date < date'2026-06-02T12:00:00Z'", 38),
        ("date <= date'2026-06-02T12:00:00Z'", 39),
        ("date = date'2026-06-02T12:00:00Z'", 1),
        ("date != date'2026-06-02T12:00:00Z'", 71),
        ("date='2026-06-02T14:00:00+02:00'", 1),
        ("date = date'2026/06/02 12:00'", 1),
        ('date = date"2026-06-02T12:00"', 1),
        ("date >= date'2026-06-02' AND date < date'2026-06-03'", 24),
        ("date>=date'2026/06/02' and date<date'2026-06-03T00:00:00.000Z'", 24),
        ("date >= date'2026-06-03' AND date < date'2026-06-02'", 0),
        ("date >= date'2030-01-01'", 0),
        ("date is null", 0),
        ("date IS NOT NULL", 72),
    ],
)
def test_a_range_of_time(client, where, hours):
    assert client.count(where=where) == hours * COUNTERS


def test_a_date_without_a_zone_is_in_the_zone_of_the_request(client):
    day = "date >= date'2026-06-01' AND date < date'2026-06-02'"
    assert client.count(where=day) == 24 * COUNTERS
    first = client.get("/records", where=day, order_by="date", limit=1)
    assert first.json()["results"][0]["date"] == "2026-06-01T00:00:00+00:00"
    local = client.get("/records", where=day, order_by="date", limit=1, timezone=ZONE)
    assert local.json()["results"][0]["date"] == "2026-06-01T00:00:00+02:00"
    assert client.count(where="date < date'2026-06-01'") == 2 * COUNTERS
    assert client.count(where="date < date'2026-06-01'", timezone=ZONE) == 0


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("id_compteur = '{id}'", lambda rows: rows["counter_id"] == rows["counter_id"].iloc[0]),
        ('id_compteur != "{id}"', lambda rows: rows["counter_id"] != rows["counter_id"].iloc[0]),
        ("sum_counts > 20", lambda rows: rows["bike_count"] > 20),
        ("sum_counts >= 2.5 and sum_counts < 21", lambda rows: rows["bike_count"].between(3, 20)),
        (
            "id_compteur = '{id}' AND date > date'2026-06-02T12:00:00Z' AnD sum_counts != 7",
            lambda rows: (
                (rows["counter_id"] == rows["counter_id"].iloc[0])
                & (rows["counted_at"] > NOON)
                & (rows["bike_count"] != 7)
            ),
        ),
    ],
)
def test_conditions_select_matching_rows(client, counts, where, condition):
    chosen = int(condition(counts).sum())
    assert 0 < chosen < len(counts)
    assert client.count(where=where.format(id=counts["counter_id"].iloc[0])) == chosen


def test_null_counters_can_be_selected(serve, counts):
    published = PublishedTable(FIELDS, ZONE)
    published.put(counts.assign(counter_id=counts["counter_id"].mask(counts.index < 25, None)))
    client = serve(published)
    assert client.count(where="id_compteur is null") == 25
    assert client.count(where="id_compteur is not null and sum_counts >= 0") == len(counts) - 25
    assert client.count(where="id_compteur != 'nobody'") == len(counts) - 25


def test_a_text_may_contain_a_query(serve, counts):
    published = PublishedTable(FIELDS, ZONE)
    name = "rue AND date'2026' > 3"
    published.put(counts.head(3).assign(site_name=[name, "other", None]))
    assert serve(published).count(where=f'name = "{name}"') == 1


def test_rows_come_in_the_requested_order(client, counts):
    asked = "sum_counts desc, id_compteur ASC,date"
    listed = client.get("/exports/json", order_by=asked, select="id_compteur,date").json()
    ordered = counts.sort_values(["bike_count", "counter_id", "counted_at"], ascending=[False, True, True])
    assert [row["id_compteur"] for row in listed] == ordered["counter_id"].tolist()
    assert [row["date"] for row in listed] == [each.isoformat() for each in ordered["counted_at"]]


def test_fields_come_as_selected(client):
    assert list(client.get("/records", select=" date , id ").json()["results"][0]) == ["date", "id"]
    assert len(client.get("/records", select="*").json()["results"][0]) == 16
    assert client.get("/records", select="counter", where="counter is not null", limit=1).json()["results"][0][
        "counter"
    ]


@pytest.mark.parametrize(
    "where",
    [
        "date",
        "date >",
        "date > 5",
        "date >= date'2026-06-01' AND",
        "date >= date'2026-06-01' OR sum_counts > 3",
        "date >= date'2026-06-01' sum_counts > 3",
        "sum_counts > 'many'",
        "sum_counts > date'2026-06-01'",
        "id_compteur = 5",
        "coordinates = '48,2'",
        "id_compteur is",
        "id_compteur is not",
        "= 3",
        "id_compteur = 'open",
        "(sum_counts > 3)",
    ],
)
def test_a_malformed_condition_is_refused(client, where):
    response = client.get("/records", where=where)
    assert response.status_code == 400
    assert response.json()["error_code"] == "ODSQLError"
    assert response.json()["message"].startswith("ODSQL query is malformed: ")
    assert response.json()["message"].endswith("Clause(s) containing the error(s): where.")


def test_a_malformed_order_is_refused(client):
    assert "order_by" in client.get("/records", order_by="date upwards").json()["message"]
    assert client.get("/records", order_by="date,").status_code == 400


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-6-1", "2026-06-01T25:00", "01/06/2026", "2026-06-01T22:00:00 02:00", ""]
)
def test_an_invalid_date_is_answered_with_503(client, text):
    assert client.get("/records", where=f"date >= date'{text}'").status_code == 503
