"""The endpoints as a plain client meets them: envelopes, limits, formats, errors."""

import csv
import io
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bike_assets.core.portal_export import read_export
from bike_assets.core.portal_fields import PortalFields
from bike_assets.settings import Settings
from bike_assets.simulator.publication import PublishedTable
from bike_assets_tests.simulator.conftest import FIELDS, FIRST, NOW, ZONE

LABELLED = (
    "Identifiant du compteur;Nom du compteur;Identifiant du site de comptage;Nom du site de comptage;Comptage horaire;"
    "Date et heure de comptage;Date d'installation du site de comptage;Lien vers photo du site de comptage;"
    "Coordonnées géographiques;Identifiant technique compteur;ID Photos;test_lien_vers_photos_du_site_de_comptage_;"
    "id_photo_1;url_sites;type_dimage;mois_annee_comptage"
)
OURS = ",".join(FIELDS.by_column.values())
MANY = 10_050


@pytest.fixture
def many(serve, counts):
    """A portal with more rows than records can reach."""
    published = PublishedTable(FIELDS, ZONE)
    published.put(pd.concat([counts] * (MANY // len(counts) + 1)).head(MANY))
    return serve(published)


def parquet(response) -> pa.Table:
    return pq.read_table(io.BytesIO(response.content))


def test_the_dataset_lists_its_fields(client):
    described = client.get("").json()
    assert described["dataset_id"] == "counts"
    fields = {field["name"]: field for field in described["fields"]}
    assert list(fields) == list(client.get("/records", limit=1).json()["results"][0])
    assert (fields["date"]["type"], fields["sum_counts"]["type"]) == ("datetime", "int")
    assert (fields["coordinates"]["type"], fields["id"]["type"]) == ("geo_point_2d", "text")
    assert fields["id_compteur"]["label"] == "Identifiant du compteur"


def test_a_record_has_the_form_of_the_portals(client, counts):
    record = client.get("/records", limit=1, order_by="date,id_compteur").json()["results"][0]
    first = counts.sort_values(["counted_at", "counter_id"]).iloc[0]
    assert record["id_compteur"] == first["counter_id"]
    assert (record["nom_compteur"], record["id"], record["name"]) == tuple(
        first[["counter_name", "site_id", "site_name"]]
    )
    assert record["sum_counts"] == first["bike_count"]
    assert record["date"] == "2026-05-31T22:00:00+00:00"
    assert record["coordinates"] == {"lon": first["longitude"], "lat": first["latitude"]}
    assert record["mois_annee_comptage"] == "2026-05"
    assert record["counter"].startswith("Y2H")
    assert set(record) >= {"installation_date", "url_photos_n1", "photos", "id_photo_1", "url_sites", "type_dimage"}


def test_times_are_written_in_the_requested_zone(client):
    asked = {"limit": 1, "order_by": "date", "select": "date", "timezone": ZONE}
    assert client.get("/records", **asked).json()["results"] == [{"date": "2026-06-01T00:00:00+02:00"}]
    assert client.get("/exports/csv", **asked).text == "date\r\n2026-06-01T00:00:00+02:00\r\n"
    assert client.get("/exports/json", **asked).json() == [{"date": "2026-06-01T00:00:00+02:00"}]


def test_records_come_ten_at_a_time_by_default(client, counts):
    envelope = client.get("/records").json()
    assert set(envelope) == {"total_count", "results"}
    assert (envelope["total_count"], len(envelope["results"])) == (len(counts), 10)
    assert [len(client.get("/records", limit=each).json()["results"]) for each in (0, 1, 100, -1)] == [0, 1, 100, 100]


def test_pages_of_records_are_all_rows_once(client, counts):
    pages = [client.get("/records", limit=100, offset=at).json()["results"] for at in range(0, len(counts), 100)]
    seen = [(row["id_compteur"], row["date"]) for page in pages for row in page]
    assert len(seen) == len(set(seen)) == len(counts)


@pytest.mark.parametrize(("limit", "offset"), [(100, 9900), (0, 9999), (10, 9990)])
def test_records_reach_the_ten_thousandth_row(many, limit, offset):
    response = many.get("/records", limit=limit, offset=offset)
    assert response.status_code == 200
    assert len(response.json()["results"]) == limit


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"limit": 1473}, "Invalid value for limit API parameter: 1473 was found but -1 <= limit <= 100 is expected."),
        ({"limit": -2}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"offset": 10000}, "offset"),
        ({"offset": 10000, "limit": 0}, "offset"),
        ({"offset": 9901, "limit": 100}, "offset"),
        ({"offset": -1}, "offset"),
        ({"timezone": "Paris"}, "timezone"),
        ({"wher": "date is null"}, "wher"),
        ({"delimiter": ";"}, "delimiter"),
    ],
    ids=str,
)
def test_an_invalid_parameter_is_refused(client, params, named):
    response = client.get("/records", **params)
    assert response.status_code == 400
    assert response.json()["error_code"] == "InvalidRESTParameterError"
    assert named in response.json()["message"]


