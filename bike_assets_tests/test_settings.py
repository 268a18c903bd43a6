"""Settings: what the environment says, what is refused, and that a refusal names the setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from bike_assets.errors import BikeError
from bike_assets.settings import Settings, load_settings


@pytest.fixture
def environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("BIKE_")]:
        monkeypatch.delenv(name)
    return monkeypatch


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


def test_other_variables_are_none_of_its_business(environment):
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
        ("BIKE_RETRAIN_COOLDOWN_DAYS", "-1"),
        ("BIKE_DAGSTER_PORT", "70000"),
        ("BIKE_API_PORT", "0"),
        ("BIKE_MLFLOW_PORT", "http"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_setting(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(BikeError) as refusal:
        load_settings()
    message = str(refusal.value)
    assert message.startswith(f"{name}={value!r} is not accepted: ")
    assert "\n" not in message
    assert message.endswith(".")


def test_a_refused_source_tells_the_choices(environment):
    environment.setenv("BIKE_SOURCE", "banana")
    with pytest.raises(BikeError, match=r"'auto', 'simulator' or 'file'"):
        load_settings()


def test_settings_do_not_change_while_a_pass_runs():
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 3


def test_the_rules_have_the_values_that_were_set():
    settings = Settings(
        train_share=0.5, test_share=0.2, min_training_days=70, r2_floor=0.1, min_gain=0.3, r2_critical=0.4,
        r2_warning=0.5, drift_critical=0.6, drift_warning=0.2, rmse_limit=33, min_scored_rows=5,
    )  # fmt: skip
    split, evaluation, retrain = settings.split_rule, settings.evaluation_rule, settings.retrain_rule
    assert (split.train_share, split.test_share, split.min_days) == (0.5, 0.2, 70)
    assert set(vars(evaluation).values()) == {0.1, 0.3}
    assert set(vars(retrain).values()) == {0.4, 0.5, 0.6, 0.2, 33.0, 5}


def test_importing_settings_is_cheap():
    """The command line reads settings before it knows whether it needs Dagster, MLflow or a model."""
    code = "import sys, bike_assets.settings; print([n for n in ('dagster', 'mlflow', 'lightgbm') if n in sys.modules])"
    root = str(Path(__file__).parents[1])
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
