"""What `bike status` collects: the newest of everything, null for what is not there, and ready for JSON."""

import json
from datetime import date

import pandas as pd
import pytest

from bike_assets.commands.status import busiest_forecasts, collect_status, describe_rows, naive_scores
from bike_assets.core.schemas import (
    COMPTAGE_VELO,
    COUNTERS,
    DRIFT,
    EVALUATIONS,
    INGESTIONS,
    PERFORMANCE,
    PREDICTIONS,
    REJECTED_COUNTS,
    RETRAIN_DECISIONS,
    WEATHER,
    Table,
)
from bike_assets.core.summary import ModelEntry
from bike_assets.errors import BikeError
from bike_assets.home.record import Home
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import recorded

PARTS = ["source", "raw_counts", "weather", "champion", "predictions", "performance", "drift", "decision"]
MARCH_30, MARCH_31, APRIL_1 = date(2025, 3, 30), date(2025, 3, 31), date(2025, 4, 1)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def home(settings) -> Home:
    made = Home(settings.home_folder, "simulator", date(2025, 3, 1), None, "Europe/Paris", seed=1, counters=6)
    made.claim()
    return made


@pytest.fixture
def merge(home):
    def merge(table: Table, *rows: dict) -> None:
        stamped = rows
        if "recorded_at" in table.columns:
            stamped = tuple(recorded(row, minutes) for minutes, row in enumerate(rows))
        LocalWarehouse(home.warehouse).merge(table, frame(table, stamped))

    return merge


@pytest.fixture
def promote(home):
    """Registers versions up to one and promotes it."""

    def promote(version: int) -> None:
        registry = LocalRegistry(home.registry)
        for number in range(1, version + 1):
            scores = {name: {"r2": r2, "rmse": 1.0} for name, r2 in (("test_baseline", 0.8), ("test_current", 0.7))}
            registry.add(
                ModelEntry(
                    version=number, family="blend", run_id=f"run-{number}", fingerprint=str(number),
                    trained_until="2025-03-01", registered_on="2025-03-31", scores=scores, parity=0.0,
                    model_file="models/x.onnx", sha256="0", counters=["a"],
                )
            )  # fmt: skip
        registry.promote(version, "2025-03-31")

    return promote


def count(counter: str, counted_at: str, day: date) -> dict:
    stamp = pd.Timestamp(counted_at)
    return {"counter_id": counter, "counted_at": stamp, "day": day, "bike_count": 1, "ingested_at": stamp}


def counter(name: str) -> dict:
    return {"counter_id": name, "counter_name": name.upper(), "first_day": MARCH_30, "last_day": MARCH_31}


def forecast(counter: str, hour: int, value: float, issued_on: date = MARCH_31, **changes) -> dict:
    counted_at = pd.Timestamp(issued_on, tz="UTC") + pd.Timedelta(days=1, hours=hour)
    return {
        "issued_on": issued_on,
        "counter_id": counter,
        "counted_at": counted_at,
        "day": counted_at.date(),
        "horizon_days": 1,
        "predicted_count": value,
        "known_counter": True,
        "kind": "issued",
        "model_version": 1,
        **changes,
    }


def test_a_folder_without_a_home_has_nothing_and_stays_as_it_is(settings):
    assert collect_status(settings) == dict.fromkeys(PARTS)
    assert naive_scores(settings) == {}
    assert busiest_forecasts(settings) is None
    assert describe_rows(settings) is None
    assert not settings.home_folder.exists()


def test_a_home_that_was_only_claimed_has_its_source_alone(settings, home):
    assert collect_status(settings) == {**dict.fromkeys(PARTS), "source": "simulator"}
    assert naive_scores(settings) == {}
    assert busiest_forecasts(settings) is None
    assert [path.name for path in home.folder.iterdir()] == ["home.json"], "looking writes nothing"


def test_counts_are_summed_up(settings, merge):
    merge(
        COMPTAGE_VELO,
        count("a", "2025-03-30T10:00Z", MARCH_30),
        count("b", "2025-03-30T10:00Z", MARCH_30),
        count("a", "2025-03-31T22:00Z", APRIL_1),
    )
    assert collect_status(settings)["raw_counts"] == {
        "rows": 3,
        "days": 2,
        "first_day": "2025-03-30",
        "last_day": "2025-04-01",
        "counters": 2,
    }


