"""The portal's export files: both forms give the same rows, and a refusal says where and why."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.local_time import days_between, hours_of
from bike_assets.core.portal_export import read_export
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published import MAX_PER_HOUR
from bike_assets.errors import BikeError
from bike_assets.settings import Settings

RECORDS = [
    ("100-1", "1 rue A N-S", "100", "1 rue A", "3", "2021-03-28T01:00:00+01:00", "48.846,2.375"),
    ("100-2", "1 rue A S-N", "100", "1 rue A", "0", "2021-03-28T01:00:00+01:00", "48.846,2.375"),
    ("200-1", "2 quai Été", "200", "2 quai É", "12", "2021-03-28T03:00:00+02:00", "48.9,2.25"),
]
FORM = Settings().published_form
FIELDS, TITLES = FORM.fields, FORM.labels
ORDER = ("counter_id", "counter_name", "site_id", "site_name", "bike_count", "counted_at", "coordinates")
NAMES = [FIELDS.by_column[column] for column in ORDER]
LABELS = {TITLES.by_column[column]: FIELDS.by_column[column] for column in ORDER}


def read(path: Path) -> pd.DataFrame:
    return read_export(path, FORM)


def changed(record: tuple, **values: str) -> tuple:
    return tuple(values.get(name, value) for name, value in zip(NAMES, record, strict=True))


@pytest.fixture
def csv(tmp_path):
    """Writes a CSV export; returns its path."""

    def write(records=RECORDS, header=tuple(LABELS), separator=";", start="", encoding="utf-8", end="\n") -> Path:
        path = tmp_path / "export.csv"
        lines = [separator.join(f'"{value}"' if separator in value else value for value in row) for row in records]
        path.write_bytes((start + end.join([separator.join(header), *lines, ""])).encode(encoding))
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    """Writes a Parquet export with technical names and typed columns; returns its path."""

    def write(records=RECORDS, **columns) -> Path:
        table = pd.DataFrame(records, columns=NAMES)
        table = table.assign(
            date=pd.to_datetime(table["date"], utc=True), sum_counts=table["sum_counts"].astype("int32")
        )
        path = tmp_path / "export.parquet"
        table.assign(**columns).to_parquet(path)
        return path

    return write


def plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by counter and hour, categories as text."""
    names = ["counter_id", "counter_name", "site_id", "site_name"]
    return rows.astype(dict.fromkeys(names, "object")).sort_values(["counter_id", "counted_at"], ignore_index=True)


def test_labels_in_csv_are_read_into_the_vocabulary_of_the_warehouse(csv):
    rows = read(csv())
    assert rows.iloc[2].to_dict() == {
        "counter_id": "200-1",
        "counter_name": "2 quai Été",
        "site_id": "200",
        "site_name": "2 quai É",
        "latitude": 48.9,
        "longitude": 2.25,
        "counted_at": pd.Timestamp("2021-03-28T01:00Z"),
        "bike_count": 12,
        "is_readable": True,
        "has_offset": True,
        "is_skipped": False,
    }
    assert list(rows["counted_at"].dt.hour) == [0, 0, 1]


def test_every_form_of_an_export_gives_the_same_rows(csv, parquet):
    expected = plain(read(parquet()))
    forms = [
        {"header": tuple(LABELS)},
        {"header": tuple(NAMES)},
        {"header": tuple(NAMES), "separator": ","},
        {"start": "\ufeff"},
        {"end": "\r\n"},
        {"header": tuple(f'"{label}"' for label in LABELS), "start": "\ufeff"},
    ]
    for form in forms:
        pd.testing.assert_frame_equal(plain(read(csv(**form))), expected)


def test_columns_in_another_order_and_other_columns_change_nothing(csv):
    order = [*reversed(range(len(NAMES)))]
    records = [(*(record[position] for position in order), "https://photo") for record in RECORDS]
    header = (*(list(LABELS)[position] for position in order), "Lien vers photo du site de comptage")
    found = read(csv(records, header))
    pd.testing.assert_frame_equal(plain(found), plain(read(csv())))


@pytest.mark.parametrize("column", NAMES)
def test_a_missing_column_is_named(csv, column):
    header = tuple(label for label, name in LABELS.items() if name != column)
    records = [tuple(value for name, value in zip(NAMES, record, strict=True) if name != column) for record in RECORDS]
    with pytest.raises(BikeError, match=rf"columns {column} are missing") as refusal:
        read(csv(records, header))
    assert "export.csv" in str(refusal.value)


