"""Training as a job does it: what a version says of itself, what it saw, and what a failure leaves behind."""

import json
from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.core.families import FAMILIES
from bike_assets.core.families.gradient_boosting import GradientBoosting
from bike_assets.core.splits import TEST_CURRENT, TRAIN_BASELINE, TRAIN_CURRENT, Span
from bike_assets.resources.queries.splits import recorded_split
from bike_assets.resources.training_data import read_training_data
from bike_assets_tests.conftest import City

SETS = ("train_baseline", "train_current", "test_baseline", "test_current")
BOOSTING = [dg.AssetKey("gradient_boosting")]
MORE_TREES = {"ops": {"gradient_boosting": {"config": {"iterations": 12, "min_rows_in_leaf": 200}}}}


@pytest.fixture
def client(city: City):
    return city.resource("mlflow")._client()


def materialization(city: City, name: str) -> dg.AssetMaterialization:
    event = city.instance.get_latest_materialization_event(dg.AssetKey(name))
    return event.asset_materialization


def test_every_family_is_a_version_with_scores_of_all_four_sets(city: City, client):
    versions = client.search_model_versions("name = 'bike-traffic'")
    assert {each.tags["family"] for each in versions} == set(FAMILIES)
    for each in versions:
        run = client.get_run(each.run_id)
        assert run.info.status == "FINISHED"
        for name in SETS:
            for horizon in (1, 2, 3):
                assert {f"{metric}_{name}_h{horizon}" for metric in ("r2", "rmse", "mae", "n")} <= set(run.data.metrics)
        assert run.data.metrics["naive_r2_test_current_h1"] < 1
        assert {tag for tag in each.tags if tag.startswith("data/")} == {f"data/{name}" for name in (*SETS, "weather")}
        assert each.tags["dagster/run_id"] == run.data.tags["dagster/run_id"]
        assert {artifact.path for artifact in client.list_artifacts(each.run_id)} >= {
            "newest_week.png", "error_by_hour.png", "worst_counters.png",
            "scores_by_counter.json", "scores_by_hour.json", "scores_by_weekday.json",
        }  # fmt: skip


def test_scores_in_mlflow_the_registry_and_the_ui_are_the_same(city: City, client):
    for entry in city.resource("registry").read().models:
        metrics = client.get_run(entry.run_id).data.metrics
        shown = materialization(city, entry.family).metadata
        for metric in ("r2", "rmse", "mae"):
            assert metrics[f"{metric}_test_current_h1"] == entry.scores["test_current"][metric]
            assert shown[f"{metric}_test_current"].value == entry.scores["test_current"][metric]


def test_an_asset_shows_its_plots_what_it_saw_and_its_mlflow_run(city: City):
    entry = city.resource("registry").read().latest("gradient_boosting")
    shown = materialization(city, "gradient_boosting").metadata
    assert shown["mlflow_run"].url.endswith(f"/runs/{entry.run_id}")
    assert all(shown[name].md_str.startswith("![") for name in ("newest_week", "error_by_hour", "worst_counters"))
    assert "| test_current | 1 |" in shown["scores"].md_str
    counted = city.query("SELECT COUNT(*) AS n FROM bike_traffic_raw.hourly_features WHERE day <= @day",
        day=shown["last_day"].value)  # fmt: skip
    data = read_training_data(city.resource("warehouse"), city.settings)
    assert shown["rows_seen"].value == len(data.rows) < counted["n"].iloc[0]
    assert shown["counters_seen"].value == len(entry.counters)