def weather(at: str, day: date, lead_days: int, source: str) -> dict:
    return {"at": pd.Timestamp(at), "day": day, "lead_days": lead_days, "temperature": 9.0, "source": source}


def test_weather_ends_with_the_last_observed_day(settings, merge):
    merge(
        WEATHER,
        weather("2025-03-30T10:00Z", MARCH_30, 0, "a file"),
        weather("2025-03-31T10:00Z", MARCH_31, 0, "a service"),
        weather("2025-04-01T10:00Z", APRIL_1, 1, "a service"),
    )
    assert collect_status(settings)["weather"] == {"last_day": "2025-03-31", "source": "a service"}


def test_every_published_row_is_accounted_for(settings, merge):
    assert describe_rows(settings) is None
    noon = pd.Timestamp("2025-04-01T12:00Z")
    totals = {"ingested_at": noon, "rows_read": 1010, "rows_kept": 1000, "rows_summed": 4, "rows_duplicated": 0}
    merge(
        INGESTIONS,
        *({"day": day, **totals} for day in (MARCH_30, MARCH_31)),
    )
    rejected = [{"day": MARCH_30, "position": at, "problem": "no count"} for at in range(12)]
    merge(REJECTED_COUNTS, *rejected)
    assert describe_rows(settings) == (
        "2,020 read: 2,000 kept, 8 added to another row, 12 rejected (no count); "
        "rejected_counts lists each rejected row"
    )


def test_the_champion_is_the_registrys(settings, promote):
    promote(2)
    assert collect_status(settings)["champion"] == {
        "family": "blend",
        "version": 2,
        "run_id": "run-2",
        "r2_baseline": 0.8,
        "r2_current": 0.7,
        "promoted_on": "2025-03-31",
    }


def test_versions_without_a_champion_are_no_champion(settings, home, promote):
    promote(1)
    summary = home.registry / "summary.json"
    summary.write_text(summary.read_text().replace('"is_champion": true', '"is_champion": false'))
    assert collect_status(settings)["champion"] is None


def test_forecasts_are_counted_with_their_newest_day(settings, merge):
    merge(PREDICTIONS, forecast("a", 8, 5.0), forecast("a", 8, 5.0, issued_on=MARCH_30))
    assert collect_status(settings)["predictions"] == {"rows": 2, "last_issued_on": "2025-03-31"}


def test_performance_is_the_champions_newest_at_horizon_1_beside_the_naives(settings, merge):
    scores = {"horizon_days": 1, "rmse": 20.0, "mae": 10.0, "n": 100, "model_version": 1}
    merge(
        PERFORMANCE,
        {**scores, "day": MARCH_30, "role": "champion", "r2": 0.1},
        {**scores, "day": MARCH_31, "role": "champion", "r2": 0.9},
        {**scores, "day": MARCH_31, "role": "champion", "horizon_days": 2, "r2": 0.2},
        {**scores, "day": MARCH_31, "role": "first_champion", "r2": 0.3},
        {**scores, "day": MARCH_31, "role": "seasonal_naive", "r2": 0.6},
        {**scores, "day": MARCH_31, "role": "seasonal_naive", "horizon_days": 2, "r2": 0.4},
    )
    expected = {
        "day": "2025-03-31",
        "r2": 0.9,
        "rmse": 20.0,
        "mae": 10.0,
        "n": 100,
        "naive_r2": 0.6,
        "first_champion_r2": 0.3,
    }
    assert collect_status(settings)["performance"] == expected


def test_scores_that_could_not_be_made_are_null(settings, merge):
    merge(PERFORMANCE, {"day": MARCH_31, "role": "champion", "horizon_days": 1, "n": 0})
    expected = {
        "day": "2025-03-31",
        "r2": None,
        "rmse": None,
        "mae": None,
        "n": 0,
        "naive_r2": None,
        "first_champion_r2": None,
    }
    assert collect_status(settings)["performance"] == expected


@pytest.mark.parametrize(
    ("share", "columns", "expected"), [(0.4, "hour, log_base", ["hour", "log_base"]), (0.0, "", []), (None, None, [])]
)
def test_drift_is_the_newest_with_its_columns(settings, merge, share, columns, expected):
    merge(
        DRIFT,
        {"day": MARCH_30, "drift_share": 0.9, "drifted_columns": "weekday"},
        {"day": MARCH_31, "drift_share": share, "drifted_columns": columns},
    )
    assert collect_status(settings)["drift"] == {"day": "2025-03-31", "share": share, "columns": expected}


