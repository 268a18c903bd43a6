"""What a newcomer finds in the package's folder. Which way imports run is held by import-linter, in `make lint`."""

from bike_assets_tests.whole.conftest import REPOSITORY

MAX_LOOSE_MODULES = 8


def test_few_modules_stand_outside_of_a_folder():
    loose = {path.name for path in (REPOSITORY / "bike_assets").glob("*.py")} - {"__init__.py"}
    assert len(loose) <= MAX_LOOSE_MODULES, sorted(loose)


def test_every_folder_states_what_belongs_there():
    silent = [path for path in (REPOSITORY / "bike_assets").rglob("__init__.py") if '"""' not in path.read_text()]
    assert not silent
