"""What a deployment sets from the environment: how many runs there are at once, and which launcher starts them.

Only deploy/dagster.yaml uses it, because Dagster reads neither from the environment. How a run's process is watched
belongs to `run_launcher`.
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
    """Dagster's queue under another name: beside pools, its own configuration takes no number from the environment."""


class SetRunLauncher(RunLauncher, ConfigurableClass):
    """Becomes the launcher that its configuration names; there is never one of this class itself."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return its configuration: module and class with a dot between, and the launcher's own in JSON, if any."""
        return {"launcher": StringSource, "config": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the launcher that is named.

        Raises:
            BikeError: it is no module and class, or its configuration is no JSON object.
            CheckError: Dagster cannot find it, or it is no launcher.
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
