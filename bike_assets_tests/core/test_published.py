"""Published rows: whatever form they come in, each is kept as it is or has one reason why it cannot be used."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.published import INCOMPLETE, MAX_PER_HOUR, Problem, arrange, problems_of

PARIS = "Europe/Paris"
HOUR = pd.Timestamp("2025-03-30T10:00Z")
READ_AT = datetime(2025, 4, 1, 8, 30, tzinfo=UTC)
POINT = np.array([2.375, 48.846])


def published(**columns: list) -> pd.DataFrame:
    """Rows as a portal has them, good ones but for the columns that are given."""
    rows = max((len(values) for values in columns.values()), default=1)
    good = {"counter_id": ["a"] * rows, "bike_count": [7] * rows, "counted_at": ["2025-03-30T12:00:00+02:00"] * rows}
    return pd.DataFrame({**good, **columns})


def as_text(raw: pd.DataFrame) -> pd.DataFrame:
    """As a CSV file has them."""
    return raw.astype(object).where(raw.notna(), None).map(lambda v: v if v is None else str(v)).astype("string")


def as_columns(raw: pd.DataFrame) -> pd.DataFrame:
    """As a Parquet file has them: texts as categories, times as times, counts as numbers."""
    times = pd.to_datetime(raw["counted_at"], utc=True, format="ISO8601")
    return raw.assign(
        counted_at=times, bike_count=pd.to_numeric(raw["bike_count"]), counter_id=raw["counter_id"].astype("category")
    )


FORMS = {"values": lambda raw: raw, "text": as_text, "columns": as_columns}


def verdicts(raw: pd.DataFrame, read_at: datetime = READ_AT) -> list[str]:
    return problems_of(arrange(raw, PARIS), read_at, PARIS, 60).tolist()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_good_row_has_our_types_in_every_form(form):
    rows = arrange(form(published(counter_name=["rue A"], site_id=["s"], site_name=["A"])), PARIS)
    assert rows.iloc[0, [0, 1, 2, 3]].tolist() == ["a", "rue A", "s", "A"]
    assert rows.loc[0, "counted_at"] == HOUR
    assert rows.loc[0, "bike_count"] == 7
    assert rows[["latitude", "longitude"]].isna().all(axis=None)
    assert str(rows["counted_at"].dtype) == "datetime64[us, UTC]"
    assert rows["bike_count"].dtype == "float64"
    assert all(isinstance(rows[name].dtype, pd.CategoricalDtype) for name in ("counter_id", "site_name"))
    assert rows["is_readable"].all()
    assert verdicts(form(published())) == [""]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("counter_id", None, Problem.NO_COUNTER),
        ("bike_count", None, Problem.NO_COUNT),
        ("counted_at", None, Problem.NO_TIME),
        ("bike_count", -1, Problem.NEGATIVE_COUNT),
        ("bike_count", 2.5, Problem.UNREADABLE_COUNT),
        ("bike_count", MAX_PER_HOUR + 1, Problem.IMPLAUSIBLE_COUNT),
        ("counted_at", "2025-03-30T12:30:00+02:00", Problem.OFF_THE_HOUR),
        ("counted_at", "2025-03-30T10:00:00.000001Z", Problem.OFF_THE_HOUR),
        ("counted_at", "2025-04-01T09:00:00Z", Problem.IN_THE_FUTURE),
    ],
)
def test_each_problem_is_reported_for_its_row_alone(form, column, value, problem):
    good = published().loc[0, column]
    assert verdicts(form(published(**{column: [good, value, good]}))) == ["", problem, ""]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("column", ["counter_id", "bike_count", "counted_at"])
def test_a_column_of_gaps_alone_is_rows_with_gaps(form, column):
    found_verdicts = verdicts(form(published(**{column: [None, None]})))
    assert len(set(found_verdicts)) == 1
    assert found_verdicts[0] in INCOMPLETE


@pytest.mark.parametrize("count", [0, 1, 999, MAX_PER_HOUR])
def test_counts_that_a_street_can_carry_are_counts(count):
    rows = arrange(published(bike_count=[count]), PARIS)
    assert rows.loc[0, "bike_count"] == count
    assert problems_of(rows, READ_AT, PARIS, 60).tolist() == [""]


@pytest.mark.parametrize("count", ["many", "", "1,5", float("inf"), float("-inf"), "inf"])
def test_a_count_that_cannot_be_read_is_no_gap(count):
    rows = arrange(published(bike_count=[3, count, None]), PARIS)
    assert rows["is_readable"].tolist() == [True, False, True]
    assert rows["bike_count"].isna().tolist() == [False, True, True]
    assert problems_of(rows, READ_AT, PARIS, 60).tolist() == ["", Problem.UNREADABLE_COUNT, Problem.NO_COUNT]


@pytest.mark.parametrize("time", ["yesterday", "30/03/2025 10:00", "2025-13-01T10:00:00Z", "", 1_743_328_800])
def test_a_time_that_cannot_be_read_is_no_gap(time):
    rows = arrange(published(counted_at=["2025-03-30T10:00:00Z", time, None]), PARIS)
    assert rows["is_readable"].tolist() == [True, False, True]
    assert rows["counted_at"].isna().tolist() == [False, True, True]
    assert problems_of(rows, READ_AT, PARIS, 60).tolist() == ["", Problem.UNREADABLE_TIME, Problem.NO_TIME]


def test_a_row_that_cannot_be_read_is_an_error_also_where_it_names_no_counter():
    raw = published(counter_id=[None, None], bike_count=["many", 3], counted_at=["2025-03-30T10:00:00Z", "soon"])
    assert verdicts(raw) == [Problem.UNREADABLE_COUNT, Problem.UNREADABLE_TIME]


def test_the_hour_that_has_begun_is_not_in_the_future_and_the_next_one_is():
    raw = published(counted_at=["2025-03-30T10:00:00Z"])
    moment = timedelta(microseconds=1)
    assert verdicts(raw, HOUR.to_pydatetime() + moment) == [""]
    assert verdicts(raw, HOUR.to_pydatetime() - moment) == [Problem.IN_THE_FUTURE]
    assert verdicts(raw, HOUR.to_pydatetime()) == [Problem.IN_THE_FUTURE]
    assert verdicts(raw, HOUR.to_pydatetime() + timedelta(hours=1)) == [""]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_precision_are_the_same_hours(unit):
    times = pd.Series([HOUR, HOUR + pd.Timedelta(hours=1)]).astype(f"datetime64[{unit}, UTC]")
    rows = arrange(published(counter_id=["a", "b"]).assign(counted_at=times), PARIS)
    assert rows["counted_at"].tolist() == times.tolist()
    assert str(rows["counted_at"].dtype) == "datetime64[us, UTC]"


def test_the_two_hours_of_the_autumn_night_are_two():
    rows = arrange(published(counted_at=["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]), PARIS)
    assert rows["counted_at"].dt.hour.tolist() == [0, 1]


@pytest.mark.parametrize(
    "ids",
    [
        ["100", "7", None],
        pd.array([100, 7, None], dtype="Int64"),
        [100.0, 7.0, np.nan],
        pd.Categorical(["100", "7", None]),
        pd.array(["100", "7", None], dtype="string"),
    ],
    ids=["text", "numbers with a gap", "numbers that a gap made floats", "categories", "string type"],
)
@pytest.mark.parametrize("column", ["counter_id", "site_id"])
def test_ids_are_text_whatever_they_are_published_as(column, ids):
    rows = arrange(published(counter_id=["a", "b", "c"]).assign(**{column: ids}), PARIS)
    assert rows[column].astype(object).tolist()[:2] == ["100", "7"]
    assert rows[column].isna().tolist() == [False, False, True]


def test_great_whole_ids_keep_all_their_digits():
    rows = arrange(published(counter_id=[2**60 + 1, 2**60]), PARIS)
    assert rows["counter_id"].tolist() == [str(2**60 + 1), str(2**60)]


def test_a_portal_that_publishes_ids_alone_has_names_and_sites_by_them():
    rows = arrange(published(counter_id=["a", None]), PARIS)
    for name in ("counter_name", "site_id", "site_name"):
        assert rows.loc[0, name] == "a"
        assert pd.isna(rows.loc[1, name])


def test_a_portal_without_sites_has_the_name_for_the_place():
    rows = arrange(published(counter_id=["a"], counter_name=["rue A"]), PARIS)
    assert rows.loc[0, ["site_id", "site_name"]].tolist() == ["a", "rue A"]


def test_a_name_that_is_missing_in_one_row_is_not_made_up():
    rows = arrange(published(counter_id=["a", "b"], counter_name=["rue A", None]), PARIS)
    assert rows["counter_name"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "point",
    [
        "48.846,2.375",
        "48.846, 2.375",
        {"lon": 2.375, "lat": 48.846},
        b"\x01\x01\x00\x00\x00" + POINT.astype("<f8").tobytes(),
        b"\x00\x00\x00\x00\x01" + POINT.astype(">f8").tobytes(),
    ],
    ids=["text", "text with a blank", "record", "WKB, little endian", "WKB, big endian"],
)
def test_a_point_is_latitude_and_longitude_in_every_form(point):
    rows = arrange(published(coordinates=[point, None, point]), PARIS)
    assert rows["latitude"].tolist()[::2] == [48.846, 48.846]
    assert rows["longitude"].tolist()[::2] == [2.375, 2.375]
    assert rows.loc[1, ["latitude", "longitude"]].isna().all()


def test_points_in_categories_are_read_alike():
    rows = arrange(published(counter_id=["a"] * 3).assign(coordinates=pd.Categorical(["1.5,2", None, "1.5,2"])), PARIS)
    assert rows["latitude"].tolist()[::2] == [1.5, 1.5]
    assert rows["longitude"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    "nonsense",
    ["", "somewhere", "48.8", "48.8;2.3", "48.8,east", "1,2,3", {}, {"lat": 48.8}, {"lat": None, "lon": None}, b"", 5],
    ids=str,
)
def test_what_is_no_point_is_unknown_and_its_count_is_kept(nonsense):
    rows = arrange(published(coordinates=[nonsense, "48.846,2.375"]), PARIS)
    assert rows.loc[0, ["latitude", "longitude"]].isna().all()
    assert rows.loc[1, "latitude"] == 48.846
    assert problems_of(rows, READ_AT, PARIS, 60).tolist() == ["", ""]


def test_no_published_rows_give_no_rows():
    rows = arrange(published(counter_id=["a"]).iloc[:0], PARIS)
    assert rows.empty
    assert problems_of(rows, READ_AT, PARIS, 60).empty


COUNTS = [None, 0, 3, MAX_PER_HOUR, -2, 2.5, MAX_PER_HOUR + 1, "many"]
TIMES = [None, "2025-03-30T10:00:00Z", "2025-03-30T10:20:00Z", "2025-04-01T09:00:00Z", "2025-04-01T09:20:00Z", "soon"]
UNREADABLE = {Problem.UNREADABLE_COUNT, Problem.UNREADABLE_TIME}
ROWS = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from(COUNTS), st.sampled_from(TIMES)), max_size=12
)


def problems_that_hold(counter, count, time) -> set[str]:
    """Every reason for which a row cannot be used, row by row in plain words."""
    if count == "many" or time == "soon":
        return set(UNREADABLE)
    held = {
        Problem.NO_COUNTER: counter is None,
        Problem.NO_COUNT: count is None,
        Problem.NO_TIME: time is None,
        Problem.NEGATIVE_COUNT: count is not None and count < 0,
        Problem.UNREADABLE_COUNT: count is not None and count != int(count),
        Problem.IMPLAUSIBLE_COUNT: count is not None and count > MAX_PER_HOUR,
        Problem.OFF_THE_HOUR: time is not None and pd.Timestamp(time).minute != 0,
        Problem.IN_THE_FUTURE: time is not None and pd.Timestamp(time) >= READ_AT,
    }
    return {problem for problem, holds in held.items() if holds}


@given(ROWS)
def test_no_row_is_dropped_and_each_has_one_verdict_that_is_true(published_rows):
    raw = pd.DataFrame(published_rows, columns=["counter_id", "bike_count", "counted_at"])
    rows = arrange(raw, PARIS)
    found_verdicts = problems_of(rows, READ_AT, PARIS, 60)
    assert len(rows) == len(found_verdicts) == len(raw)
    for row, verdict in zip(published_rows, found_verdicts, strict=True):
        true = problems_that_hold(*row)
        assert (verdict in true) if true else (verdict == "")
        gaps = true & set(INCOMPLETE)
        assert not gaps or verdict in gaps, (
            "the verdict on a row with a gap is its gap: it is no error of the publisher's"
        )


@given(ROWS, st.randoms())
@settings(max_examples=40)
def test_the_verdict_of_a_row_does_not_depend_on_the_others(published_rows, random):
    raw = pd.DataFrame(published_rows, columns=["counter_id", "bike_count", "counted_at"]).astype(object)
    found_verdicts = verdicts(raw) if len(raw) else []
    order = list(range(len(raw)))
    random.shuffle(order)
    assert verdicts(raw.iloc[order].reset_index(drop=True)) == [found_verdicts[place] for place in order]


@pytest.mark.parametrize("point", ["inf,2", "999,999", b"x" * 21, [48.8, 2.3]])
def test_an_impossible_place_is_unknown_and_loses_no_row(point):
    raw = {"counter_id": ["a"], "bike_count": [1], "counted_at": ["2025-01-01T00:00Z"], "coordinates": [point]}
    rows = arrange(pd.DataFrame(raw), PARIS)
    assert rows[["latitude", "longitude"]].isna().all(axis=None)
    assert rows["bike_count"].tolist() == [1]


def test_an_empty_id_is_none_and_a_fractional_one_is_text():
    good = {"bike_count": [1, 1, 1, 1], "counted_at": ["2025-01-01T00:00Z"] * 4}
    empty = arrange(pd.DataFrame({"counter_id": ["", "  ", None, "a"], **good}), PARIS)
    assert problems_of(empty, datetime(2026, 1, 1, tzinfo=UTC), PARIS, 60).tolist() == ["no counter"] * 3 + [""]
    numbers = arrange(pd.DataFrame({"counter_id": [1.5, 2.0, None, 3.0], **good}), PARIS)
    assert numbers["counter_id"].astype(object).where(numbers["counter_id"].notna(), None).tolist() == [
        "1.5",
        "2",
        None,
        "3",
    ]
