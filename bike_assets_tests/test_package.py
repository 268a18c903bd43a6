"""What importing the package arranges for every process: no usage reports, no files in the user's own folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bike_assets_tests.whole.conftest import REPOSITORY

SHOW = "import os, {module}; print(os.environ[{name!r}])"
REPORTS_ON = {"DO_NOT_TRACK": "0", "MLFLOW_DISABLE_TELEMETRY": "false", "ORT_DISABLE_TELEMETRY": "0"}


def shown(module: str, name: str, **variables: str) -> str:
    """Return a variable's value after an import in a process with those variables."""
    code = SHOW.format(module=module, name=name)
    plain = {key: value for key, value in os.environ.items() if key not in {name, "BIKE_HOME"}}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=plain | variables, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("module", ["bike_assets", "serving.server"])
@pytest.mark.parametrize("name", sorted(REPORTS_ON))
def test_usage_reports_are_off_in_any_environment(module, name):
    expected = "true" if name == "MLFLOW_DISABLE_TELEMETRY" else "1"
    assert shown(module, name, **REPORTS_ON) == expected


@pytest.mark.parametrize("name", ["KERAS_HOME", "MPLCONFIGDIR"])
def test_libraries_keep_their_files_in_the_home(name, tmp_path):
    assert tmp_path / "home" in Path(shown("bike_assets", name, BIKE_HOME=str(tmp_path / "home"))).parents


def test_onnxruntime_is_not_imported_with_the_module_that_uses_it():
    """It reads its variable when it is imported, so the package has to come first."""
    code = "import bike_assets.core.families.served, sys; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
