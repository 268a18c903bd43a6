"""What a newcomer finds in the package's folder. Which way imports run is held by import-linter, in `make lint`."""

from bike_assets_tests.whole.conftest import REPOSITORY

MAX_LOOSE_MODULES = 8


def test_few_modules_stand_outside_of_a_folder():
    loose = {path.name for path in (REPOSITORY / "bike_assets").glob("*.py")} - {"__init__.py"}
    assert len(loose) <= MAX_LOOSE_MODULES, sorted(loose)


def test_every_folder_states_what_belongs_there():
    silent = [path for path in (REPOSITORY / "bike_assets").rglob("__init__.py") if '"""' not in path.read_text()]
    assert not silent


def test_queries_are_in_one_package():
    """The engines have SQL of their own; `copy` and `doctor` ask about tables of any form."""
    modules = [path for folder in ("bike_assets", "serving") for path in (REPOSITORY / folder).rglob("*.py")]
    asking = {path.relative_to(REPOSITORY).as_posix() for path in modules if "SELECT " in path.read_text()}
    queries = {path for path in asking if path.startswith("bike_assets/resources/queries/")}
    others = tuple(
        f"bike_assets/{each}" for each in ("resources/", "core/schemas.py", "commands/copy/", "commands/doctor/")
    )
    assert len(queries) >= 5
    assert not {path for path in asking if not path.startswith(others)}
