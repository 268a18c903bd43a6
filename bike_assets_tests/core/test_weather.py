"""Published weather by the hour: both forms of files, steps of three hours, gaps, what is implausible, bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bike_assets.core.weather import WEATHER_COLUMNS, arrange_weather, read_weather_file
from bike_assets.errors import BikeError

OURS = "at,temperature_c,rain_mm,wind_mps,cloud_pct"
SYNOP = "date,temperature_k,humidity_pct,wind_mps,rain_1h_mm,rain_3h_mm,cloud_pct"


@pytest.fixture
def write(tmp_path):
    """Writes a CSV file of lines."""

    def write(*lines: str) -> Path:
        (tmp_path / "weather.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "weather.csv"

    return write


def published(hours: list[int], **values: list) -> pd.DataFrame:
    """Rows at some hours after midnight, with nothing but mild weather else."""
    mild = {"temperature": 10.0, "rain": 0.0, "wind": 2.0, "cloud": 50.0}
    at = pd.Timestamp("2026-03-28T00:00Z") + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame({"at": at, **mild}).assign(**values)


def hour(rows: pd.DataFrame, text: str) -> pd.Series:
    return rows.set_index("at").loc[pd.Timestamp(text)]


def test_our_own_form_is_taken_as_it_is(write):
    rows = read_weather_file(write(OURS, "2026-01-01T00:00:00+01:00,3.5,0.2,4,90", "2026-01-01T00:00Z,3,,4.5,100"))
    assert rows["at"].tolist() == [pd.Timestamp("2025-12-31T23:00Z"), pd.Timestamp("2026-01-01T00:00Z")]
    assert rows["temperature"].tolist() == [3.5, 3.0]
    np.testing.assert_array_equal(rows["rain"], [0.2, np.nan])
    assert list(rows.columns) == ["at", *WEATHER_COLUMNS, "implausible"]


def test_a_stations_three_hours_become_hours(write):
    path = write(
        SYNOP,
        "2026-01-01 00:00:00+00:00,273.15,81,1.0,0.0,0.0,0.0",
        "2026-01-01 03:00:00+00:00,276.15,81,4.0,0.0,6.0,30.0",
        "2026-01-01 06:00:00+00:00,276.15,81,4.0,0.5,,30.0",
    )
    rows = read_weather_file(path)
    assert rows["temperature"].round(6).tolist() == [0, 1, 2, 3, 3, 3, 3]
    assert rows["wind"].tolist() == [1, 2, 3, 4, 4, 4, 4]
    assert rows["cloud"].tolist() == [0, 10, 20, 30, 30, 30, 30]
    assert rows["rain"].tolist()[2:6] == [2.0, 0.5, 0.5, 0.5], "it fell in the hours before, and 1 h is all there is"


def test_a_trace_of_rain_is_none_and_no_mistake(write):
    path = write(SYNOP, "2026-01-01 00:00:00+00:00,280,81,1,0,0,0", "2026-01-01 01:00:00+00:00,280,81,1,-0.1,-0.1,0")
    rows = read_weather_file(path)
    assert (rows["rain"].iloc[0], rows["implausible"].sum()) == (0.0, 0)


def test_the_rain_of_a_file_of_ours_is_held_until_the_next_row(write):
    path = write(OURS, "2026-01-01T00:00Z,3,1.5,4,90", "2026-01-01T03:00Z,3,0,4,90", "2026-01-01T04:00Z,3,0,4,90")
    assert read_weather_file(path)["rain"].tolist() == [1.5, 1.5, 1.5, 0.0, 0.0]


@pytest.mark.parametrize(("step", "missing"), [(1, 0), (2, 0), (3, 0), (4, 3), (6, 5)])
@pytest.mark.parametrize("before", [True, False])
def test_a_gap_of_more_than_three_hours_stays_one(step, missing, before):
    hours = [0, 1, 1 + step, 2 + step]
    rows = arrange_weather(published(hours), before)
    assert len(rows) == 3 + step
    assert rows["temperature"].isna().sum() == missing
    inner = rows.iloc[1:-1] if before else rows
    assert inner["rain"].isna().sum() == missing


def test_a_missing_value_is_a_gap_of_its_own_column():
    rows = arrange_weather(published([0, 1, 2], wind=[1.0, np.nan, 3.0], cloud=[np.nan, 5.0, 5.0]), True)
    assert rows["wind"].tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(rows["cloud"], [np.nan, 5.0, 5.0])


BOUNDS = [("temperature", -60, 60), ("rain", 0, 200), ("wind", 0, 100), ("cloud", 0, 100)]


@pytest.mark.parametrize(("column", "lowest", "highest"), BOUNDS)
def test_what_no_weather_is_like_is_left_out_and_counted(column, lowest, highest):
    values = [float(lowest), float(highest), lowest - 0.01, highest + 0.01]
    rows = arrange_weather(published([0, 10, 20, 30], **{column: values}), False).set_index("at")
    shown = rows.iloc[[0, 10, 20, 30]]
    np.testing.assert_array_equal(shown[column], [lowest, highest, np.nan, np.nan])
    assert shown["implausible"].tolist() == [0, 0, 1, 1]
    others = [name for name, *_ in BOUNDS if name != column]
    assert shown[others].notna().all(axis=None)


def test_hours_come_in_order_and_once():
    rows = arrange_weather(published([5, 3, 4]).sample(frac=1, random_state=1), False)
    assert rows["at"].is_monotonic_increasing
    assert len(rows) == 3


def test_nothing_published_is_no_hours():
    assert arrange_weather(published([]), True).empty


def test_the_days_of_the_clock_changes_have_their_hours(write):
    local = pd.date_range("2026-03-29", "2026-03-29T23:00", freq="h", tz="Europe/Paris")
    rows = read_weather_file(write(OURS, *[f"{each.isoformat()},3,0,4,90" for each in local]))
    assert (len(local), len(rows)) == (23, 23)
    local = pd.date_range("2026-10-25", "2026-10-25T23:00", freq="h", tz="Europe/Paris")
    assert len(read_weather_file(write(OURS, *[f"{each.isoformat()},3,0,4,90" for each in local]))) == 25


@pytest.mark.parametrize("as_text", [True, False])
def test_parquet_holds_the_same(tmp_path, write, as_text):
    lines = ["2026-01-01T00:00:00Z,3.5,0.2,4,90", "2026-01-01T03:00:00Z,6.5,0.2,4,90"]
    rows = pd.read_csv(write(OURS, *lines))
    if not as_text:
        rows["at"] = pd.to_datetime(rows["at"]).dt.tz_convert("Europe/Paris")
    rows.to_parquet(tmp_path / "weather.parquet")
    pd.testing.assert_frame_equal(
        read_weather_file(tmp_path / "weather.parquet"), read_weather_file(write(OURS, *lines))
    )


GOOD = "2026-01-01T00:00Z,3,0,4,90"
REFUSED = [
    ([OURS, GOOD, "2026-01-01T01:00Z,warm,0,4,90"], "line 3: temperature_c is 'warm', expected a number"),
    ([OURS, GOOD, "", "2026-01-01T01:00Z,3,0,4,inf"], "line 4: cloud_pct is 'inf', expected a number"),
    ([OURS, "2026-01-01T00:00,3,0,4,90"], "line 2: at is '2026-01-01T00:00', expected a time with its offset"),
    ([OURS, GOOD, ",3,0,4,90"], "line 3: at is missing, expected a time"),
    ([OURS, "yesterday,3,0,4,90"], "line 2: at is 'yesterday', expected a time"),
    ([OURS, "2026-01-01T00:30Z,3,0,4,90"], "line 2: at is '2026-01-01T00:30Z', expected the start of an hour"),
    ([OURS, GOOD, "2026-01-01T01:00+01:00,3,0,4,90"], "line 3: at is .*, expected every hour once"),
    ([SYNOP, "2026-01-01 00:00:00+00:00,x,1,1,0,0,0"], "line 2: temperature_k is 'x', expected a number"),
    (["at,temperature_c", "2026-01-01T00:00Z,3"], r"expected the columns at, temperature_c, .* \(found: at, temp"),
    ([OURS], "has the columns of a weather file but no rows"),
    ([], "is not a weather file|is empty"),
]


@pytest.mark.parametrize(("lines", "message"), REFUSED)
def test_bad_input_is_refused_with_file_row_column_and_what_was_expected(write, lines, message):
    path = write(*lines)
    with pytest.raises(BikeError, match=message) as refused:
        read_weather_file(path)
    assert str(path) in str(refused.value)


def test_bad_parquet_is_refused_too(tmp_path):
    path = tmp_path / "weather.parquet"
    with pytest.raises(BikeError, match="does not exist or is not a file: BIKE_WEATHER_FILE"):
        read_weather_file(path)
    path.write_text("no parquet")
    with pytest.raises(BikeError, match="not a readable Parquet file"):
        read_weather_file(path)
    naive = pd.DataFrame({"at": [pd.Timestamp("2026-01-01")], "temperature_c": 1.0, "rain_mm": 0.0, "wind_mps": 1.0})
    naive.to_parquet(path)
    with pytest.raises(BikeError, match=r"expected the columns .* \(found: at, temperature_c, rain_mm, wind_mps\)"):
        read_weather_file(path)
    naive.assign(cloud_pct=0.0).to_parquet(path)
    with pytest.raises(BikeError, match=r"row 1: at is .*, expected a time with its offset"):
        read_weather_file(path)


def test_the_real_weather_of_paris_is_read(shared_data):
    rows = read_weather_file(shared_data / "paris_weather_2020-09_2021-06.csv")
    assert rows["at"].diff().dropna().eq(pd.Timedelta(hours=1)).all()
    assert rows["temperature"].notna().mean() > 0.99
    assert 400 < rows["rain"].sum() < 900, "mm in ten months of Paris"
    assert hour(rows, "2020-09-01T01:00Z")["temperature"] == pytest.approx(12.0)
