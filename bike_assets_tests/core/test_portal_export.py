"""The portal's export files: both forms give the same rows, and a refusal says where and why."""

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.local_time import days_between, hours_of
from bike_assets.core.portal_export import LABELS, MOST_AN_HOUR, read_export
from bike_assets.errors import BikeError

RECORDS = [
    ("100-1", "1 rue A N-S", "100", "1 rue A", "3", "2021-03-28T01:00:00+01:00", "48.846,2.375"),
    ("100-2", "1 rue A S-N", "100", "1 rue A", "0", "2021-03-28T01:00:00+01:00", "48.846,2.375"),
    ("200-1", "2 quai Été", "200", "2 quai É", "12", "2021-03-28T03:00:00+02:00", "48.9,2.25"),
]
NAMES = list(LABELS.values())
POSITIONS = {name: position for position, name in enumerate(NAMES)}


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
    rows = read_export(csv()).rows
    assert rows.iloc[2].to_dict() == {
        "counter_id": "200-1",
        "counter_name": "2 quai Été",
        "site_id": "200",
        "site_name": "2 quai É",
        "latitude": 48.9,
        "longitude": 2.25,
        "counted_at": pd.Timestamp("2021-03-28T01:00Z"),
        "bike_count": 12,
    }
    assert list(rows["counted_at"].dt.hour) == [0, 0, 1]


def test_every_form_of_an_export_gives_the_same_rows(csv, parquet):
    expected = plain(read_export(parquet()).rows)
    forms = [
        {"header": tuple(LABELS)},
        {"header": tuple(NAMES)},
        {"header": tuple(NAMES), "separator": ","},
        {"start": "\ufeff"},
        {"end": "\r\n"},
        {"header": tuple(f'"{label}"' for label in LABELS), "start": "\ufeff"},
    ]
    for form in forms:
        pd.testing.assert_frame_equal(plain(read_export(csv(**form)).rows), expected)


def test_columns_in_another_order_and_columns_that_nobody_asked_for_do_no_harm(csv):
    order = [*reversed(range(len(NAMES)))]
    records = [(*(record[position] for position in order), "https://photo") for record in RECORDS]
    header = (*(list(LABELS)[position] for position in order), "Lien vers photo du site de comptage")
    found = read_export(csv(records, header)).rows
    pd.testing.assert_frame_equal(plain(found), plain(read_export(csv()).rows))


@pytest.mark.parametrize("column", NAMES)
def test_a_missing_column_is_named(csv, column):
    header = tuple(label for label, name in LABELS.items() if name != column)
    records = [tuple(value for name, value in zip(NAMES, record, strict=True) if name != column) for record in RECORDS]
    with pytest.raises(BikeError, match=rf"columns {column} are missing") as refusal:
        read_export(csv(records, header))
    assert "export.csv" in str(refusal.value)


