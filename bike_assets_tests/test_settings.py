"""Settings: what the environment says, what is refused, and that a refusal names the setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from bike_assets.errors import BikeError
from bike_assets.settings import Settings, load_settings
from bike_assets_tests import bare_environment

environment = bare_environment.environment


def test_without_an_environment_everything_has_a_default(environment, tmp_path):
    environment.chdir(tmp_path)
    settings = load_settings()
    assert settings.home_folder == tmp_path / ".bike"
    assert (settings.source, settings.counts_file, settings.timezone) == ("auto", None, "Europe/Paris")
    assert (settings.host, settings.dagster_port, settings.api_port, settings.mlflow_port) == (
        "127.0.0.1",
        3000,
        8000,
        5000,
    )


def test_the_environment_is_read(environment, tmp_path):
    values = {
        "BIKE_HOME": tmp_path,
        "BIKE_SOURCE": "file",
        "BIKE_COUNTS_FILE": "x.csv",
        "BIKE_QUICK": 1,
        "BIKE_SEED": 7,
    }
    for name, value in values.items():
        environment.setenv(name, str(value))
    settings = load_settings()
    assert (settings.home_folder, settings.source, settings.counts_file) == (tmp_path, "file", Path("x.csv"))
    assert (settings.quick, settings.seed) == (True, 7)


def test_a_tilde_is_the_users_folder(environment, tmp_path):
    environment.setenv("HOME", str(tmp_path))
    assert Settings(home="~/bikes").home_folder == tmp_path / "bikes"


def test_the_variables_of_google_are_read(environment):
    environment.setenv("BIKE_PROFILE", "gcp")
    environment.setenv("BIKE_GCP__PROJECT", "bikes")
    environment.setenv("BIKE_GCP__BUCKET", "bikes-of-paris")
    environment.setenv("BIKE_GCP__MAX_BYTES_BILLED", "1000000")
    settings = load_settings()
    assert (settings.profile, settings.gcp.project, settings.gcp.bucket) == ("gcp", "bikes", "bikes-of-paris")
    assert (settings.gcp.location, settings.gcp.max_bytes_billed) == ("EU", 1_000_000)


def test_other_variables_are_ignored(environment):
    environment.setenv("BIKE_BELL", "ding")
    environment.setenv("SEED", "7")
    assert load_settings().seed == 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIKE_SOURCE", "banana"),
        ("BIKE_QUICK", "perhaps"),
        ("BIKE_SEED", "-1"),
        ("BIKE_SEED", "many"),
        ("BIKE_HISTORY_MONTHS", "2"),
        ("BIKE_SIMULATOR_COUNTERS", "3"),
        ("BIKE_THREADS", "0"),
        ("BIKE_TRAIN_SHARE", "1"),
        ("BIKE_TEST_SHARE", "0"),
        ("BIKE_MIN_TRAINING_DAYS", "34"),
        ("BIKE_DRIFT_CRITICAL", "1.5"),
        ("BIKE_RMSE_LIMIT", "0"),
        ("BIKE_COOLDOWN_DAYS", "-1"),
        ("BIKE_DAGSTER_PORT", "70000"),
        ("BIKE_API_PORT", "0"),
        ("BIKE_MLFLOW_PORT", "http"),
        ("BIKE_PORTAL_TIMEOUT_SECONDS", "0"),
        ("BIKE_PORTAL_ATTEMPTS", "0"),
        ("BIKE_PORTAL_BACKOFF_SECONDS", "-1"),
        ("BIKE_PORTAL_QUOTA_WAIT_SECONDS", "-1"),
        ("BIKE_MAX_SHARE_INCOMPLETE", "1.1"),
        ("BIKE_OUTLIER_FACTOR", "1"),
        ("BIKE_OUTLIER_FLOOR", "nan"),
        ("BIKE_PROFILE", "aws"),
        ("BIKE_GCP__DATASET_PREFIX", "a-b."),
        ("BIKE_GCP__MAX_BYTES_BILLED", "0"),
        ("BIKE_GCP__BIGQUERY_ENDPOINT", "127.0.0.1:9050"),
        ("BIKE_GCP__BIGQUERY_READ_ENDPOINT", "http://127.0.0.1:9060"),
        ("BIKE_GCP__STORAGE_ENDPOINT", "storage"),
        ("BIKE_GCP__BUKET", "bikes"),
        ("BIKE_WEATHER", "sunny"),
        ("BIKE_WEATHER_FILE", "nowhere.csv"),
        ("BIKE_WEATHER_LATITUDE", "91"),
        ("BIKE_WEATHER_LONGITUDE", "-181"),
        ("BIKE_WEATHER_ARCHIVE_URL", "archive.example.org"),
        ("BIKE_WEATHER_FORECAST_URL", "https://example.org/v1/forecast"),
    ],
)
def test_an_invalid_value_is_refused_by_the_name_of_its_setting(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(BikeError) as refusal:
        load_settings()
    message = str(refusal.value)
    assert message.startswith(f"{name}={value!r} is not accepted: ")
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize("empty", [f"BIKE_{name.upper()}" for name in Settings.model_fields])
def test_an_empty_variable_counts_as_unset(environment, empty):
    unset = load_settings()
    environment.setenv(empty, "")
    assert load_settings() == unset


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "europe/paris", "Europe", "Europe/", "../Paris", "/etc/passwd", "zone.tab", "CEST+1"]
)
def test_an_unknown_time_zone_is_refused_by_the_name_of_its_setting(environment, name):
    environment.setenv("BIKE_TIMEZONE", name)
    with pytest.raises(BikeError, match="is not accepted: it is no time zone such as Europe/Paris") as refusal:
        load_settings()
    assert str(refusal.value).startswith(f"BIKE_TIMEZONE={name!r} ")


@pytest.mark.parametrize("code", ["XX", "fr", "Gaul", "1", "F R"])
def test_an_unknown_holiday_country_is_refused_by_the_name_of_its_setting(environment, code):
    environment.setenv("BIKE_HOLIDAYS_COUNTRY", code)
    with pytest.raises(BikeError, match="is not accepted: it is no ISO code of a country") as refusal:
        load_settings()
    assert str(refusal.value).startswith(f"BIKE_HOLIDAYS_COUNTRY={code!r} ")


@pytest.mark.parametrize(("zone", "country"), [("UTC", "DE"), ("America/New_York", "US"), ("Asia/Kolkata", "IN")])
def test_other_zones_and_countries_are_accepted(environment, zone, country):
    environment.setenv("BIKE_TIMEZONE", zone)
    environment.setenv("BIKE_HOLIDAYS_COUNTRY", country)
    settings = load_settings()
    assert (settings.timezone, settings.holidays_country) == (zone, country)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"TRAIN_SHARE": 0.8, "TEST_SHARE": 0.19}, ["BIKE_TRAIN_SHARE", "BIKE_TEST_SHARE", "2%"]),
        ({"TRAIN_SHARE": 0.9}, ["BIKE_TRAIN_SHARE", "BIKE_TEST_SHARE", "2%"]),
        ({"R2_CRITICAL": 0.71}, ["BIKE_R2_CRITICAL", "BIKE_R2_WARNING"]),
        ({"R2_WARNING": 0.5}, ["BIKE_R2_CRITICAL", "BIKE_R2_WARNING"]),
        ({"DRIFT_WARNING": 0.6}, ["BIKE_DRIFT_WARNING", "BIKE_DRIFT_CRITICAL"]),
        ({"DRIFT_CRITICAL": 0.2}, ["BIKE_DRIFT_WARNING", "BIKE_DRIFT_CRITICAL"]),
        ({"PROFILE": "gcp"}, ["BIKE_PROFILE=gcp needs BIKE_GCP__PROJECT and BIKE_GCP__BUCKET"]),
        ({"PROFILE": "gcp", "GCP__PROJECT": "bikes"}, ["BIKE_PROFILE=gcp needs BIKE_GCP__BUCKET"]),
        ({"PROFILE": "gcp", "GCP__PROJECT": "", "GCP__BUCKET": "b"}, ["BIKE_PROFILE=gcp needs BIKE_GCP__PROJECT"]),
        ({"WEATHER": "file"}, ["BIKE_WEATHER=file needs BIKE_WEATHER_FILE"]),
        ({"WEATHER": "off", "WEATHER_FILE": __file__}, ["BIKE_WEATHER_FILE is set, and BIKE_WEATHER is off"]),
        ({"WEATHER": "simulator", "SOURCE": "paris"}, ["BIKE_WEATHER=simulator", "BIKE_SOURCE is paris"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_bounds_that_do_not_fit_together_are_refused_by_their_names(environment, values, named):
    for name, value in values.items():
        environment.setenv(f"BIKE_{name}", str(value))
    with pytest.raises(BikeError, match=r"^The settings do not fit together: ") as refusal:
        load_settings()
    message = str(refusal.value)
    assert all(part in message for part in named), message
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    "values",
    [
        {"train_share": 0.8, "test_share": 0.15},
        {"train_share": 0.65, "test_share": 0.3},
        {"r2_critical": 0.7, "r2_warning": 0.7},
        {"drift_warning": 0.5, "drift_critical": 0.5},
    ],
    ids=lambda values: " ".join(values),
)
def test_bounds_that_just_fit_are_accepted(values):
    settings = Settings(**values)
    assert {name: getattr(settings, name) for name in values} == values


def test_a_refused_source_lists_the_choices(environment):
    environment.setenv("BIKE_SOURCE", "banana")
    with pytest.raises(BikeError, match=r"'auto', 'paris', 'portal', 'simulator' or 'file'"):
        load_settings()


def test_settings_do_not_change_while_a_pass_runs():
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 3


def test_the_rules_have_the_values_that_were_set():
    settings = Settings(
        train_share=0.5, test_share=0.2, min_training_days=70, r2_floor=0.1, min_gain=0.3, r2_critical=0.4,
        r2_warning=0.5, drift_critical=0.6, drift_warning=0.2, rmse_limit=33, min_scored_rows=5, outlier_factor=4,
        outlier_floor=120, min_residual_share=0.15, certain_gain=True, naive_alarm_days=4, naive_is_cause=True,
        cooldown_days=2, cooldown_later_days=9,
    )  # fmt: skip
    split, evaluation, retrain = settings.split_rule, settings.evaluation_rule, settings.retrain_rule
    assert (split.train_share, split.test_share, split.min_days) == (0.5, 0.2, 70)
    assert vars(evaluation) == {"r2_floor": 0.1, "min_gain": 0.3, "min_residual_share": 0.15, "certain": True}
    assert (settings.outlier_rule.factor, settings.outlier_rule.floor) == (4.0, 120.0)
    assert set(vars(retrain).values()) == {0.4, 0.5, 0.6, 0.2, 33.0, 5, 4, True}
    assert (settings.cooldown_rule.first_days, settings.cooldown_rule.later_days) == (2, 9)
    rules = {**vars(evaluation), **vars(retrain), **vars(settings.cooldown_rule)}
    assert sorted(map(str, settings.thresholds.values())) == sorted(map(str, rules.values()))


def test_importing_settings_is_cheap():
    """The command line reads settings before it knows whether it needs Dagster, MLflow or a model."""
    code = "import sys, bike_assets.settings; print([n for n in ('dagster', 'mlflow', 'lightgbm') if n in sys.modules])"
    root = str(Path(__file__).parents[1])
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_fields_that_are_not_json_are_refused_by_name(monkeypatch):
    monkeypatch.setenv("BIKE_PORTAL_FIELDS", '{"counter_id": "a"')
    with pytest.raises(BikeError, match="BIKE_PORTAL_FIELDS has to be JSON"):
        load_settings()


def test_the_local_profile_needs_nothing_of_google():
    code = (
        "import sys, bike_assets.cli, bike_assets.build\n"
        "from bike_assets.resources.profiles import open_warehouse\n"
        "from bike_assets.settings import load_settings\n"
        "open_warehouse(load_settings()).query('SELECT 1 AS n')\n"
        "print(sorted(n for n in sys.modules if n.startswith(('google.cloud', 'google.auth', 'dagster_gcp'))))"
    )
    root = str(Path(__file__).parents[1])
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
