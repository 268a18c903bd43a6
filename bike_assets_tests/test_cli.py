"""The command line as people meet it, each time a process of its own: help, status of an empty home, and refusals.

A refusal is exit code 2, one sentence on standard error and a home that is as it was. Whole passes are not run here.
"""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from bike_assets.home.record import Home
from bike_assets.resources.home_source import claim_home
from bike_assets.settings import Settings
from bike_assets_tests.export_files import ZONE, city_counts, write_export

pytestmark = [pytest.mark.dated, pytest.mark.slow]

ROOT = Path(__file__).parents[1]
FIRST, LAST = date(2025, 3, 29), date(2025, 3, 31)
PARTS = {"source", "raw_counts", "weather", "champion", "predictions", "performance", "drift", "decision"}
COLUMNS = list(Settings().portal_fields.by_column.values())


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def bike(folder):
    """Runs the command line with nothing in its environment but the home and what a test sets."""

    def bike(*arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "COVERAGE_PROCESS_START"}}
        environment = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "BIKE_HOME": str(folder)}
        return subprocess.run(
            [sys.executable, "-m", "bike_assets.cli", *arguments],
            env={**environment, **{name: str(value) for name, value in variables.items()}},
            cwd=folder.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return bike


@pytest.fixture
def refused(bike, folder):
    """Runs a command that has to be refused; returns the sentence."""

    def refused(*arguments: str, **variables: object) -> str:
        before = content(folder)
        run = bike(*arguments, **variables)
        assert content(folder) == before, "a refusal changed the home"
        assert run.returncode == 2, run.stderr
        assert run.stdout == ""
        assert run.stderr.startswith("bike: ")
        assert run.stderr.endswith(".\n")
        assert run.stderr.count("\n") == 1, run.stderr
        return run.stderr

    return refused


@pytest.fixture
def export(tmp_path) -> Path:
    return write_export(tmp_path / "export.csv", city_counts(FIRST, LAST))


@pytest.fixture
def simulated_home(folder) -> Home:
    made = Home(folder, "simulator", date(2024, 3, 1), None, ZONE, seed=20, counters=6)
    made.claim()
    return made


@pytest.fixture
def file_home(folder, export) -> Home:
    return claim_home(Settings(home=folder, source="file", counts_file=export))


def content(folder: Path) -> dict[str, bytes | None] | None:
    """Everything in a folder, byte by byte; None when it is not there."""
    if not folder.exists():
        return None
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ((), ["materialize", "status", "serve", "run", "BIKE_HOME", "Exit codes"]),
        (("materialize",), ["--until", "full pass"]),
        (("status",), ["--json"]),
        (("serve",), ["--host", "--port", "--workers", "/docs"]),
        (("exporter",), ["--host", "--port", "Prometheus"]),
        (("report",), ["--output", "HTML"]),
        (("dashboards",), ["Prometheus", "Alertmanager", "Grafana"]),
        (("warehouse",), ["init", "BigQuery"]),
        (("warehouse", "init"), ["--yes", "--dry-run", "Nothing is ever dropped"]),
        (("run",), ["Ctrl-C"]),
        (("copy",), ["--to", "--compare", "BIKE_GCP__PROJECT"]),
        (("doctor",), ["profile", "Exit code 0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_explains_itself(bike, folder, command, expected):
    run = bike(*command, "--help", BIKE_SOURCE="banana")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert all(part in run.stdout for part in expected), run.stdout
    assert not folder.exists()


def test_status_of_an_empty_home_is_json_alone_and_null_everywhere(bike, folder):
    run = bike("status", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == dict.fromkeys(PARTS)
    assert not folder.exists()


def test_status_of_an_empty_home_names_the_command_to_type(bike, folder):
    run = bike("status")
    assert (run.returncode, run.stderr) == (0, "")
    assert f"{folder} holds nothing yet" in run.stdout
    assert "bike materialize" in run.stdout
    assert not folder.exists()


def test_status_of_a_claimed_home_shows_its_source(bike, folder, simulated_home):
    before = content(folder)
    run = bike("status", "--json")
    assert json.loads(run.stdout) == {**dict.fromkeys(PARTS), "source": "simulator"}
    assert content(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [("--banana",), ("materialize", "--banana"), ("status", "--xml"), ("paint",), ("serve", "--port=high")],
    ids=" ".join,
)
def test_an_unknown_argument_is_a_usage_error(bike, folder, arguments):
    run = bike(*arguments)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "Usage:" in run.stderr
    assert arguments[-1].partition("=")[0] in run.stderr
    assert "Traceback" not in run.stderr
    assert not folder.exists()


@pytest.mark.parametrize("until", ["31.05.2021", "2021-02-30", "[/draft]", "[red]"])
def test_an_invalid_day_is_a_usage_error(bike, folder, until):
    run = bike("materialize", "--until", until)
    assert run.returncode == 2
    assert f"'{until}'" in run.stderr
    assert "Traceback" not in run.stderr
    assert not folder.exists()


@pytest.mark.parametrize("command", ["materialize", "status", "serve"])
def test_an_invalid_source_is_refused_by_every_command(refused, command):
    assert "BIKE_SOURCE='banana'" in refused(command, BIKE_SOURCE="banana")


def test_a_file_source_without_a_file_is_refused(refused):
    assert "BIKE_COUNTS_FILE" in refused("materialize", BIKE_SOURCE="file")


def test_a_missing_file_is_named(refused, tmp_path):
    missing = tmp_path / "nowhere.csv"
    assert str(missing) in refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=missing)


def test_the_missing_columns_of_a_file_that_is_no_export_are_named(refused, tmp_path):
    path = tmp_path / "shopping.csv"
    path.write_text("name,date,price\nbread,2025-03-29T10:00:00+01:00,2\n")
    sentence = refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=path)
    assert str(path) in sentence
    missing = sentence.partition("columns ")[2].partition(" are missing")[0]
    assert missing.split(", ") == [name for name in COLUMNS if name not in {"name", "date"}]


def test_a_file_of_another_format_is_refused(refused, tmp_path):
    path = tmp_path / "picture.parquet"
    path.write_bytes(b"\x89PNG not a table at all")
    assert str(path) in refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=path)


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("date", "29/03/2025 10h"),
        ("date", "[/draft]"),
        ("sum_counts", "2.5"),
        ("sum_counts", "many"),
        ("sum_counts", "inf"),
        ("sum_counts", "1e30"),
    ],
)
def test_an_impossible_row_is_named_by_file_and_line(refused, export, column, bad):
    lines = export.read_text().splitlines()
    assert lines[0].split(",") == COLUMNS
    values = lines[36].split(",")
    values[COLUMNS.index(column)] = bad
    lines[36] = ",".join(values)
    export.write_text("\n".join(lines) + "\n")
    sentence = refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=export)
    assert f"{export}, line 37: {column} is {bad!r}" in sentence