@pytest.mark.parametrize(("clause", "text"), [("select", "X"), ("where", "X = 'a'"), ("order_by", "X desc")])
@pytest.mark.parametrize("endpoint", ["/records", "/exports/csv"])
def test_an_unknown_field_is_refused_with_its_clause(client, endpoint, clause, text):
    response = client.get(endpoint, **{clause: text})
    assert response.status_code == 400
    assert response.json() == {
        "error_code": "ODSQLError",
        "message": f"ODSQL query is malformed: Unknown field: X. Clause(s) containing the error(s): {clause}.",
    }


@pytest.mark.parametrize("path", ["other", "other/records", "other/exports/csv"])
def test_an_unknown_dataset_is_not_found(client, path):
    response = client.http.get(path)
    assert response.status_code == 404
    assert "Unknown dataset: other" in response.json()["message"]


@pytest.mark.parametrize("path", ["/", "/api", "/api/explore/v2.0/catalog/datasets/counts/records"])
def test_an_unknown_endpoint_is_not_found(client, path):
    response = client.http.get(client.portal.url + path)
    assert (response.status_code, response.json()["error_code"]) == (404, "NotFound")


def test_exports_have_every_row_in_every_format(many):
    lines = list(csv.reader(io.StringIO(many.get("/exports/csv").text), delimiter=";"))
    assert len(lines) - 1 == len(many.get("/exports/json").json()) == parquet(many.get("/exports/parquet")).num_rows
    assert len(lines) - 1 == MANY


def test_exports_are_streamed_and_records_are_not(client):
    for form in ("csv", "json", "parquet"):
        assert client.get(f"/exports/{form}").headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" in client.get("/records").headers


def test_a_csv_export_with_labels_can_be_read_as_an_export(client, counts, tmp_path):
    response = client.get("/exports/csv", use_labels="true", timezone=ZONE)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.text.splitlines()[0] == LABELLED
    path = tmp_path / "export.csv"
    path.write_bytes(response.content)
    rows = read_export(path, Settings().published_form).drop(columns=["is_readable", "has_offset", "is_skipped"])
    pd.testing.assert_frame_equal(plain(rows), plain(counts))


def test_a_csv_export_has_names_the_delimiter_and_points_as_lat_lon(client, counts):
    lines = client.get("/exports/csv", delimiter=",", limit=1, select="coordinates,sum_counts").text.splitlines()
    first = counts.iloc[0]
    assert lines == ["coordinates,sum_counts", f'"{first["latitude"]},{first["longitude"]}",{first["bike_count"]}']
    assert client.get("/exports/csv", delimiter="x").status_code == 400
    assert client.get("/exports/csv", use_labels="maybe").status_code == 400


def test_a_parquet_export_has_utc_times_and_points_as_text(client, counts):
    exported = parquet(client.get("/exports/parquet", select=OURS))
    assert exported.column_names == OURS.split(",")
    assert exported.schema.field("date").type == pa.timestamp("us", tz="UTC")
    assert {exported.schema.field(name).type for name in ("id_compteur", "id", "coordinates")} == {pa.string()}
    rows = exported.to_pandas()
    assert rows["sum_counts"].sum() == counts["bike_count"].sum()
    assert rows["coordinates"].iloc[0] == f"{counts['latitude'].iloc[0]},{counts['longitude'].iloc[0]}"


