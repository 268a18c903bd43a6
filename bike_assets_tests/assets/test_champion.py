"""Judging and promoting: what may serve, what is stopped, and what a stale decision cannot do."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.core.families import FAMILIES
from bike_assets.core.schemas import EVALUATIONS
from bike_assets.resources.table_rows import frame
from bike_assets_tests.conftest import LAST_DAY, City, recorded

NEXT = len(FAMILIES) + 1
"""The version after those of the first training."""


def decisions(city: City):
    return city.query("SELECT * FROM monitoring_audit.evaluations ORDER BY recorded_at")


@pytest.fixture
def without_champion(city: City) -> City:
    (city.home.registry / "summary.json").unlink()
    city.instance.wipe_assets([dg.AssetKey("champion")])
    return city


def test_the_first_challenger_that_passes_serves_and_mlflow_follows(city: City):
    champion = city.resource("registry").read().champion
    assert (champion.promoted_on, champion.first_champion) == (LAST_DAY.isoformat(), True)
    client = city.resource("mlflow")._client()
    assert int(client.get_model_version_by_alias("bike-traffic", "champion").version) == champion.version
    assert list(decisions(city)["decision"]) == ["DEPLOY"]


def test_the_audit_row_has_all_figures_of_challenger_and_naive_on_the_same_rows(city: City):
    row = decisions(city).iloc[0]
    scored = city.query(
        "SELECT COUNT(*) AS n FROM bike_traffic_raw.hourly_features WHERE horizon_days = 1 AND day > @day",
        day=LAST_DAY - timedelta(days=28),
    )
    assert row["rows_current"] == scored["n"].iloc[0] > 28 * 24 * 4
    assert row["r2_current"] > row["naive_r2_current"] > 0
    assert row["rmse_current"] > 0


def test_a_regressed_challenger_is_rejected_recorded_and_never_serves(without_champion: City, open_city):
    strict = open_city(without_champion.home.folder, r2_floor=0.999)
    result = strict.run("retrain", raise_on_error=False)
    assert not result.success
    assert "REJECT" in set(decisions(strict)["decision"])
    assert strict.resource("registry").read().champion is None
    assert not result.asset_materializations_for_node("champion")
    failed = {each.check_name: each.severity for each in result.get_asset_check_evaluations() if not each.passed}
    assert failed == {
        "baseline_is_not_regressed": dg.AssetCheckSeverity.ERROR,
        "challenger_improves_on_champion": dg.AssetCheckSeverity.WARN,
    }


def test_a_training_that_finds_its_champion_already_serving_is_skipped(city: City):
    assert city.run("retrain").success
    assert list(decisions(city)["decision"]) == ["DEPLOY", "SKIP"]


def test_a_decision_against_another_champion_never_acts(city: City):
    registry = city.resource("registry")
    first = registry.read().champion
    registry.add(first.model_copy(update={"version": NEXT, "fingerprint": "other", "is_champion": False}))
    stale = {
        "decided_on": LAST_DAY,
        "challenger_version": NEXT,
        "champion_version": 77,
        "decision": "DEPLOY",
        "reason": "decided against a version that serves no more",
    }
    city.resource("warehouse").merge(EVALUATIONS, frame(EVALUATIONS, [recorded(stale)]))
    assert city.run("retrain", asset_selection=[dg.AssetKey("champion")]).success
    assert registry.read().champion.version == first.version


def test_a_deploy_against_the_champion_replaces_it_and_moves_the_alias(city: City):
    registry = city.resource("registry")
    first = registry.read().champion
    registry.add(first.model_copy(update={"version": NEXT, "fingerprint": "other", "is_champion": False}))
    city.resource("mlflow")._client().create_model_version(
        "bike-traffic", str(city.home.registry / first.model_file), first.run_id
    )
    row = {
        "decided_on": LAST_DAY,
        "challenger_version": NEXT,
        "champion_version": first.version,
        "decision": "DEPLOY",
        "reason": "r",
    }
    city.resource("warehouse").merge(EVALUATIONS, frame(EVALUATIONS, [recorded(row)]))
    assert city.run("retrain", asset_selection=[dg.AssetKey("champion")]).success
    assert registry.read().champion.version == NEXT
    client = city.resource("mlflow")._client()
    assert int(client.get_model_version_by_alias("bike-traffic", "champion").version) == NEXT


def test_a_served_file_that_differs_from_its_model_stops_before_it_is_judged(without_champion: City, monkeypatch):
    monkeypatch.setattr("bike_assets.core.training.parity", lambda *_: 0.01)
    result = without_champion.run("retrain", raise_on_error=False)
    assert not result.success
    assert not result.asset_materializations_for_node("double_evaluation")


def test_a_damaged_model_file_is_refused_by_name(city: City):
    champion = city.resource("registry").read().champion
    file = city.home.registry / champion.model_file
    file.write_bytes(file.read_bytes()[:-1])
    result = city.run("retrain", raise_on_error=False)
    assert not result.success
    errors = [e.event_specific_data.error.to_string() for e in result.all_events if e.is_step_failure]
    assert f"version {champion.version} cannot be served" in errors[0]


def by_hand(city: City, version: int, **config: str):
    promotion = {"version": version, "by": "Ada", "reason": "the newer one overshoots on Sundays"} | config
    return city.run("promote", raise_on_error=False, run_config={"ops": {"champion": {"config": promotion}}})


def test_a_version_promoted_by_hand_serves_and_the_audit_has_person_and_reason(city: City):
    registry = city.resource("registry")
    first = registry.read().champion
    other = next(entry for entry in registry.read().models if not entry.is_champion)
    assert by_hand(city, other.version).success
    assert registry.read().champion.version == other.version
    assert registry.read().entry(first.version).withdrawn
    row = city.query("SELECT * FROM monitoring_audit.deployments ORDER BY recorded_at").iloc[-1]
    assert (row["decided_by"], row["reason"]) == ("Ada", "the newer one overshoots on Sundays")
    assert (row["version"], row["replaced_version"]) == (other.version, first.version)
    assert len(decisions(city)) == 1
    aliases = city.resource("mlflow")._client().get_registered_model("bike-traffic").aliases
    assert int(aliases["champion"]) == other.version


def test_a_version_withdrawn_by_hand_is_promoted_again_only_by_hand(city: City, open_city):
    registry = city.resource("registry")
    first = registry.read().champion
    worst = min(registry.read().models, key=lambda entry: entry.scores["test_current"]["r2"])
    assert by_hand(city, worst.version).success
    eager = open_city(city.home.folder, min_gain=0.0)
    assert eager.run("retrain").success
    assert registry.read().champion.version not in {first.version}
    assert by_hand(eager, first.version).success
    champion = registry.read().champion
    assert (champion.version, champion.withdrawn) == (first.version, False)


@pytest.mark.parametrize(
    ("config", "reason"),
    [({"version": 99}, "no version 99"), ({"by": " "}, "needs `by` and `reason`"), ({"reason": ""}, "needs `by`")],
)
def test_a_promotion_by_hand_that_cannot_be_done_changes_nothing(city: City, config, reason):
    before = city.resource("registry").read()
    other = next(entry for entry in before.models if not entry.is_champion)
    result = by_hand(city, **{"version": other.version} | config)
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert reason in failure.event_specific_data.user_failure_data.description
    assert city.resource("registry").read() == before
    assert len(decisions(city)) == 1


def test_a_new_champion_has_hindcasts_of_the_week_before(city: City):
    other = next(entry for entry in city.resource("registry").read().models if not entry.is_champion)
    assert by_hand(city, other.version).success
    assert city.run("refresh", LAST_DAY).success
    made = city.query(
        "SELECT DISTINCT issued_on, kind FROM bike_traffic_predictions.predictions WHERE model_version = @version",
        version=other.version,
    )
    assert len(made) == 10
    assert set(made["kind"]) == {"issued", "hindcast"}
    scored = city.query(
        "SELECT * FROM monitoring_audit.newest_performance_metrics WHERE day = @day AND role = 'champion'", day=LAST_DAY
    )
    assert set(scored["model_version"]) == {other.version}
    counted = city.query(
        "SELECT COUNT(*) AS n FROM bike_traffic_raw.comptage_velo WHERE day > @day AND NOT is_outlier",
        day=LAST_DAY - timedelta(days=7),
    )
    assert (scored["n"] == counted["n"].iloc[0]).all()
