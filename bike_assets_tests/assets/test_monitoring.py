"""Performance, drift and decision of a day, from real rows."""

import json
from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pytest

from bike_assets.core.schemas import COMPTAGE_VELO, EVALUATIONS
from bike_assets.core.scoring import score
from bike_assets.resources.table_rows import frame
from bike_assets_tests.conftest import LAST_DAY, City, recorded

MONITORING_KEYS = [dg.AssetKey(name) for name in ("champion_performance", "drift_report", "retrain_decision")]


def monitor_again(city: City, *, drift: bool = False) -> dict:
    keys = MONITORING_KEYS if drift else [MONITORING_KEYS[0], MONITORING_KEYS[2]]
    assert city.run("daily", LAST_DAY, asset_selection=keys).success
    return (
        city.query("SELECT * FROM monitoring_audit.newest_retrain_decisions WHERE day = @day", day=LAST_DAY)
        .iloc[0]
        .to_dict()
    )


def test_the_champions_score_is_that_of_its_day_ahead_rows_of_seven_days(city: City):
    compared = city.query(
        "SELECT p.predicted_count, p.naive_count, c.bike_count FROM bike_traffic_predictions.predictions AS p "
        "JOIN bike_traffic_raw.comptage_velo AS c ON c.counter_id = p.counter_id AND c.counted_at = p.counted_at "
        "WHERE p.horizon_days = 1 AND p.day BETWEEN @first AND @last",
        first=LAST_DAY - timedelta(days=6),
        last=LAST_DAY,
    )
    rows = city.query("SELECT * FROM monitoring_audit.newest_performance_metrics WHERE day = @day", day=LAST_DAY)
    shown = rows[rows["horizon_days"] == 1].set_index("role")
    assert shown.loc["champion", "n"] == len(compared) > 7 * 24 * 4
    assert shown.loc["champion", "r2"] == pytest.approx(score(compared["bike_count"], compared["predicted_count"]).r2)
    assert shown.loc["seasonal_naive", "r2"] == pytest.approx(score(compared["bike_count"], compared["naive_count"]).r2)
    assert shown.loc["first_champion", "r2"] == shown.loc["champion", "r2"]
    assert set(rows["horizon_days"]) == {1, 2, 3}


def test_shuffled_counts_make_the_decision_reactive(city: City, open_city):
    city = open_city(city.home.folder, min_scored_rows=100)
    week = city.query("SELECT * FROM bike_traffic_raw.comptage_velo WHERE day > @day", day=LAST_DAY - timedelta(days=7))
    shuffled = week.assign(bike_count=week["bike_count"].sample(frac=1, random_state=1).to_numpy())
    city.resource("warehouse").merge(COMPTAGE_VELO, shuffled)
    decision = monitor_again(city)
    assert decision["decision"] == "RETRAIN_REACTIVE"
    assert pd.isna(decision["held_until"])
    assert decision["run_id"]
    assert json.loads(decision["thresholds"])["retrain.r2_critical"] == 0.65


def record_failed_challenge(city: City, decided_on: date, verdict: str, minutes: int) -> None:
    champion = city.resource("registry").read().champion
    row = {
        "challenger_version": champion.version + minutes,
        "champion_version": champion.version,
        "decision": verdict,
        "decided_on": decided_on,
        "trigger": "RETRAIN_REACTIVE",
    }
    city.resource("warehouse").merge(EVALUATIONS, frame(EVALUATIONS, [recorded(row, minutes)]))


@pytest.mark.parametrize(("verdicts", "days"), [(["SKIP"], 3), (["REJECT"], 3), (["SKIP", "REJECT"], 7)])
def test_after_failed_challenges_a_retrain_is_decided_and_held(city: City, open_city, verdicts, days):
    city = open_city(city.home.folder, min_scored_rows=100, r2_critical=0.999, r2_warning=0.999)
    for number, verdict in enumerate(verdicts, start=1):
        record_failed_challenge(city, LAST_DAY, verdict, number)
    decision = monitor_again(city)
    assert decision["decision"] == "RETRAIN_REACTIVE"
    assert pd.Timestamp(decision["held_until"]).date() == LAST_DAY + timedelta(days=days)


def force(city: City, **config: object) -> dg.ExecuteInProcessResult:
    forced = {"force": True, "by": "Ada", "reason": "a new fleet of counters"} | config
    return city.run(
        "drift",
        LAST_DAY,
        raise_on_error=False,
        asset_selection=[MONITORING_KEYS[2]],
        run_config={"ops": {"retrain_decision": {"config": forced}}},
    )


def test_a_retrain_forced_by_hand_is_recorded_with_person_and_reason_and_is_not_held(city: City):
    record_failed_challenge(city, LAST_DAY, "SKIP", 1)
    assert force(city).success
    row = city.query("SELECT * FROM monitoring_audit.newest_retrain_decisions WHERE day = @day", day=LAST_DAY).iloc[0]
    assert (row["decision"], row["reason"]) == ("FORCED", "asked for by hand, Ada: a new fleet of counters")
    assert row["acts"]
    assert pd.isna(row["held_until"])
    assert len(city.query("SELECT * FROM monitoring_audit.retrain_decisions WHERE day = @day", day=LAST_DAY)) == 2


@pytest.mark.parametrize("config", [{"by": " "}, {"reason": ""}])
def test_a_force_without_a_name_or_a_reason_is_refused(city: City, config):
    assert not force(city, **config).success
    assert len(city.query("SELECT * FROM monitoring_audit.retrain_decisions WHERE day = @day", day=LAST_DAY)) == 1


def test_too_few_rows_are_not_enough_data(city: City, open_city):
    demanding = open_city(city.home.folder, min_scored_rows=10_000)
    assert monitor_again(demanding)["decision"] == "NOT_ENOUGH_DATA"


def test_the_drift_of_a_small_city_is_not_guessed(city: City):
    row = city.query("SELECT * FROM monitoring_audit.newest_drift_metrics WHERE day = @day", day=LAST_DAY).iloc[0]
    assert 0 < row["rows_current"] <= 7 * 24 * 6
    assert pd.isna(row["drift_share"])
    assert row["reference"].startswith("the weeks before")


def test_counters_that_come_and_go_are_named(city: City):
    counts = city.query("SELECT * FROM bike_traffic_raw.comptage_velo WHERE day = @day", day=LAST_DAY)
    new = counts.head(24).assign(
        counter_id="brand-new", counted_at=counts["counted_at"].drop_duplicates().to_numpy()[:24]
    )
    new["counted_at"] = (
        new["counted_at"].dt.tz_localize("UTC") if new["counted_at"].dt.tz is None else new["counted_at"]
    )
    city.resource("warehouse").merge(COMPTAGE_VELO, new)
    keys = [dg.AssetKey("hourly_features"), dg.AssetKey("drift_report")]
    assert city.run("daily", LAST_DAY, asset_selection=keys).success
    row = city.query("SELECT * FROM monitoring_audit.newest_drift_metrics WHERE day = @day", day=LAST_DAY).iloc[0]
    assert row["new_counters"] == "brand-new"