def test_all_formats_have_the_same_rows(client):
    asked = {"select": "id_compteur,sum_counts,date", "order_by": "sum_counts desc,date,id_compteur", "limit": 50}
    listed = client.get("/exports/json", **asked).json()
    assert client.get("/records", **asked).json()["results"] == listed
    table = parquet(client.get("/exports/parquet", **asked)).to_pylist()
    assert [{**row, "date": row["date"].isoformat()} for row in table] == listed
    lines = csv.DictReader(io.StringIO(client.get("/exports/csv", **asked).text), delimiter=";")
    assert [{**row, "sum_counts": int(row["sum_counts"])} for row in lines] == listed


def test_an_export_without_rows_is_valid(client):
    nothing = {"where": "sum_counts < 0", "select": "date,sum_counts"}
    assert client.get("/exports/csv", **nothing).text == "date;sum_counts\r\n"
    assert client.get("/exports/json", **nothing).json() == []
    assert parquet(client.get("/exports/parquet", **nothing)).num_rows == 0
    assert client.get("/records", **nothing).json() == {"total_count": 0, "results": []}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize(("offset", "limit"), [(10_000, -1), (10_000, 5), (9_990, 11), (1, -1)])
def test_an_export_beyond_the_limit_fails_inside_the_stream(many, form, offset, limit):
    response = many.get(f"/exports/{form}", offset=offset, limit=limit)
    assert response.status_code == 200
    assert response.text.startswith("Streaming interrupted due to the following error: ")
    assert response.text.endswith("(error_code: InvalidRESTParameterError)")


def test_an_export_within_the_limit_may_have_an_offset(many):
    all_rows = many.get("/exports/json", limit=20).json()
    assert many.get("/exports/json", offset=15, limit=5).json() == all_rows[15:]


def test_rows_without_a_counter_are_null_everywhere(serve, counts):
    published = PublishedTable(FIELDS, ZONE)
    nameless = counts.head(1).assign(counter_id=None, site_id=None, latitude=float("nan"), longitude=float("nan"))
    published.put(nameless)
    client = serve(published)
    record = client.get("/records").json()["results"][0]
    assert [record[name] for name in ("id_compteur", "id", "coordinates", "counter")] == [None] * 4
    line = client.get("/exports/csv", select="id_compteur,coordinates,name").text.splitlines()[1]
    assert line == f";;{nameless['site_name'].iloc[0]}"
    assert parquet(client.get("/exports/parquet"))["id_compteur"].null_count == 1


def test_another_mapping_has_its_own_fields_alone(serve, counts):
    fields = PortalFields(counter_id="eco", bike_count="n", counted_at="stunde", coordinates="ort")
    labels = fields.model_copy(update={"counter_id": "Zähler"})
    published = PublishedTable(fields, ZONE)
    published.put(counts)
    assert list(serve(published).get("/records").json()["results"][0]) == ["eco", "n", "stunde", "ort"]
    titles = serve(published, labels=labels).get("/exports/csv", use_labels="true", limit=0).text
    assert titles == "Zähler;n;stunde;ort\r\n"
    midnight = f"{FIRST - timedelta(days=1)}T22:00:00Z"
    assert serve(published).count(where=f"stunde = date'{midnight}'") == counts["counter_id"].nunique()


def test_every_answer_has_the_time_and_the_quota(client):
    for path in ("", "/records", "/exports/csv", "/nowhere", "/records?limit=1000"):
        headers = client.get(path).headers
        assert headers["Date"].startswith(f"{NOW:%a, %d %b %Y %H:%M:}")
        assert all(f"X-RateLimit-{part}" in headers for part in ("Limit", "Remaining", "Reset"))


def plain(rows: pd.DataFrame) -> pd.DataFrame:
    texts = dict.fromkeys(("counter_id", "counter_name", "site_id", "site_name"), object)
    kinds = {**texts, "counted_at": "datetime64[us, UTC]", "bike_count": "int64"}
    return rows.astype(kinds).sort_values(["counted_at", "counter_id"], ignore_index=True)