def test_another_table_is_refused_with_what_was_found(tmp_path):
    path = tmp_path / "weather.parquet"
    pd.DataFrame({"temperature": [281.5], "wind": [3.0]}).to_parquet(path)
    with pytest.raises(BikeError, match=r"weather\.parquet.*id_compteur.*sum_counts.*found: temperature, wind"):
        read_export(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("date", "yesterday"),
        ("date", "28/03/2021 01:00"),
        ("date", "2021-13-28T01:00:00+01:00"),
        ("date", "2021-03-28T01:30:00+01:00"),
        ("sum_counts", "-1"),
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
        read_export(csv(records))
    message = str(refusal.value)
    assert "export.csv, line 5:" in message
    assert f"{column} is '{value}'" in message
    assert "2 such" in message


@pytest.mark.parametrize("value", [-1.0, 2.5, MOST_AN_HOUR + 1.0, 1e30, float("inf"), float("-inf")])
def test_a_wrong_count_in_parquet_is_refused_by_its_row(parquet, value):
    with pytest.raises(BikeError, match=r"export\.parquet, row 3: sum_counts is " + re.escape(repr(str(value)))):
        read_export(parquet(sum_counts=[3.0, 0.0, value]))


def test_the_greatest_count_and_outliers_below_it_are_rows(csv, parquet):
    counts = [str(MOST_AN_HOUR), "99999", "0"]
    records = [changed(record, sum_counts=count) for record, count in zip(RECORDS, counts, strict=True)]
    assert list(read_export(csv(records)).rows["bike_count"]) == [1_000_000, 99_999, 0]
    assert list(read_export(parquet(records)).rows["bike_count"]) == [1_000_000, 99_999, 0]


def test_a_refused_count_tells_the_greatest_that_is_accepted(csv):
    with pytest.raises(BikeError, match="expected a whole number of bikes from 0 to 1,000,000"):
        read_export(csv([changed(RECORDS[0], sum_counts="1000001")]))


def test_a_wrong_value_after_a_blank_line_has_the_line_of_the_file(csv):
    blank = ("",)
    with pytest.raises(BikeError, match="line 4: sum_counts is 'x'"):
        read_export(csv([RECORDS[0], blank, changed(RECORDS[1], sum_counts="x")]))


def test_rows_without_a_counter_or_a_count_are_counted_and_left_out(csv, parquet):
    holes = [changed(RECORDS[0], id_compteur=""), changed(RECORDS[1], sum_counts="")]
    found = read_export(csv([*RECORDS, *holes]))
    assert len(found.rows) == 3
    assert list(found.incomplete) == [pd.Timestamp("2021-03-28T00:00Z")] * 2
    nulls = read_export(parquet(id_compteur=["100-1", None, "200-1"], sum_counts=[3, 4, None]))
    assert list(nulls.rows["counter_id"]) == ["100-1"]
    assert list(nulls.incomplete) == [pd.Timestamp("2021-03-28T00:00Z"), pd.Timestamp("2021-03-28T01:00Z")]


def test_a_row_without_a_date_is_counted_too(csv):
    found = read_export(csv([*RECORDS, changed(RECORDS[0], date="")]))
    assert len(found.rows) == 3
    assert found.incomplete.isna().tolist() == [True]


def test_of_two_rows_of_a_counter_and_hour_the_last_wins(csv):
    correction = changed(RECORDS[0], sum_counts="8", date="2021-03-28T00:00:00+00:00")
    found = read_export(csv([*RECORDS, correction]))
    assert found.duplicates == 1
    assert len(found.rows) == 3
    assert found.rows.set_index("counter_id").loc["100-1", "bike_count"] == 8


def test_the_two_hours_of_the_autumn_night_are_two_rows(csv):
    records = [changed(RECORDS[0], date=f"2020-10-25T02:00:00+0{offset}:00") for offset in (2, 1)]
    found = read_export(csv(records))
    assert found.duplicates == 0
    assert list(found.rows["counted_at"].dt.hour) == [0, 1]


def test_ids_published_as_whole_numbers_are_text(parquet):
    rows = read_export(parquet(id_compteur=[1, 2, 3], id=[100.0, 100.0, None])).rows
    assert list(rows["counter_id"]) == ["1", "2", "3"]
    assert rows["site_id"].iloc[0] == "100"
    assert rows["site_id"].isna().tolist() == [False, False, True]


def test_coordinates_are_text_or_a_record_or_unknown(parquet):
    points = [{"lat": 48.846, "lon": 2.375}, {"lat": 48.846, "lon": 2.375}, None]
    rows = read_export(parquet(coordinates=points)).rows
    assert rows["latitude"].iloc[0] == 48.846
    assert rows["longitude"].iloc[0] == 2.375
    assert rows[["latitude", "longitude"]].iloc[2].isna().all()
    odd = read_export(parquet(coordinates=["48.846,2.375", "somewhere", ""])).rows
    assert odd["latitude"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("name", ["export.csv", "export.parquet"])
def test_a_missing_file_is_named_with_the_setting(tmp_path, name):
    with pytest.raises(BikeError, match=rf"{name} does not exist.*BIKE_COUNTS_FILE"):
        read_export(tmp_path / name)


def test_a_folder_is_no_export(tmp_path):
    with pytest.raises(BikeError, match="is not a file"):
        read_export(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"Identifiant du compteur;Nom du compteur\n1;2\n" * 9])
def test_what_is_not_parquet_is_refused_by_name(tmp_path, content):
    path = tmp_path / "export.parquet"
    path.write_bytes(content)
    with pytest.raises(BikeError, match=r"export\.parquet is not a readable Parquet file"):
        read_export(path)


def test_a_cut_off_parquet_file_is_refused_by_name(parquet):
    path = parquet()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BikeError, match=r"export\.parquet is not a readable Parquet file"):
        read_export(path)


def test_an_empty_csv_and_one_without_rows_are_refused(tmp_path, csv):
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(BikeError, match=r"empty\.csv is not a portal export"):
        read_export(empty)
    with pytest.raises(BikeError, match="no rows"):
        read_export(csv([]))


def test_an_export_of_holes_only_is_refused(csv):
    with pytest.raises(BikeError, match="no row with a counter, a date and a count"):
        read_export(csv([changed(record, sum_counts="") for record in RECORDS]))


def test_a_csv_in_another_encoding_is_refused_by_name(csv):
    with pytest.raises(BikeError, match=r"export\.csv is not a readable CSV file"):
        read_export(csv(encoding="latin-1"))


@pytest.fixture(scope="module")
def real(shared_data) -> pd.DataFrame:
    export = read_export(shared_data / "paris_counts_2020-09_2021-06.parquet")
    assert (len(export.incomplete), export.duplicates) == (0, 0)
    return export.rows


def test_the_real_counts_are_read_whole(real):
    assert len(real) == 372_219
    assert real["counter_id"].nunique() == 52
    assert real["site_id"].nunique() == 26
    assert real["latitude"].between(48.8, 48.92).all()
    assert real["longitude"].between(2.2, 2.45).all()
    assert real["counted_at"].min() == pd.Timestamp("2020-09-01T01:00Z")


def test_the_labelled_csv_gives_the_same_rows_as_the_same_hours_of_the_parquet(real, shared_data):
    labelled = read_export(shared_data / "portal_export_labels_2021-03-27_29.csv").rows
    same_hours = real[real["counted_at"].isin(set(labelled["counted_at"]))]
    pd.testing.assert_frame_equal(plain(labelled), plain(same_hours))


def test_the_labelled_csv_has_the_23_hours_of_the_spring_day(shared_data):
    labelled = read_export(shared_data / "portal_export_labels_2021-03-27_29.csv").rows
    for day, hours in zip(days_between(date(2021, 3, 28), date(2021, 3, 29)), (23, 24), strict=True):
        expected = hours_of(day, "Europe/Paris")["counted_at"]
        assert len(expected) == hours
        assert labelled.loc[labelled["counted_at"].isin(expected), "counted_at"].nunique() == hours
