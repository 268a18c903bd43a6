"""Opens the Dagster instance of a home: copies its dagster.yaml and creates its databases.

Abandoned runs belong to `runs`, materialized days to `materialized`, the process of a run to `run_launcher`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bike_assets.errors import BikeError
from bike_assets.home.record import Home
from bike_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

REPOSITORY = Path(__file__).parent.parent.parent
_ENVIRONMENT_VARIABLE = re.compile(r"^ *env: (\w+)$", re.MULTILINE)


def prepare_dagster_home(home: Home, settings: Settings) -> Path:
    """Copy dagster.yaml to the home's Dagster folder and return that folder, the DAGSTER_HOME.

    Raises:
        BikeError: dagster.yaml needs an environment variable that is not set, or a package is missing.
    """
    file = REPOSITORY / ("deploy/dagster.yaml" if settings.runs_are_on_postgres else "dagster.yaml")
    unset = sorted(set(_ENVIRONMENT_VARIABLE.findall(file.read_text())) - set(os.environ))
    if unset:
        raise BikeError(f"BIKE_POSTGRES_HOST also needs {' and '.join(unset)}, as deploy/compose.yaml sets them.")
    if settings.runs_are_on_postgres and find_spec("dagster_postgres") is None:
        raise BikeError("BIKE_POSTGRES_HOST needs the packages that make setup-gcp installs.")
    home.dagster.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, home.dagster / "dagster.yaml")
    return home.dagster


@contextmanager
def dagster_instance(home: Home, settings: Settings) -> "Iterator[dg.DagsterInstance]":
    """Open the home's Dagster instance.

    Raises:
        BikeError: dagster.yaml needs an environment variable that is not set, or a package is missing.
    """
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(home, settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


def create_dagster_databases(home: Home, settings: Settings) -> None:
    """Create a new home's databases before several processes start, because each would try to create them.

    Raises:
        BikeError: dagster.yaml needs an environment variable that is not set, or a package is missing.
    """
    with dagster_instance(home, settings) as instance:
        instance.get_runs_count()
        instance.all_instigator_state()