def test_a_direction_for_which_there_is_no_rule_is_refused_with_the_lines_that_settle_it(refused, tmp_path):
    city, export = tmp_path / "city.toml", tmp_path / "counts.csv"
    city.write_text(
        'timezone = "Europe/Paris"\nholidays_country = "FR"\nportal_url = "https://data.example.org"\n'
        'portal_dataset = "d"\n[portal_fields]\ncounter_id = "site"\nbike_count = "bikes"\ncounted_at = "hour"\n'
    )
    rows = [
        f"a,2025-03-29T{hour:02}:00:00,{count},{way}" for hour in range(24) for way, count in (("IN", 3), ("OUT", 5))
    ]
    export.write_text("site,hour,bikes,direction\n" + "\n".join(rows) + "\n")
    sentence = refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=export, BIKE_CITY_FILE=city)
    assert "The column direction distinguishes them" in sentence
    assert 'repeated_rows = "add"' in sentence
    assert 'counter_id = ["site", "direction"]' in sentence


def test_a_simulated_home_refuses_a_file(refused, simulated_home, export):
    sentence = refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=export)
    assert "synthetic" in sentence
    assert "choose another BIKE_HOME" in sentence


def test_a_simulated_home_refuses_a_file_that_is_named_beside_auto(refused, simulated_home, export):
    assert str(export) in refused("materialize", BIKE_COUNTS_FILE=export)


@pytest.mark.parametrize("command", ["materialize", "status"])
def test_a_file_home_refuses_the_simulator(refused, file_home, export, command):
    sentence = refused(command, BIKE_SOURCE="simulator")
    assert str(export) in sentence
    assert "BIKE_SOURCE=simulator" in sentence


def test_a_file_home_refuses_another_export(refused, file_home, export, tmp_path):
    other = write_export(tmp_path / "other.csv", city_counts(FIRST, LAST, seed=21))
    sentence = refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=other)
    assert str(other) in sentence
    assert str(export) in sentence
    assert "choose another BIKE_HOME" in sentence


def test_a_file_home_refuses_its_export_with_another_content(refused, file_home, export):
    write_export(export, city_counts(FIRST, LAST, seed=21))
    assert str(export) in refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=export)