def test_the_decision_is_the_newest(settings, merge):
    merge(
        RETRAIN_DECISIONS,
        {"day": MARCH_31, "decision": "NONE", "reason": "all is well", "held_until": None},
        {"day": MARCH_30, "decision": "RETRAIN", "reason": "it was not", "held_until": APRIL_1},
    )
    decision = {"day": "2025-03-31", "decision": "NONE", "reason": "all is well"}
    assert collect_status(settings)["decision"] == decision


def test_a_whole_status_is_json(settings, merge, promote):
    promote(1)
    merge(COMPTAGE_VELO, count("a", "2025-03-30T10:00Z", MARCH_30))
    merge(WEATHER, weather("2025-03-30T10:00Z", MARCH_30, 0, "a file"))
    merge(PREDICTIONS, forecast("a", 8, 5.0))
    merge(PERFORMANCE, {"day": MARCH_31, "role": "champion", "horizon_days": 1, "r2": 0.5, "n": 3, "model_version": 1})
    merge(DRIFT, {"day": MARCH_31, "drift_share": 0.5, "drifted_columns": "hour"})
    merge(RETRAIN_DECISIONS, {"day": MARCH_31, "decision": "NONE", "reason": "well", "held_until": None})
    status = collect_status(settings)
    assert list(status) == PARTS
    assert None not in status.values()
    assert json.loads(json.dumps(status, allow_nan=False)) == status


def test_the_naive_scores_are_those_of_the_champions_own_evaluation(settings, merge, promote):
    promote(2)
    evaluation = {"decided_on": MARCH_30, "champion_version": 0, "decision": "DEPLOY"}
    merge(
        EVALUATIONS,
        {**evaluation, "challenger_version": 1, "naive_r2_baseline": 0.1, "naive_r2_current": 0.2},
        {**evaluation, "challenger_version": 2, "naive_r2_baseline": 0.3, "naive_r2_current": 0.4},
        {**evaluation, "challenger_version": 2, "decided_on": APRIL_1, "naive_r2_baseline": 0.5},
    )
    assert naive_scores(settings) == {"r2_baseline": 0.3, "r2_current": 0.4}


def test_a_champion_that_was_never_evaluated_has_no_naive_scores(settings, promote):
    promote(1)
    assert naive_scores(settings) == {}


def test_the_busiest_counters_of_the_champions_newest_forecast(settings, merge, promote):
    promote(2)
    version_2 = {"model_version": 2}
    merge(COUNTERS, *(counter(each) for each in "abcd"))
    merge(
        PREDICTIONS,
        forecast("a", 8, 10.0, **version_2),
        forecast("a", 9, 30.0, **version_2),
        forecast("b", 8, 35.0, **version_2),
        forecast("c", 8, 50.0, **version_2),
        forecast("d", 8, 1.0, **version_2),
        forecast("d", 8, 900.0, issued_on=MARCH_30, **version_2),
        forecast("d", 8, 900.0, issued_on=APRIL_1),
        forecast("d", 32, 900.0, horizon_days=2, **version_2),
    )
    newest = busiest_forecasts(settings, counters=3)
    assert newest["day"] == APRIL_1
    busiest = [(row["counter_name"], row["bikes"], row["busiest_hour"]) for row in newest["rows"]]
    assert busiest == [("C", 50.0, 50.0), ("A", 40.0, 30.0), ("B", 35.0, 35.0)]


def test_a_champion_without_forecasts_has_no_busiest_counters(settings, merge, promote):
    promote(1)
    merge(COUNTERS, counter("a"))
    assert busiest_forecasts(settings) is None


def test_a_home_of_another_source_is_refused(home):
    with pytest.raises(BikeError, match="choose another BIKE_HOME"):
        collect_status(Settings(home=home.folder, source="file", counts_file="x.csv"))


def test_an_unreadable_registry_is_an_error_and_not_an_empty_registry(settings, home):
    home.registry.mkdir()
    (home.registry / "summary.json").write_text("{")
    with pytest.raises(BikeError, match=r"summary\.json"):
        collect_status(settings)
