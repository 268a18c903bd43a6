"""The graph as a newcomer sees it: names, groups, descriptions, owners, jobs."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from bike_assets.assets import DAILY_GROUPS, PIPELINE, SOURCE_GROUPS, TRAINING_GROUPS
from bike_assets.build import MONTHLY_FRESHNESS, build_defs, daily_freshness
from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.home.record import Home
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.settings import Settings
from bike_assets_tests.conftest import FIRST_DAY, LAST_DAY

EXPECTED = {
    "sources": {"published_counts", "published_weather"},
    "raw_counts": {"raw_counts", "counters"},
    "weather": {"weather"},
    "features": {"hourly_features"},
    "splits": {"train_baseline", "test_baseline", "train_current", "test_current"},
    "models": {"random_forest", "neural_network", "gradient_boosting", "blend"},
    "evaluation": {"double_evaluation"},
    "champion": {"champion"},
    "predictions": {"predictions"},
    "monitoring": {"champion_performance", "drift_report", "retrain_decision"},
}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


@pytest.fixture(scope="module")
def specs(defs) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_every_asset_stands_in_the_group_of_its_step(specs):
    groups = {group: {name for name, spec in specs.items() if spec.group_name == group} for group in EXPECTED}
    assert groups == EXPECTED
    assert len(specs) == sum(map(len, EXPECTED.values()))


def test_every_group_is_a_source_is_daily_or_trains():
    assert sorted([*SOURCE_GROUPS, *DAILY_GROUPS, *TRAINING_GROUPS]) == sorted(EXPECTED)


def test_the_graph_begins_with_what_others_publish_which_no_run_makes(defs, specs, tmp_path):
    sources = {dg.AssetKey(name) for name in EXPECTED["sources"]}
    graph = defs.resolve_asset_graph()
    assert graph.external_asset_keys == sources
    assert {key for key in graph.get_all_asset_keys() if not graph.get(key).parent_keys} == sources
    assert "simulator" in specs["published_counts"].metadata["source"]
    portal = Home(tmp_path, "paris", FIRST_DAY, None, "Europe/Paris", portal="https://a.example x", dataset="counts")
    portal.claim()
    there = build_defs(settings=Settings(home=tmp_path, portal_url="https://a.example", portal_dataset="counts"))
    [counts] = [spec for spec in there.resolve_all_asset_specs() if spec.key == dg.AssetKey("published_counts")]
    assert "https://a.example" in counts.metadata["source"]


def test_every_made_asset_names_the_lines_that_make_it(specs):
    references = {
        name: spec.metadata["dagster/code_references"].code_references[0]
        for name, spec in specs.items()
        if name not in EXPECTED["sources"]
    }
    assert {name: Path(each.file_path).parent.name for name, each in references.items()} == dict.fromkeys(
        references, "assets"
    )
    assert len(references) == len(specs) - 2


def test_every_asset_has_a_description_and_an_owner(specs):
    unnamed = [name for name, spec in specs.items() if not spec.description or not spec.owners or not spec.kinds]
    assert not unnamed


def test_every_asset_names_its_table_with_its_columns(specs):
    missing = {name for name, spec in specs.items() if "dagster/column_schema" not in spec.metadata}
    assert missing == EXPECTED["sources"]
    schema = specs["raw_counts"].metadata["dagster/column_schema"]
    columns = {column.name: (column.type, column.description) for column in schema.columns}
    assert columns["counter_id"] == ("STRING", "part of the key")
    assert columns["bike_count"] == ("INT64", None)
    assert columns["day"] == ("DATE", "the partition")
    assert specs["raw_counts"].metadata["dagster/table_name"] == "bike_traffic_raw.comptage_velo"


def test_kinds_name_the_engine_of_the_profile(specs, tmp_path):
    gcp = Settings(home=tmp_path, profile="gcp", gcp=GcpSettings(project="bikes", bucket="bikes"))
    there = {spec.key.to_user_string(): spec for spec in build_defs(settings=gcp).resolve_all_asset_specs()}
    tables = {name for name, spec in specs.items() if "parquet" in spec.kinds}
    assert tables >= {"raw_counts", "predictions", "retrain_decision"}
    assert {name for name, spec in there.items() if "bigquery" in spec.kinds} == tables
    assert not {name for name, spec in there.items() if "parquet" in spec.kinds}


def test_daily_assets_are_late_after_the_morning_and_the_others_after_a_month(specs):
    daily = EXPECTED["raw_counts"] | EXPECTED["weather"] | EXPECTED["features"] | EXPECTED["predictions"]
    policies = {name: spec.freshness_policy for name, spec in specs.items()}
    assert {policies.pop(name) for name in EXPECTED["sources"]} == {None}
    assert {policies.pop(name) for name in daily | EXPECTED["monitoring"]} == {daily_freshness("Europe/Paris")}
    assert set(policies.values()) == {MONTHLY_FRESHNESS}


def test_assets_of_a_file_are_not_late(tmp_path):
    Home(tmp_path, "file", FIRST_DAY, LAST_DAY, "Europe/Paris", file=tmp_path / "counts.csv", digest="0").claim()
    specs = build_defs(settings=Settings(home=tmp_path)).resolve_all_asset_specs()
    assert [spec.freshness_policy for spec in specs if spec.group_name in DAILY_GROUPS] == [None] * 8


def test_pages_beside_the_catalogue_are_linked(specs):
    assert specs["blend"].metadata["mlflow"].url == Settings().mlflow_address
    assert specs["predictions"].metadata["page"].url == Settings().api_address


def test_the_groups_follow_the_flow(specs):
    order = [module.__name__.rpartition(".")[2] for module in PIPELINE]
    backwards = [
        (name, dep.asset_key.to_user_string())
        for name, spec in specs.items()
        for dep in spec.deps
        if order.index(specs[dep.asset_key.to_user_string()].group_name) > order.index(spec.group_name)
    ]
    assert not backwards


def test_days_are_partitioned_and_models_are_not(specs):
    partitioned = {name for name, spec in specs.items() if spec.partitions_def is not None}
    assert partitioned == {"raw_counts", "weather", "hourly_features", "predictions"} | EXPECTED["monitoring"]


def test_every_check_is_described(defs):
    checks = [spec for each in defs.asset_checks for spec in each.check_specs]
    assert len(checks) >= 15
    assert not [spec.name for spec in checks if not spec.description]


def test_jobs_schedules_and_sensors_run_without_a_click(defs):
    assert {job.name for job in defs.jobs} == {
        "ingest",
        "daily",
        "retrain",
        "evaluate",
        "drift",
        "promote",
        "refresh",
        "rebaseline",
        "check_baseline",
        "try_training",
        "bootstrap",
    }
    assert {each.name: each.default_status for each in defs.schedules} == {
        "daily_corrections": dg.DefaultScheduleStatus.RUNNING,
        "daily_refresh": dg.DefaultScheduleStatus.RUNNING,
        "weekly_baseline_check": dg.DefaultScheduleStatus.RUNNING,
        "monthly_challenge": dg.DefaultScheduleStatus.RUNNING,
        "quarterly_rebaseline": dg.DefaultScheduleStatus.STOPPED,
    }
    assert {each.name: each.default_status for each in defs.sensors} == {
        "retrain_on_decision": dg.DefaultSensorStatus.RUNNING,
        "refresh_on_promotion": dg.DefaultSensorStatus.RUNNING,
        "announce_promotion": dg.DefaultSensorStatus.RUNNING,
        "retrain_on_lost_run": dg.DefaultSensorStatus.RUNNING,
        "finish_on_broken_promotion": dg.DefaultSensorStatus.RUNNING,
        "alert_on_check_failure": dg.DefaultSensorStatus.RUNNING,
        "alert_on_run_failure": dg.DefaultSensorStatus.RUNNING,
    }


def test_days_are_ingested_one_run_at_a_time(defs):
    """Forecasts of the day after would else miss the day before; dagster.yaml has the limit for this tag."""
    limit = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limit == [{"key": "bike/one_at_a_time", "value": what, "limit": 1} for what in ("days", "trainings")]
    for name in ("ingest", "daily", "refresh", "drift"):
        assert defs.resolve_job_def(name).tags["bike/one_at_a_time"] == "days"
    for name in ("retrain", "evaluate", "rebaseline"):
        assert defs.resolve_job_def(name).tags["bike/one_at_a_time"] == "trainings"


def test_only_the_assets_that_read_the_source_of_counts_open_it(tmp_path):
    """Looking at the graph asks no portal and claims no home."""
    settings = Settings(home=tmp_path / "home", source="auto")
    assert isinstance(build_defs(settings=settings).resources["counts_source"], dg.ResourceDefinition)
    assert not settings.home_folder.exists()


def test_settings_and_resources_can_be_replaced():
    defs = build_defs(resource_overrides={"reports": "another"})
    assert defs.resources["reports"] == "another"
