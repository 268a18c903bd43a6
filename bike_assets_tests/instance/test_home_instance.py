"""Which file Dagster's instance is opened by: that of the machine, or that of PostgreSQL and the bucket."""

import pytest
import yaml

from bike_assets.errors import BikeError
from bike_assets.instance.home_instance import prepare_dagster_home
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim

CLOUD = {"profile": "gcp", "gcp": {"project": "bikes", "bucket": "bikes"}}
REQUIRED_VARIABLES = (
    "BIKE_GCP__BUCKET", "BIKE_POSTGRES_HOST", "BIKE_POSTGRES_PASSWORD", "BIKE_RUNS_AT_ONCE", "BIKE_RUN_LAUNCHER",
    "BIKE_RUN_LAUNCHER_CONFIG",
)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "is_on_postgres"),
    [
        ({}, False),
        ({"postgres_host": "db"}, False),
        ({**CLOUD, "postgres_host": None}, False),
        ({**CLOUD, "postgres_host": "db"}, True),
    ],
    ids=["local", "local, and a host", "gcp", "gcp, and a host"],
)
def test_runs_are_on_postgres_where_the_profile_is_gcp_and_its_host_is_named(
    tmp_path, monkeypatch, settings, is_on_postgres
):
    for name in (*REQUIRED_VARIABLES, "BIKE_POSTGRES_PORT"):
        monkeypatch.setenv(name, "5432")
    folder = prepare_dagster_home(claim(tmp_path), Settings(home=tmp_path, **settings))
    assert ("storage" in yaml.safe_load((folder / "dagster.yaml").read_text())) == is_on_postgres


def test_missing_variables_beside_the_host_are_named_and_nothing_is_written(tmp_path, monkeypatch):
    for name in REQUIRED_VARIABLES[:-1]:
        monkeypatch.setenv(name, "x")
    home = claim(tmp_path)
    with pytest.raises(
        BikeError, match="BIKE_POSTGRES_HOST also needs BIKE_POSTGRES_PORT and BIKE_RUN_LAUNCHER_CONFIG"
    ):
        prepare_dagster_home(home, Settings(home=tmp_path, postgres_host="db", **CLOUD))
    assert not home.dagster.exists()
