"""The settings that a deployment makes in the environment: the number of parallel runs, and the run launcher.

Only deploy/dagster.yaml uses this module, because Dagster reads neither from the environment. Monitoring the process
of a run belongs to `run_launcher`.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

from dagster import StringSource
from dagster._core.launcher import RunLauncher
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from bike_assets.errors import BikeError


class SetRunCoordinator(QueuedRunCoordinator):
    """Dagster's own coordinator. Under its own name, with pools, it takes no number from the environment."""


class SetRunLauncher(RunLauncher, ConfigurableClass):
    """Creates the launcher that its configuration names; this class itself is never instantiated."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the configuration: `launcher` is module.class, `config` the launcher's own configuration in JSON."""
        return {"launcher": StringSource, "config": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the launcher that the configuration names.

        Raises:
            BikeError: the name is not module.class, or the launcher's configuration is not a JSON object.
            CheckError: Dagster cannot find the class, or it is not a launcher.
        """
        module, _, name = config_value["launcher"].rpartition(".")
        if not module:
            raise BikeError(
                f"BIKE_RUN_LAUNCHER={config_value['launcher']} is no module and class, such as "
                "bike_assets.instance.run_launcher.WatchedRunLauncher."
            )
        chosen = ConfigurableClassData(module, name, json.dumps(_object(config_value["config"])))
        return chosen.rehydrate(as_type=RunLauncher)  # type: ignore[type-abstract, return-value]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BikeError("BIKE_RUN_LAUNCHER_CONFIG has to be a JSON object, such as {}.")
    return value