@pytest.mark.parametrize("until", ["2025-03-28", "2025-04-01"])
def test_days_outside_of_a_file_home_are_refused_with_its_days(refused, file_home, until):
    assert f"--until {until} is outside of this home's days, {FIRST} to {LAST}" in refused(
        "materialize", "--until", until
    )


@pytest.mark.parametrize("until", ["2024-02-29", "2999-01-01"])
def test_days_outside_of_a_simulated_home_are_refused(refused, simulated_home, until):
    assert f"--until {until} is outside of this home's days, 2024-03-01" in refused("materialize", "--until", until)


@pytest.mark.parametrize("until", ["2999-01-01", "9999-12-31"])
def test_a_new_home_is_not_made_for_future_days(refused, folder, until):
    assert f"--until {until} is outside of this home's days" in refused("materialize", "--until", until)
    assert not folder.exists()


@pytest.mark.parametrize("until", ["0001-01-01", "1600-02-28"])
def test_a_new_home_is_not_made_for_days_before_its_history(refused, folder, until):
    assert f"--until {until} is too long ago" in refused("materialize", "--until", until)
    assert not folder.exists()


def test_a_home_in_another_zone_is_refused(refused, simulated_home):
    assert "BIKE_TIMEZONE=Europe/Paris" in refused("materialize", BIKE_TIMEZONE="Europe/London")


def test_an_invalid_record_is_refused(refused, folder):
    folder.mkdir()
    (folder / "home.json").write_text("{}")
    assert "home.json" in refused("materialize")


@pytest.mark.parametrize("command", ["materialize", "status", "run"])
@pytest.mark.parametrize("below", ["", "home", "deep/home"])
def test_a_home_below_a_file_cannot_be_used(refused, tmp_path, command, below):
    (tmp_path / "file").write_text("mine")
    home = tmp_path / "file" / below
    assert f"BIKE_HOME={home} cannot be used: a part of it is a file" in refused(command, BIKE_HOME=home)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["materialize", "status", "run"])
def test_a_home_whose_path_looks_like_a_partition_is_refused_with_nothing_written(refused, tmp_path, command):
    home = tmp_path / "day=2021-01-01"
    assert f"BIKE_HOME={home} cannot be used: its path has a =" in refused(command, BIKE_HOME=home)
    assert not home.exists()


@pytest.mark.parametrize("name", ["[draft]", "[/draft]", "[red]blue[/red]", ":bike:", "it's", "back\\"])
def test_a_refusal_prints_paths_literally(refused, tmp_path, name):
    missing = tmp_path / name / "export.csv"
    assert f"bike: {missing} does not exist" in refused("materialize", BIKE_SOURCE="file", BIKE_COUNTS_FILE=missing)
    (tmp_path / "file").write_text("mine")
    home = tmp_path / "file" / name
    assert f"bike: BIKE_HOME={home} cannot be used" in refused("status", BIKE_HOME=home)


@pytest.mark.parametrize("name", ["[draft]", "[/draft]", ":bike:"])
def test_status_of_an_empty_home_prints_its_path_literally(bike, tmp_path, name):
    run = bike("status", BIKE_HOME=tmp_path / name)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"{tmp_path / name} holds nothing yet" in run.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIKE_TIMEZONE", "[/draft]"),
        ("BIKE_TIMEZONE", "Europe"),
        ("BIKE_HOLIDAYS_COUNTRY", "XX"),
        ("BIKE_SEED", "[red]"),
    ],
)
def test_an_invalid_setting_is_refused_literally_by_its_name(refused, name, value):
    assert refused("status", **{name: value}).startswith(f"bike: {name}={value!r} is not accepted: ")


def test_settings_that_do_not_fit_together_are_refused(refused):
    sentence = refused("materialize", BIKE_R2_CRITICAL=0.9, BIKE_R2_WARNING=0.8)
    assert sentence == "bike: The settings do not fit together: BIKE_R2_CRITICAL is above BIKE_R2_WARNING.\n"


def test_empty_variables_count_as_unset(bike, simulated_home):
    empty = dict.fromkeys(("BIKE_SOURCE", "BIKE_COUNTS_FILE", "BIKE_TIMEZONE", "BIKE_SEED", "BIKE_QUICK"), "")
    run = bike("status", "--json", **empty)
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["source"] == "simulator"


def test_a_home_that_cannot_be_made_is_refused(refused, folder, tmp_path):
    folder.symlink_to(tmp_path / "nowhere")
    assert f"BIKE_HOME={folder} cannot be written to" in refused("materialize")
    assert not (tmp_path / "nowhere").exists()