def test_another_table_is_refused_with_what_was_found(tmp_path):
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"temperature": [281.5], "wind": [3.0]}).to_parquet(path)
    with pytest.raises(BikeError, match=r"weather\.parquet.*id_compteur.*sum_counts.*found: temperature, wind"):
        read(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("date", "yesterday"),
        ("date", "28/03/2021 01:00"),
        ("date", "2021-13-28T01:00:00+01:00"),
        ("date", "2021-03-28T01:30:00+01:00"),
        ("sum_counts", "2.5"),
        ("sum_counts", "many"),
        ("sum_counts", "1000001"),
        ("sum_counts", "1e30"),
        ("sum_counts", "inf"),
        ("sum_counts", "-inf"),
    ],
)
def test_a_wrong_value_is_refused_by_file_line_and_value(csv, column, value):
    records = [*RECORDS, changed(RECORDS[0], **{column: value}), changed(RECORDS[1], **{column: value})]
    with pytest.raises(BikeError) as refusal:
        read(csv(records))
    message = str(refusal.value)
    assert "export.csv, line 5:" in message
    assert f"{column} is '{value}'" in message
    assert "2 such" in message


@pytest.mark.parametrize("value", [2.5, MAX_PER_HOUR + 1.0, 1e30, float("inf"), float("-inf")])
def test_a_wrong_count_in_parquet_is_refused_by_its_row(parquet, value):
    with pytest.raises(BikeError, match=r"export\.parquet, row 3: sum_counts is " + re.escape(repr(str(value)))):
        read(parquet(sum_counts=[3.0, 0.0, value]))


def test_the_greatest_count_and_outliers_below_it_are_rows(csv, parquet):
    counts = [str(MAX_PER_HOUR), "99999", "0"]
    records = [changed(record, sum_counts=count) for record, count in zip(RECORDS, counts, strict=True)]
    assert list(read(csv(records))["bike_count"]) == [1_000_000, 99_999, 0]
    assert list(read(parquet(records))["bike_count"]) == [1_000_000, 99_999, 0]


def test_the_error_for_a_refused_count_names_the_maximum(csv):
    with pytest.raises(BikeError, match="expected a whole number of bikes from 0 to 1,000,000"):
        read(csv([changed(RECORDS[0], sum_counts="1000001")]))


def test_a_wrong_value_after_a_blank_line_has_the_line_of_the_file(csv):
    blank = ("",)
    with pytest.raises(BikeError, match="line 4: sum_counts is 'x'"):
        read(csv([RECORDS[0], blank, changed(RECORDS[1], sum_counts="x")]))


def test_rows_without_a_counter_a_count_or_a_date_are_rows_with_a_gap(csv, parquet):
    holes = [{"id_compteur": ""}, {"sum_counts": ""}, {"date": ""}]
    found = read(csv([*RECORDS, *(changed(RECORDS[0], **hole) for hole in holes)]))
    assert len(found) == 6
    assert found["counter_id"].isna().tolist() == [False, False, False, True, False, False]
    assert found["bike_count"].isna().tolist() == [False, False, False, False, True, False]
    assert found["counted_at"].isna().tolist() == [False, False, False, False, False, True]
    nulls = read(parquet(id_compteur=["100-1", None, "200-1"], sum_counts=[3, 4, None]))
    assert nulls["counter_id"].isna().tolist() == [False, True, False]
    assert nulls["bike_count"].isna().tolist() == [False, False, True]


def test_two_rows_of_a_counter_and_hour_are_both_there_in_the_order_of_the_file(csv):
    correction = changed(RECORDS[0], sum_counts="8", date="2021-03-28T00:00:00+00:00")
    found = read(csv([*RECORDS, correction]))
    same = found[(found["counter_id"] == "100-1") & (found["counted_at"] == pd.Timestamp("2021-03-28T00:00Z"))]
    assert same["bike_count"].tolist() == [3, 8]


def test_the_two_hours_of_the_autumn_night_are_two_rows(csv):
    records = [changed(RECORDS[0], date=f"2020-10-25T02:00:00+0{offset}:00") for offset in (2, 1)]
    found = read(csv(records))
    assert not found.duplicated(["counter_id", "counted_at"]).any()
    assert list(found["counted_at"].dt.hour) == [0, 1]


def test_ids_published_as_whole_numbers_are_text(parquet):
    rows = read(parquet(id_compteur=[1, 2, 3], id=[100.0, 100.0, None]))
    assert list(rows["counter_id"]) == ["1", "2", "3"]
    assert rows["site_id"].iloc[0] == "100"
    assert rows["site_id"].isna().tolist() == [False, False, True]


def test_coordinates_are_text_or_a_record_or_unknown(parquet):
    points = [{"lat": 48.846, "lon": 2.375}, {"lat": 48.846, "lon": 2.375}, None]
    rows = read(parquet(coordinates=points))
    assert rows["latitude"].iloc[0] == 48.846
    assert rows["longitude"].iloc[0] == 2.375
    assert rows[["latitude", "longitude"]].iloc[2].isna().all()
    odd = read(parquet(coordinates=["48.846,2.375", "somewhere", ""]))
    assert odd["latitude"].isna().tolist() == [False, True, True]


