"""`bike warehouse init` as people type it, on the emulator: what it prints, makes, adds, leaves and refuses."""

from dataclasses import replace

import pytest
from google.cloud import bigquery as google
from typer.testing import CliRunner

from bike_assets.cli import app
from bike_assets.core.schemas import COMPTAGE_VELO, TABLES, Table
from bike_assets.errors import BikeError
from bike_assets.resources.bigquery_lease import LEASES
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets_tests import bare_environment
from bike_assets_tests.resources.merged_counts import counts, figures

environment = bare_environment.environment
DATASETS = 3


@pytest.fixture
def settings(bigquery):
    return bigquery.settings()


@pytest.fixture
def init(environment, tmp_path, settings):
    """Types the command for datasets that do not exist yet; returns what it printed."""
    environment.setenv("BIKE_HOME", str(tmp_path / "home"))
    environment.setenv("BIKE_PROFILE", "gcp")
    for name, value in settings.model_dump(exclude_none=True).items():
        environment.setenv(f"BIKE_GCP__{name.upper()}", str(value))

    def init(*options: str, typed: str = "") -> str:
        result = CliRunner().invoke(app, ["warehouse", "init", *options], input=typed)
        if result.exception:
            raise result.exception
        return result.output

    return init


@pytest.fixture
def client(settings):
    with BigQueryWarehouse(settings).jobs.connection.get_client() as client:
        yield client


def names(client, settings) -> list[str]:
    """The datasets of this test."""
    found = [dataset.dataset_id for dataset in client.list_datasets()]
    return sorted(name for name in found if name.startswith(settings.dataset_prefix))


def test_it_prints_its_changes_and_makes_them_only_after_a_yes(init, client, settings):
    printed = init("--dry-run")
    assert f"create the dataset bikes.{settings.dataset_prefix}bike_traffic_raw in EU" in printed
    assert "comptage_velo (11 columns, a partition for each day, clustered by counter_id)" in printed
    assert init(typed="n\n").endswith("Nothing was changed.\n")
    assert names(client, settings) == []
    assert init(typed="y\n").endswith("changes were made.\n")
    assert len(names(client, settings)) == DATASETS
    assert init("--yes") == "Nothing is missing.\n"


def test_tables_have_partitions_clusters_descriptions_and_labels(init, client, settings):
    init("--yes")
    for table in (*TABLES, LEASES):
        made = client.get_table(f"{settings.dataset_prefix}{table.full_name}")
        assert [field.name for field in made.schema] == list(table.columns)
        assert made.description == table.description
        assert made.labels == {"platform": "bike-traffic"}
        assert (made.time_partitioning.field if made.time_partitioning else None) == table.partition
        assert made.clustering_fields == (["counter_id"] if "counter_id" in table.columns else None)


def test_a_partitioned_table_requires_a_filter_on_its_partitions(settings, monkeypatch):
    made = {}
    monkeypatch.setattr(google.Client, "create_table", lambda _, table, **__: made.update({table.table_id: table}))
    monkeypatch.setattr(google.Client, "create_dataset", lambda *_, **__: None)
    for change in BigQueryWarehouse(settings).tables.missing()[:-1]:
        change.make()
    assert [name for name, table in made.items() if table.require_partition_filter] == [
        table.name for table in TABLES if table.partition
    ]


def test_a_missing_column_is_added_and_rows_stay(init, client, settings):
    older = replace(COMPTAGE_VELO, columns=dict(list(COMPTAGE_VELO.columns.items())[:-1]))
    make(client, settings, older)
    warehouse = BigQueryWarehouse(settings)
    warehouse.merge(older, counts())
    assert "add to the table" in init("--dry-run")
    assert "the columns is_outlier\n" in init("--yes")
    assert init("--yes") == "Nothing is missing.\n"
    stored = warehouse.query("SELECT is_outlier FROM bike_traffic_raw.comptage_velo")
    assert len(stored) == len(counts())
    assert stored["is_outlier"].isna().all()
    assert figures(BigQueryWarehouse(settings).merge(COMPTAGE_VELO, counts())) == (0, len(counts()), 0)


def make(client, settings, table: Table) -> None:
    """Make a table as somebody else might have."""
    name = f"bikes.{settings.dataset_prefix}{table.full_name}"
    client.create_dataset(name.rpartition(".")[0])
    made = google.Table(name, schema=[google.SchemaField(name, kind) for name, kind in table.columns.items()])
    if table.partition:
        made.time_partitioning = google.TimePartitioning(field=table.partition)
    client.create_table(made)


@pytest.mark.parametrize(
    ("columns", "partition", "expected"),
    [
        ({"bike_count": "STRING"}, "day", r"comptage_velo\.bike_count is STRING and has to be INT64"),
        ({}, None, r"comptage_velo is partitioned by nothing and has to be by day"),
    ],
    ids=["type", "partition"],
)
def test_a_table_of_another_form_is_refused_with_nothing_changed(init, client, settings, columns, partition, expected):
    prefix = settings.dataset_prefix
    make(client, settings, replace(COMPTAGE_VELO, columns={**COMPTAGE_VELO.columns, **columns}, partition=partition))
    with pytest.raises(BikeError, match=expected) as refusal:
        init("--yes")
    assert "Nothing was changed" in str(refusal.value)
    assert names(client, settings) == [f"{prefix}bike_traffic_raw"]
    with pytest.raises(BikeError, match=expected):
        BigQueryWarehouse(settings).merge(COMPTAGE_VELO, counts())


def test_the_embedded_warehouse_needs_no_init(init, environment):
    environment.setenv("BIKE_PROFILE", "local")
    with pytest.raises(BikeError, match="needs no init"):
        init("--yes")
