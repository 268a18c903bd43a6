"""The path without optional programs: it lacks these and nothing else, and a test that asks for one is skipped."""

import os
import shutil
import subprocess
import sys

import pytest

from bike_assets_tests.programs import OPTIONAL, fill_without_programs, system_program
from bike_assets_tests.whole.conftest import REPOSITORY


@pytest.fixture
def everything(tmp_path):
    """A folder with every optional program, and an ordinary one."""
    folder = tmp_path / "everything"
    folder.mkdir()
    for name in ("ordinary", *(name for names in OPTIONAL.values() for name in names)):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_path_without_the_optional_programs_has_all_others(everything, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    fill_without_programs(bare, os.pathsep.join([str(everything), str(tmp_path / "not there")]))
    assert [path.name for path in bare.iterdir()] == ["ordinary"]
    assert shutil.which("ordinary", path=str(bare))


def test_a_command_runs_without_them_and_its_exit_code_is_kept(everything):
    code = "import shutil, sys; sys.exit(7 if shutil.which('ordinary') and not shutil.which('wrk') else 1)"
    path = os.pathsep.join([str(everything), os.environ["PATH"]])
    command = [sys.executable, "-m", "bike_assets_tests.programs", sys.executable, "-c", code]
    assert subprocess.run(command, env=os.environ | {"PATH": path}, cwd=REPOSITORY, check=False).returncode == 7


def test_a_program_that_is_missing_skips_the_test_and_fails_it_in_ci(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_SYSTEM_PACKAGES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="wrk"):
        system_program("wrk")
    monkeypatch.setenv("REQUIRE_SYSTEM_PACKAGES", "1")
    with pytest.raises(pytest.fail.Exception, match="wrk"):
        system_program("wrk")


def test_a_program_that_is_not_listed_as_optional_is_no_reason_to_skip():
    with pytest.raises(KeyError):
        system_program("curl")
    with pytest.raises(AssertionError, match="OPTIONAL"):
        system_program("prometheus", "prometheus-node-exporter")