def test_an_export_of_another_portal_is_read_by_its_fields(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("station,passages,heure\n7,12,2021-03-28T01:00:00+01:00\n8,0,2021-03-28T01:00:00+01:00\n")
    fields = PortalFields(counter_id="station", bike_count="passages", counted_at="heure")
    rows = read_export(path, replace(FORM, fields=fields, labels=None))
    assert rows["counter_id"].tolist() == rows["counter_name"].tolist() == rows["site_id"].tolist() == ["7", "8"]
    assert rows["bike_count"].tolist() == [12, 0]
    assert rows["latitude"].isna().all()


def test_an_error_names_the_columns_of_that_portal(tmp_path):
    fields = PortalFields(counter_id="station", bike_count="passages", counted_at="heure", site_name="lieu")
    path = tmp_path / "export.csv"
    path.write_text("station,passages,heure\n7,many,2021-03-28T01:00:00+01:00\n")
    with pytest.raises(BikeError, match="columns lieu are missing"):
        read_export(path, replace(FORM, fields=fields, labels=None))
    named = fields.model_copy(update={"site_name": None})
    with pytest.raises(BikeError, match="line 2: passages is 'many'"):
        read_export(path, replace(FORM, fields=named, labels=None))


@pytest.mark.parametrize("name", ["export.csv", "export.parquet"])
def test_a_missing_file_is_named_with_the_setting(tmp_path, name):
    with pytest.raises(BikeError, match=rf"{name} does not exist.*BIKE_COUNTS_FILE"):
        read(tmp_path / name)


def test_a_folder_is_no_export(tmp_path):
    with pytest.raises(BikeError, match="is not a file"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"Identifiant du compteur;Nom du compteur\n1;2\n" * 9])
def test_what_is_not_parquet_is_refused_by_name(tmp_path, content):
    path = tmp_path / "export.parquet"
    path.write_bytes(content)
    with pytest.raises(BikeError, match=r"export\.parquet is not a readable Parquet file"):
        read(path)


def test_a_cut_off_parquet_file_is_refused_by_name(parquet):
    path = parquet()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BikeError, match=r"export\.parquet is not a readable Parquet file"):
        read(path)


def test_an_empty_csv_and_one_without_rows_are_refused(tmp_path, csv):
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(BikeError, match=r"empty\.csv is not a portal export"):
        read(empty)
    with pytest.raises(BikeError, match="no rows"):
        read(csv([]))


def test_an_export_of_holes_only_is_refused(csv):
    with pytest.raises(BikeError, match="no row with a counter, a date and a count"):
        read(csv([changed(record, sum_counts="") for record in RECORDS]))


def test_a_csv_in_another_encoding_is_refused_by_name(csv):
    with pytest.raises(BikeError, match=r"export\.csv is not a readable CSV file"):
        read(csv(encoding="latin-1"))


@pytest.fixture(scope="module")
def real(shared_data) -> pd.DataFrame:
    rows = read(shared_data / "paris_counts_2020-09_2021-06.parquet")
    assert rows.notna().all(axis=None)
    assert not rows.duplicated(["counter_id", "counted_at"]).any()
    return rows


def test_the_real_counts_are_read_whole(real):
    assert len(real) == 372_219
    assert real["counter_id"].nunique() == 52
    assert real["site_id"].nunique() == 26
    assert real["latitude"].between(48.8, 48.92).all()
    assert real["longitude"].between(2.2, 2.45).all()
    assert real["counted_at"].min() == pd.Timestamp("2020-09-01T01:00Z")


def test_the_labelled_csv_gives_the_same_rows_as_the_same_hours_of_the_parquet(real, shared_data):
    labelled = read(shared_data / "portal_export_labels_2021-03-27_29.csv")
    same_hours = real[real["counted_at"].isin(set(labelled["counted_at"]))]
    pd.testing.assert_frame_equal(plain(labelled), plain(same_hours))


def test_the_labelled_csv_has_the_23_hours_of_the_spring_day(shared_data):
    labelled = read(shared_data / "portal_export_labels_2021-03-27_29.csv")
    for day, hours in zip(days_between(date(2021, 3, 28), date(2021, 3, 29)), (23, 24), strict=True):
        expected = hours_of(day, "Europe/Paris")["counted_at"]
        assert len(expected) == hours
        assert labelled.loc[labelled["counted_at"].isin(expected), "counted_at"].nunique() == hours


def test_a_negative_count_refuses_no_file(csv, parquet):
    records = [changed(RECORDS[0], sum_counts="-1"), *RECORDS[1:]]
    for rows in (read(csv(records)), read(parquet(sum_counts=[-1, 0, 12]))):
        assert rows["bike_count"].tolist() == [-1, 0, 12]
