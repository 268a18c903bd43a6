"""Assembles the code location: the only place that knows all parts, and where policy is applied once.

Assets, checks and automation do not belong here; nor does reading the environment.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from bike_assets.assets import PIPELINE
from bike_assets.automation.announcements import ANNOUNCEMENTS
from bike_assets.automation.jobs import JOBS
from bike_assets.automation.schedules import SCHEDULES
from bike_assets.automation.sensors import SENSORS
from bike_assets.automation.trial import try_training
from bike_assets.checks import CHECKS
from bike_assets.home import Home
from bike_assets.resources.counts_source import open_source
from bike_assets.resources.home_source import claim_home, outline_home
from bike_assets.resources.home_weather import open_weather
from bike_assets.resources.notifier import Notifier
from bike_assets.resources.registry import LocalRegistry
from bike_assets.resources.reports import DriftReports
from bike_assets.resources.tracking import Tracking
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings, load_settings

OWNERS = ["team:mobility"]


def build_defs(
    *, settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Build the definitions.

    Args:
        settings: the settings in force; read from the environment by default.
        resource_overrides: resources by key that replace the default ones (tests, other profiles).

    Raises:
        BikeError: the settings, the home or its export cannot be used.
    """
    settings = settings or load_settings()
    assets: list[Any] = [
        asset
        for module in PIPELINE
        for asset in dg.load_assets_from_modules([module], group_name=module.__name__.rpartition(".")[2])
    ]
    return dg.Definitions(
        assets=dg.map_asset_specs(_with_policy, assets),
        asset_checks=dg.load_asset_checks_from_modules(list(CHECKS)),
        jobs=[*JOBS, try_training],
        schedules=list(SCHEDULES),
        sensors=[*SENSORS, *ANNOUNCEMENTS],
        executor=dg.in_process_executor,
        resources={**default_resources(outline_home(settings), settings), **(resource_overrides or {})},
    )


def default_resources(home: Home, settings: Settings) -> dict[str, Any]:
    """Return the resources of the embedded profile, all below the home; runs that read its source open it."""
    return {
        "settings": settings,
        "home": home,
        "counts_source": dg.ResourceDefinition(lambda _: open_source(claim_home(settings), settings)),
        "weather_source": dg.ResourceDefinition(lambda _: open_weather(claim_home(settings), settings)),
        "warehouse": LocalWarehouse(home.warehouse, settings.threads),
        "registry": LocalRegistry(home.registry),
        "mlflow": Tracking(home.mlflow),
        "reports": DriftReports(home.reports),
        "notifier": Notifier(settings.discord_webhook_url, settings.discord_timeout_seconds),
    }


def _with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(owners=OWNERS)