def test_of_more_rows_than_the_settings_allow_a_share_is_read(city: City):
    everything = read_training_data(city.resource("warehouse"), city.settings)
    there = len(everything.rows) + sum(map(len, everything.tests.values()))
    assert everything.share == everything.facts["share_of_rows"] == 1
    fewer = city.settings.model_copy(update={"training_rows": there // 4 + 1})
    drawn = read_training_data(city.resource("warehouse"), fewer)
    assert drawn.share == 0.25
    assert len(drawn.rows) + sum(map(len, drawn.tests.values())) == pytest.approx(there / 4, rel=0.05)
    assert set(drawn.tests) == set(everything.tests)
    assert drawn.facts["rows_seen"] == len(drawn.rows)
    assert drawn.identity != everything.identity
    assert drawn.hashes == {**everything.hashes, "share": "0.25"}
    assert read_training_data(city.resource("warehouse"), fewer).identity == drawn.identity


def test_the_best_version_is_the_champion_and_no_challenger_is_left(city: City, client):
    aliases = client.get_registered_model("bike-traffic").aliases
    assert set(aliases) == {"champion"}


def test_a_challenger_that_does_not_win_is_named(city: City, open_city):
    registry = city.resource("registry")
    scored = sorted(registry.read().models, key=lambda entry: entry.scores["test_current"]["r2"])
    registry.promote(scored[0].version, "2021-10-07")
    hard_to_beat = open_city(city.home.folder, min_gain=0.5)
    assert hard_to_beat.run("retrain").success
    aliases = hard_to_beat.resource("mlflow")._client().get_registered_model("bike-traffic").aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": scored[0].version,
        "challenger": scored[-1].version,
    }
    row = hard_to_beat.query("SELECT * FROM monitoring_audit.evaluations ORDER BY champion_version").iloc[-1]
    assert row["gain"] == pytest.approx(row["r2_current"] - row["champion_r2_current"])
    assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert row["gain_residual_share"] == pytest.approx(row["gain"] / (1 - row["champion_r2_current"]))
    check = dg.AssetCheckKey(dg.AssetKey("double_evaluation"), "challenger_improves_on_champion")
    record = hard_to_beat.instance.get_latest_asset_check_evaluation_record(check)
    assert not record.event.asset_check_evaluation.passed
    assert record.event.asset_check_evaluation.severity == dg.AssetCheckSeverity.WARN


def test_a_failed_training_leaves_a_failed_run_that_the_next_training_continues(city: City, client, monkeypatch):
    def breaks(*_: object) -> None:
        raise RuntimeError("no more memory")

    with monkeypatch.context() as patched:
        patched.setattr(GradientBoosting, "fit_ratio", breaks)
        options = {"asset_selection": BOOSTING, "run_config": MORE_TREES}
        assert not city.run("retrain", raise_on_error=False, **options).success
    before = {run.info.run_id: run.info.status for run in runs(client)}
    assert sorted(before.values()) == ["FAILED"] + ["FINISHED"] * len(FAMILIES)
    assert city.run("retrain", **options).success
    after = {run.info.run_id: run.info.status for run in runs(client)}
    assert set(after) == set(before)
    assert set(after.values()) == {"FINISHED"}


def runs(client) -> list:
    experiment = client.get_experiment_by_name("bike-traffic")
    return client.search_runs([experiment.experiment_id])


def test_a_window_and_counters_left_out_make_another_training(city: City, open_city):
    whole = read_training_data(city.resource("warehouse"), city.settings)
    quiet = whole.rows["counter_id"].iloc[0]
    narrow = open_city(city.home.folder, training_window_months=3, counters_left_out=f"{quiet}, unknown")
    data = read_training_data(narrow.resource("warehouse"), narrow.settings)
    assert data.last_day == whole.last_day
    assert data.rows["day"].dt.date.min() > whole.rows["day"].dt.date.min()
    assert set(whole.rows["counter_id"]) - set(data.rows["counter_id"]) == {quiet}
    assert quiet not in set(data.tests[TEST_CURRENT]["counter_id"])
    assert data.identity != whole.identity
    assert narrow.run("retrain", asset_selection=BOOSTING).success
    entry = narrow.resource("registry").read().latest("gradient_boosting")
    assert quiet not in entry.counters
    shown = materialization(narrow, "gradient_boosting").metadata
    assert shown["counters_left_out"].value == ", ".join(sorted(["unknown", quiet]))


def test_a_window_as_long_as_the_home_changes_nothing(city: City, open_city):
    long = open_city(city.home.folder, training_window_months=120)
    original, longer = (read_training_data(each.resource("warehouse"), each.settings) for each in (city, long))
    assert original.identity == longer.identity
    record = recorded_split(city.resource("warehouse"), TRAIN_BASELINE)
    assert original.spans[TRAIN_BASELINE] == Span(record["first_day"], record["last_day"])
    assert original.spans[TRAIN_CURRENT].first == record["last_day"] + timedelta(days=1 + test_baseline_days(city))


def test_baseline_days(city: City) -> int:
    record = recorded_split(city.resource("warehouse"), "test_baseline")
    return Span(record["first_day"], record["last_day"]).days


def test_the_summary_alone_is_enough_to_load_every_version(city: City):
    summary = json.loads((city.home.registry / "summary.json").read_text())
    assert {entry["family"] for entry in summary["models"]} == set(FAMILIES)
    for entry in summary["models"]:
        assert (city.home.registry / entry["model_file"]).is_file()
        assert set(entry["scores"]) == {"test_baseline", "test_current"}
