"""The Dockerfile without Docker: the commands of CI, files that exist, no user root."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import yaml

from bike_assets.instance.home_instance import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def lines_of(dockerfile: Path) -> list[list[str]]:
    """The instructions, each in its words; the lines of one are put together."""
    text = re.sub(r"\\\n\s*", " ", dockerfile.read_text())
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_built_by_the_commands_of_ci_from_files_that_exist():
    lines = lines_of(DEPLOY / "Dockerfile")
    runs = [" ".join(words[1:]) for words in lines if words[0] == "RUN"]
    assert any(run.endswith("&& make setup-gcp") for run in runs)
    assert not any("pip install" in run or "curl" in run or "wget" in run for run in runs)
    stages = [words for words in lines if words[0] == "FROM"]
    assert len(stages) == 2
    for words in lines:
        if words[0] == "COPY" and not words[1].startswith("--from"):
            for source in words[1:-1]:
                assert (REPOSITORY / source).exists(), source


def test_the_environments_layer_finds_the_code_that_comes_after_it(tmp_path):
    first = lines_of(DEPLOY / "Dockerfile")
    first = first[: max(n for n, words in enumerate(first) if words[0] == "FROM")]
    for words in first:
        for source in words[1:-1] if words[0] == "COPY" else []:
            copied = REPOSITORY / source
            if copied.is_dir():
                shutil.copytree(copied, tmp_path / words[-1])
            else:
                shutil.copyfile(copied, tmp_path / words[-1] / copied.name)
    [setup] = [words[1:] for words in first if words[-1] == "setup-gcp"]
    prepared = " ".join(setup).removesuffix("&& make setup-gcp").rstrip("& ")
    subprocess.run(["sh", "-c", prepared], cwd=tmp_path, check=True)
    build = "import hatchling.build; print(hatchling.build.build_editable('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        paths = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".pth")]
    assert str(tmp_path) in "".join(paths)


def test_the_image_has_every_package_and_does_not_run_as_root():
    lines = lines_of(DEPLOY / "Dockerfile")
    last_stage = lines[max(n for n, words in enumerate(lines) if words[0] == "FROM") :]
    copied = {words[1] for words in last_stage if words[0] == "COPY"}
    built = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*built["packages"], "dashboards", "deploy"} <= copied
    (user,) = [words[1] for words in last_stage if words[0] == "USER"]
    assert user == SERVICES["api"]["user"]


def test_the_builder_gets_what_the_image_copies_but_no_homes_or_secrets():
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().split("*\n", 1)[1].splitlines()
    allowed = {line.removeprefix("!") for line in sent if line.startswith("!")}
    copied = {
        source.split("/")[0]
        for words in lines_of(DEPLOY / "Dockerfile")
        if words[0] == "COPY" and not words[1].startswith("--")
        for source in words[1:-1]
    }
    assert copied == allowed
    assert "deploy/.env" in sent
