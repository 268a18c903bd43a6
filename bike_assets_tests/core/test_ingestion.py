"""What a reading amounts to, day by day: nothing is lost between what was read, kept, left out and there twice."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike_assets.core.ingestion import PROBLEMS_BY_COLUMN, Reading, classify_rows, shrinkage_reasons
from bike_assets.core.local_time import days_between, hours_of
from bike_assets.core.parts_of_hours import IntervalMinutes
from bike_assets.core.plausibility import OutlierRule, busiest_hours, concat_busiest
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.published import MAX_PER_HOUR, Problem, arrange
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import RepeatedRows
from bike_assets.core.schemas import COMPTAGE_VELO, INGESTIONS, REJECTED_COUNTS
from bike_assets.core.simulation import SimulatedCity
from bike_assets.core.splits import Span

PARIS = "Europe/Paris"
DAY = date(2025, 6, 3)
SPRING, AUTUMN = date(2025, 3, 30), date(2025, 10, 26)
LATER = datetime(2026, 1, 1, tzinfo=UTC)
RULE = OutlierRule()
FIELDS = PortalFields(counter_id="counter_id", bike_count="bike_count", counted_at="counted_at")
NO_HISTORY = pd.DataFrame({"day": pd.Series(dtype="datetime64[s]"), "counter_id": [], "busiest": []})
COLUMNS_OF_THE_READER = {"ingested_at", "source", "run_id", "unread", "rows_added", "rows_changed", "rows_withdrawn"}


def hourly(first: date, last: date, counters=("a", "b"), zone: str = PARIS) -> pd.DataFrame:
    """What a portal has of some local days: every hour, every counter, one bike."""
    hours = pd.concat([hours_of(day, zone) for day in days_between(first, last)])["counted_at"]
    rows = pd.DataFrame({"counted_at": hours}).merge(pd.DataFrame({"counter_id": list(counters)}), how="cross")
    return rows.assign(counter_name="rue " + rows["counter_id"], bike_count=1)


def digest(
    raw: pd.DataFrame,
    first: date = DAY,
    last: date | None = None,
    read_at=LATER,
    history=NO_HISTORY,
    zone: str = PARIS,
    repeated_rows: RepeatedRows = "last",
    interval_minutes: IntervalMinutes = 60,
) -> Reading:
    rows = arrange(raw.reset_index(drop=True), zone)
    form = PublishedForm(FIELDS, None, zone, zone, repeated_rows, interval_minutes)
    return classify_rows(Span(first, last or first), rows, read_at, history, RULE, form)


def figures(reading: Reading, *names: str) -> list[tuple]:
    """Some figures, day by day."""
    return [tuple(row) for row in reading.days[list(names)].to_numpy().tolist()]


def test_a_whole_day_is_kept_and_counted():
    reading = digest(hourly(DAY, DAY))
    assert figures(reading, "rows_read", "rows_kept", "hours", "counters", "rows_duplicated") == [(48, 48, 24, 2, 0)]
    assert len(reading.rows) == 48
    assert reading.rejected.empty
    assert reading.rows["bike_count"].dtype == "int64"
    assert not reading.rows["is_outlier"].any()


def test_rows_figures_and_what_is_left_out_fit_their_tables():
    reading = digest(hourly(DAY, DAY).assign(bike_count=[-1] + [1] * 47))
    assert set(COMPTAGE_VELO.columns) - {"ingested_at"} <= set(reading.rows.columns)
    assert set(REJECTED_COUNTS.columns) - {"ingested_at"} <= set(reading.rejected.columns)
    assert set(reading.days.columns) == set(INGESTIONS.columns) - COLUMNS_OF_THE_READER


@pytest.mark.parametrize(("changes", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_the_days_of_the_clock_changes_have_all_their_hours(changes, hours):
    first, last = changes - timedelta(days=1), changes + timedelta(days=1)
    reading = digest(hourly(first, last), first, last)
    assert figures(reading, "hours", "rows_kept", "rows_duplicated") == [
        (24, 48, 0),
        (hours, 2 * hours, 0),
        (24, 48, 0),
    ]


def test_the_hour_that_is_there_twice_in_autumn_is_two_rows_of_one_day():
    raw = pd.DataFrame({"counter_id": "a", "bike_count": [3, 4]}).assign(
        counted_at=["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]
    )
    reading = digest(raw, AUTUMN)
    assert figures(reading, "rows_read", "rows_kept", "rows_duplicated", "hours") == [(2, 2, 0, 2)]
    assert sorted(reading.rows["bike_count"]) == [3, 4]


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        (date(2024, 2, 28), date(2024, 3, 1), 3),
        (date(2025, 2, 28), date(2025, 3, 1), 2),
        (date(2024, 12, 31), date(2025, 1, 1), 2),
    ],
    ids=["a leap day", "no leap day", "a year's end"],
)
def test_each_day_of_the_calendar_has_its_own_rows(first, last, numbers):
    reading = digest(hourly(first, last), first, last)
    assert [each.date() for each in reading.days["day"]] == days_between(first, last)
    assert figures(reading, "hours", "rows_kept") == [(24, 48)] * numbers


def test_hours_belong_to_the_local_day_of_the_citys_zone():
    raw = hourly(DAY, DAY, counters="a", zone="UTC")
    assert figures(digest(raw, zone="UTC"), "hours") == [(24,)]
    paris, new_york = (
        digest(raw, DAY - timedelta(days=1), DAY + timedelta(days=1), zone=z) for z in (PARIS, "America/New_York")
    )
    assert figures(paris, "hours") == [(0,), (22,), (2,)]
    assert figures(new_york, "hours") == [(4,), (20,), (0,)]


def test_a_counter_that_is_renamed_in_the_middle_of_a_day_is_one_counter():
    raw = hourly(DAY, DAY, counters="a")
    raw.loc[12:, "counter_name"] = "rue A prime"
    reading = digest(raw)
    assert figures(reading, "rows_kept", "counters", "rows_duplicated") == [(24, 1, 0)]
    names = reading.rows.sort_values("counted_at")["counter_name"].astype(str)
    assert names.tolist() == ["rue a"] * 12 + ["rue A prime"] * 12


def test_of_several_rows_of_a_counter_and_hour_the_last_is_kept():
    raw = hourly(DAY, DAY)
    noon = raw[raw["counter_id"] == "a"].iloc[[12]]
    reading = digest(pd.concat([noon.assign(bike_count=5), raw, noon.assign(bike_count=7), noon.assign(bike_count=9)]))
    assert figures(reading, "rows_read", "rows_kept", "rows_duplicated") == [(51, 48, 3)]
    kept = reading.rows[(reading.rows["counter_id"] == "a") & (reading.rows["counted_at"] == noon["counted_at"].item())]
    assert kept["bike_count"].tolist() == [9]


def test_a_later_row_that_cannot_be_used_replaces_nothing():
    raw = hourly(DAY, DAY, counters="a")
    reading = digest(pd.concat([raw, raw.iloc[[12]].assign(bike_count=-4)]))
    assert figures(reading, "rows_read", "rows_kept", "rows_duplicated", "rows_negative") == [(25, 24, 0, 1)]
    assert (reading.rows["bike_count"] == 1).all()


def test_days_without_rows_have_figures_of_zero():
    reading = digest(hourly(DAY, DAY), DAY - timedelta(days=2), DAY + timedelta(days=1))
    assert figures(reading, "rows_read", "rows_kept", "hours", "counters") == [(0, 0, 0, 0)] * 2 + [
        (48, 48, 24, 2),
        (0, 0, 0, 0),
    ]
    assert figures(reading, "counters_before") == [(0,), (0,), (0,), (2,)]


def test_a_reading_without_any_rows_has_its_days():
    reading = digest(hourly(DAY, DAY).iloc[:0], DAY, DAY + timedelta(days=1))
    assert figures(reading, "rows_read", "rows_kept", "counters_before") == [(0, 0, 0)] * 2
    assert reading.rows.empty
    assert reading.rejected.empty


@pytest.mark.parametrize(
    ("change", "counted", "problem"),
    [
        ({"counter_id": None}, "rows_without_counter", Problem.NO_COUNTER),
        ({"bike_count": None}, "rows_without_counter", Problem.NO_COUNT),
        ({"bike_count": -1}, "rows_negative", Problem.NEGATIVE_COUNT),
        ({"bike_count": 2.5}, "rows_unreadable", Problem.UNREADABLE_COUNT),
        ({"bike_count": "many"}, "rows_unreadable", Problem.UNREADABLE_COUNT),
        ({"bike_count": MAX_PER_HOUR + 1}, "rows_unreadable", Problem.IMPLAUSIBLE_COUNT),
        ({"counted_at": pd.Timestamp("2025-06-03T10:30Z")}, "rows_unreadable", Problem.OFF_THE_HOUR),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_left_out_counted_and_shown_with_its_reason(change, counted, problem):
    raw = hourly(DAY, DAY).astype({"bike_count": object})
    for name, value in change.items():
        raw.loc[[3, 9], name] = value
    reading = digest(raw)
    assert figures(reading, "rows_read", "rows_kept", counted) == [(48, 46, 2)]
    assert sum(figures(reading, *PROBLEMS_BY_COLUMN)[0]) == 2
    assert reading.rejected["problem"].tolist() == [problem] * 2
    assert reading.rejected["position"].tolist() == [0, 1]
    assert reading.rejected["counter_name"].astype(str).tolist() == ["rue b", "rue b"]


def test_hours_to_come_are_counted_on_their_day():
    read_at = datetime(2025, 6, 3, 9, 30, tzinfo=UTC)
    reading = digest(hourly(DAY, DAY + timedelta(days=1)), DAY, DAY + timedelta(days=1), read_at)
    assert figures(reading, "rows_kept", "rows_in_future", "hours") == [(24, 24, 12), (0, 48, 0)]


def test_positions_of_what_is_left_out_begin_anew_each_day():
    raw = hourly(DAY, DAY + timedelta(days=1), counters="a")
    raw.loc[[0, 5, 30], "bike_count"] = -1
    rejected = digest(raw, DAY, DAY + timedelta(days=1)).rejected
    assert rejected[["day", "position"]].astype(str).to_numpy().tolist() == [
        ["2025-06-03", "0"],
        ["2025-06-03", "1"],
        ["2025-06-04", "0"],
    ]


def weeks_of(busiest: int, before: date) -> pd.DataFrame:
    """Four weeks of history of counter a."""
    days = [pd.Timestamp(before - timedelta(days=ago)) for ago in range(1, 29)]
    return pd.DataFrame({"day": pd.Series(days).astype("datetime64[s]"), "counter_id": "a", "busiest": busiest})


def test_an_outlier_is_kept_flagged_and_history_like_any_count():
    """History does not depend on what was flagged, so a day is judged the same alone and among others."""
    raw = hourly(DAY, DAY, counters="a")
    raw.loc[12, "bike_count"] = 9_000
    reading = digest(raw, history=weeks_of(100, DAY))
    assert figures(reading, "rows_kept", "outliers") == [(24, 1)]
    assert reading.rows.loc[reading.rows["is_outlier"], "bike_count"].tolist() == [9_000]
    assert reading.busiest["busiest"].tolist() == [9_000]


def test_days_are_judged_the_same_in_one_reading_and_day_by_day():
    last = DAY + timedelta(days=24)
    raw = hourly(DAY, last, counters="a").reset_index(drop=True)
    raw["bike_count"] = 50 + 50 * (raw.index // 24 % 2)
    raw.loc[[15 * 24, 17 * 24 + 3, 20 * 24], "bike_count"] = [9_000, 500, 520]
    whole, history, parts = digest(raw, DAY, last), NO_HISTORY, []
    for day in days_between(DAY, last):
        of_day = raw[raw["counted_at"].dt.tz_convert(PARIS).dt.date == day]
        parts.append(digest(of_day, day, history=history))
        history = concat_busiest(history, parts[-1].busiest)
    flags = [flag for part in parts for flag in part.rows["is_outlier"]]
    assert flags == whole.rows["is_outlier"].tolist()
    assert 0 < sum(flags) < 4
    before = [part.days["counters_before"].item() for part in parts]
    assert before == whole.days["counters_before"].tolist() == [0] + [1] * 24


def test_counters_before_are_those_of_history_and_of_the_days_read():
    reading = digest(hourly(DAY, DAY + timedelta(days=1), "bc"), DAY, DAY + timedelta(days=1), history=weeks_of(9, DAY))
    assert figures(reading, "counters_before", "counters") == [(1, 2), (3, 2)]


def test_busiest_hours_are_those_of_the_rows_that_were_kept():
    reading = digest(hourly(DAY, DAY).assign(bike_count=[-1, 8] + [1] * 46))
    pd.testing.assert_frame_equal(reading.busiest, busiest_hours(reading.rows))
    assert reading.busiest["busiest"].tolist() == [1, 8]


ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([None, "many", -1, 2.5, 0, 4, 20_000_000]),
        st.integers(0, 3 * 24 - 2),
        st.sampled_from([0, 0, 0, 20]),
    ),
    max_size=60,
)


@given(ROWS, st.integers(0, 3 * 24))
@settings(max_examples=60)
def test_what_was_read_was_kept_left_out_or_there_twice_on_every_day(rows, hours_over):
    first = SPRING - timedelta(days=1)
    start = pd.Timestamp(first, tz=PARIS).tz_convert("UTC")
    raw = pd.DataFrame(
        [(counter, count, start + pd.Timedelta(hours=hour, minutes=minute)) for counter, count, hour, minute in rows],
        columns=["counter_id", "bike_count", "counted_at"],
    ).astype({"counter_id": object, "bike_count": object, "counted_at": "datetime64[us, UTC]"})
    reading = digest(raw, first, first + timedelta(days=2), (start + pd.Timedelta(hours=hours_over)).to_pydatetime())
    days = reading.days.set_index("day")
    left_out = days[list(PROBLEMS_BY_COLUMN)].sum(axis=1)
    assert (days["rows_read"] == days["rows_kept"] + left_out + days["rows_duplicated"]).all()
    assert (reading.rejected.groupby("day").size().reindex(days.index, fill_value=0) == left_out).all()
    assert (reading.rows.groupby("day").size().reindex(days.index, fill_value=0) == days["rows_kept"]).all()
    assert not reading.rejected.duplicated(["day", "position"]).any()

    usable = {
        (counter, hour): count
        for counter, count, hour, minute in rows
        if counter and count in {0, 4} and not minute and hour < hours_over
    }
    hours = (reading.rows["counted_at"] - start) // pd.Timedelta(hours=1)
    kept = zip(reading.rows["counter_id"], hours, reading.rows["bike_count"], strict=True)
    assert {(counter, hour): count for counter, hour, count in kept} == usable
    assert len(reading.rows) == len(usable)


@pytest.mark.parametrize(
    ("before", "now", "replaced"),
    [
        (100, 50, True),
        (100, 49, False),
        (101, 51, True),
        (101, 50, False),
        (1, 1, True),
        (1, 0, False),
        (0, 0, True),
        (50, 900, True),
    ],
)
def test_a_day_that_loses_more_than_half_of_its_rows_keeps_them(before, now, replaced):
    days = pd.DataFrame({"day": [pd.Timestamp(DAY)], "rows_kept": [now]})
    reasons = shrinkage_reasons(days, pd.Series({pd.Timestamp(DAY): before}))
    assert reasons.isna().tolist() == [replaced]
    if not replaced:
        assert f"{now} of the {before} rows" in reasons.iloc[0]


def test_a_day_that_was_never_read_before_is_accepted():
    days = pd.DataFrame({"day": pd.to_datetime([DAY, DAY + timedelta(days=1)]), "rows_kept": [0, 3]}, index=[4, 9])
    reasons = shrinkage_reasons(days, pd.Series({pd.Timestamp(DAY + timedelta(days=1)): 1000}))
    assert reasons.isna().to_dict() == {4: True, 9: False}
    assert shrinkage_reasons(days, pd.Series(dtype="int64")).isna().all()


@pytest.mark.parametrize("beyond", [-1, 1])
def test_rows_of_other_days_than_those_that_were_read_do_not_count(beyond):
    day = date(2025, 5, 5)
    rows = SimulatedCity(7, 4, "Europe/Paris", "FR").counts(day, day)
    rows["counted_at"] += pd.Timedelta(days=beyond)
    assert digest(rows, day).days["rows_read"].tolist() == [0]


def test_counts_that_are_added_are_in_the_table_to_the_last_bike():
    raw = pd.concat([hourly(DAY, DAY), hourly(DAY, DAY).assign(bike_count=4)])
    reading = digest(raw, repeated_rows="add")
    assert figures(reading, "rows_read", "rows_kept", "rows_summed", "rows_duplicated") == [(96, 48, 48, 0)]
    assert reading.rows["bike_count"].sum() == raw["bike_count"].sum()


def quarters(hours: pd.DataFrame) -> pd.DataFrame:
    """Counts of 15 minutes, which differ."""
    return pd.concat(
        hours.assign(counted_at=hours["counted_at"] + pd.Timedelta(minutes=minute), bike_count=minute)
        for minute in (0, 15, 30, 45)
    )


@pytest.mark.parametrize("zone", [PARIS, "Australia/Adelaide"])
@pytest.mark.parametrize("day", [DAY, SPRING, AUTUMN])
def test_counts_of_15_minutes_are_added_up_to_the_last_bike(zone, day):
    hours = hourly(day, day, zone=zone)
    raw = quarters(hours)
    reading = digest(raw, day, zone=zone, interval_minutes=15)
    assert figures(reading, "rows_read", "rows_kept", "rows_summed") == [(len(raw), len(hours), 3 * len(hours))]
    assert reading.rows["bike_count"].sum() == raw["bike_count"].sum()
    assert reading.rows["counted_at"].tolist() == hours["counted_at"].tolist()


def test_an_hour_without_all_its_parts_is_rejected_part_by_part():
    reading = digest(quarters(hourly(DAY, DAY)).iloc[1:], interval_minutes=15)
    assert figures(reading, "rows_read", "rows_kept", "rows_without_counter") == [(191, 47, 3)]
    assert set(reading.rejected["problem"]) == {"part of an hour of which other parts are missing"}


@pytest.mark.parametrize("zone", ["Australia/Adelaide", "Asia/Kolkata", "Asia/Kathmandu"])
def test_an_hour_begins_where_that_of_its_zone_does(zone):
    reading = digest(hourly(DAY, DAY, zone=zone), zone=zone)
    assert figures(reading, "rows_kept", "hours", "rows_unreadable") == [(48, 24, 0)]
    half_past = hourly(DAY, DAY, zone=zone).assign(counted_at=lambda rows: rows["counted_at"] + pd.Timedelta("15min"))
    assert figures(digest(half_past, zone=zone), "rows_kept", "rows_unreadable") == [(0, 48)]


def test_the_hour_that_a_clock_skips_is_a_gap_of_its_day():
    grid = pd.DataFrame({"counter_id": "a", "bike_count": 1, "counted_at": [f"{SPRING}T{h:02}:00" for h in range(24)]})
    reading = digest(grid, SPRING)
    assert figures(reading, "rows_read", "rows_kept", "hours", "rows_without_counter", "rows_unreadable") == [
        (24, 23, 23, 1, 0)
    ]
    assert reading.rejected["problem"].tolist() == ["a local time that the clocks skip"]
