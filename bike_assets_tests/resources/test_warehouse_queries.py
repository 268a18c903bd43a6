"""What is asked of the warehouse in BigQuery's dialect, on each of its engines, and how the answers come back."""

import os
import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from bike_assets.core.schemas import COMPTAGE_VELO, INGESTIONS, PERFORMANCE, RETRAIN_DECISIONS, TABLES
from bike_assets.resources.table_rows import frame, one_row
from bike_assets.resources.warehouse import Warehouse
from bike_assets_tests.conftest import recorded
from bike_assets_tests.resources.merged_counts import ALL_COUNTS, DAYS, counts


@pytest.fixture
def filled(warehouse) -> Warehouse:
    warehouse.merge(COMPTAGE_VELO, counts())
    return warehouse


def test_countif_and_safe_divide(filled):
    row = one_row(
        filled.query(
            "SELECT COUNTIF(bike_count > @least) AS busy, SAFE_DIVIDE(COUNT(*), COUNTIF(bike_count < 0)) AS none, "
            "SAFE_DIVIDE(COUNTIF(counter_id = 'a'), COUNT(*)) AS half FROM bike_traffic_raw.comptage_velo",
            least=7 + 22,
        )
    )
    assert row == {"busy": 6, "none": None, "half": 0.5}


def test_date_arithmetic_with_a_date_parameter(filled):
    days = filled.query(
        "SELECT DISTINCT day FROM bike_traffic_raw.comptage_velo "
        "WHERE day > DATE_SUB(@day, INTERVAL 2 DAY) AND day <= DATE_ADD(@day, INTERVAL 1 MONTH) ORDER BY day",
        day=DAYS[2],
    )
    assert [each.date() for each in days["day"]] == [DAYS[1], DAYS[2]]


@pytest.mark.parametrize("day", [pd.Timestamp(DAYS[0]), datetime(2025, 3, 29)])
def test_a_day_has_to_be_a_date(filled, day):
    with pytest.raises(TypeError, match="@day is a time without a zone"):
        filled.query("SELECT COUNT(*) AS n FROM bike_traffic_raw.comptage_velo WHERE day = @day", day=day)


def test_qualify_keeps_the_newest_row_of_each_counter(filled):
    newest = filled.query(
        "SELECT counter_id, counted_at FROM bike_traffic_raw.comptage_velo WHERE TRUE "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY counter_id ORDER BY counted_at DESC) = 1 ORDER BY counter_id"
    )
    assert newest["counter_id"].tolist() == ["a", "b"]
    assert set(newest["counted_at"]) == {pd.Timestamp("2025-03-31T21:00Z")}


def test_parameters_are_values_and_never_sql(filled):
    counted = filled.query(f"SELECT COUNT(*) AS n FROM ({ALL_COUNTS} WHERE counter_id = @id)", id="a' OR '1'='1")
    assert counted["n"].tolist() == [0]
    some = filled.query(f"SELECT COUNT(*) AS n FROM ({ALL_COUNTS} WHERE counter_id IN UNNEST(@ids))", ids=["a", "c"])
    assert some["n"].tolist() == [24 + 23 + 24]


def test_local_days_in_sql_follow_the_change_of_clocks(filled):
    hours = filled.query(
        "SELECT TIMESTAMP_TRUNC(counted_at, DAY, 'Europe/Paris') AS start, COUNT(*) AS hours "
        "FROM bike_traffic_raw.comptage_velo WHERE counter_id = 'a' GROUP BY start ORDER BY start"
    )
    assert hours["hours"].tolist() == [24, 23, 24]
    assert hours["start"].tolist()[2] == pd.Timestamp("2025-03-30T22:00Z")


def test_tables_are_joined(filled):
    read_at = pd.Timestamp("2025-04-01T08:30Z")
    row = {"day": DAYS[1], "ingested_at": read_at, "source": "here", "rows_read": 5}
    filled.merge(INGESTIONS, frame(INGESTIONS, [row]))
    joined = filled.query(
        "SELECT i.source, COUNT(*) AS n FROM monitoring_audit.ingestions AS i "
        "JOIN bike_traffic_raw.comptage_velo AS c ON c.day = i.day GROUP BY i.source"
    )
    assert joined.to_dict("records") == [{"source": "here", "n": 46}]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_without_rows_is_empty_with_its_columns(warehouse, table):
    empty = warehouse.query(f"SELECT * FROM {table.full_name}")
    assert empty.empty
    assert list(empty.columns) == list(table.columns)
    for name, kind in table.columns.items():
        if kind in {"DATE", "TIMESTAMP"}:
            assert pd.api.types.is_datetime64_any_dtype(empty[name])
        assert (kind == "TIMESTAMP") == isinstance(empty[name].dtype, pd.DatetimeTZDtype)


def test_aggregates_of_a_table_without_rows_are_null(warehouse):
    row = one_row(warehouse.query("SELECT COUNT(*) AS n, MAX(day) AS day FROM monitoring_audit.performance_metrics"))
    assert row == {"n": 0, "day": None}


PRINT_TIMES = """
import pickle
import sys

rows = pickle.loads(bytes.fromhex(sys.argv[1])).warehouse().query(
    "SELECT MIN(counted_at) AS first, CAST(MIN(counted_at) AS STRING) AS text, "
    "EXTRACT(HOUR FROM MIN(counted_at)) AS hour, MIN(day) AS day FROM bike_traffic_raw.comptage_velo"
)
print(rows["first"].dt.tz, rows["first"][0].isoformat(), rows["text"][0][:13], rows["hour"][0], rows["day"][0].date())
"""


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_are_returned_in_utc_in_every_zone_of_the_machine(engine, filled, zone):
    root = str(Path(__file__).parents[2])
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_TIMES, pickle.dumps(engine).hex()],
        env={**os.environ, "TZ": zone, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.split() == ["UTC", "2025-03-28T23:00:00+00:00", "2025-03-28", "23", "23", "2025-03-29"]


def test_one_row_turns_missing_values_into_none(warehouse):
    nothing_scored = recorded({"day": DAYS[0], "role": "champion", "horizon_days": 1, "n": 0})
    warehouse.merge(PERFORMANCE, frame(PERFORMANCE, [nothing_scored]))
    row = one_row(warehouse.query("SELECT day, r2, n, model_version FROM monitoring_audit.performance_metrics"))
    assert row == {"day": pd.Timestamp(DAYS[0]), "r2": None, "n": 0, "model_version": None}
    assert one_row(pd.DataFrame({"r2": []})) is None


def test_the_view_has_the_newest_row_of_each_key(warehouse):
    rows = [
        {"day": DAYS[0], "decision": "WAIT"},
        {"day": DAYS[1], "decision": "WAIT"},
        {"day": DAYS[0], "decision": "ALL_GOOD"},
    ]
    for minutes, row in enumerate(rows):
        warehouse.merge(RETRAIN_DECISIONS, frame(RETRAIN_DECISIONS, [recorded(row, minutes)]))
    newest = warehouse.query(
        "SELECT d.day, d.decision FROM monitoring_audit.newest_retrain_decisions AS d "
        "JOIN monitoring_audit.retrain_decisions AS every_row ON every_row.run_id = d.run_id ORDER BY d.day"
    )
    assert list(newest["decision"]) == ["ALL_GOOD", "WAIT"]
    assert len(warehouse.query("SELECT * FROM monitoring_audit.retrain_decisions")) == 3
