"""Assembles the code location: the only module that knows all parts, and that applies policy to every asset.

Assets, checks and automation do not belong here. Reading the environment belongs to `settings`.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from bike_assets.assets import DAILY_GROUPS, PIPELINE, TRAINING_GROUPS
from bike_assets.automation.announcements import ANNOUNCEMENTS
from bike_assets.automation.jobs import JOBS
from bike_assets.automation.schedules import schedules
from bike_assets.automation.sensors import SENSORS
from bike_assets.automation.trial import try_training
from bike_assets.checks import CHECKS
from bike_assets.core.families import FAMILIES
from bike_assets.core.schemas import (
    COMPTAGE_VELO,
    COUNTERS,
    DEPLOYMENTS,
    DRIFT,
    EVALUATIONS,
    HOURLY_FEATURES,
    PERFORMANCE,
    PREDICTIONS,
    RETRAIN_DECISIONS,
    SPLITS,
    TRAINING_RUNS,
    WEATHER,
    Table,
)
from bike_assets.home.record import Home, describe_source
from bike_assets.partitions import daily_partitions
from bike_assets.resources.counts_source import open_source
from bike_assets.resources.home_source import claim_home, outline_home
from bike_assets.resources.notifier import Notifier
from bike_assets.resources.profiles import open_registry, open_reports, open_tracking, open_warehouse
from bike_assets.resources.weather_source import open_weather
from bike_assets.settings import Settings, load_settings

OWNERS = ["team:mobility"]
FILES = "parquet"
"""The kind of all assets that fill tables; the UI shows the engine of the profile instead."""
TABLE_OF = {
    "raw_counts": COMPTAGE_VELO,
    "counters": COUNTERS,
    "weather": WEATHER,
    "hourly_features": HOURLY_FEATURES,
    **dict.fromkeys(("train_baseline", "test_baseline", "train_current", "test_current"), SPLITS),
    **dict.fromkeys(FAMILIES, TRAINING_RUNS),
    "double_evaluation": EVALUATIONS,
    "champion": DEPLOYMENTS,
    "predictions": PREDICTIONS,
    "champion_performance": PERFORMANCE,
    "drift_report": DRIFT,
    "retrain_decision": RETRAIN_DECISIONS,
}
"""The table that each asset fills."""
MORNING_IS_OVER = "0 13 * * *"
"""The daily schedule asks from 10:30 on, in the home's zone; by then a day's pass is expected."""
MONTHLY_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=40), warn_window=timedelta(days=33))


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
    home = outline_home(settings)
    assets: list[Any] = [
        asset
        for module in PIPELINE
        for asset in dg.load_assets_from_modules(
            [module], group_name=module.__name__.rpartition(".")[2], include_specs=True
        )
    ]
    linked: list[Any] = [*dg.with_source_code_references(_with_partitions(assets, home))]
    return dg.Definitions(
        assets=dg.map_asset_specs(_policy(home, settings), linked),
        asset_checks=dg.load_asset_checks_from_modules(list(CHECKS)),
        jobs=[*JOBS, try_training],
        schedules=schedules(home.timezone),
        sensors=[*SENSORS, *ANNOUNCEMENTS],
        executor=dg.in_process_executor,
        resources={**default_resources(home, settings), **(resource_overrides or {})},
    )


def daily_freshness(timezone: str) -> dg.FreshnessPolicy:
    """Return the policy of daily assets: each morning since midnight, or late from 13:00 on, in a time zone."""
    return dg.FreshnessPolicy.cron(MORNING_IS_OVER, lower_bound_delta=timedelta(hours=13), timezone=timezone)


def _with_partitions(assets: list[Any], home: Home) -> list[Any]:
    """Partition every daily asset by the home's days; daily assets are those with a backfill policy."""
    days = daily_partitions(home)

    def by_day(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(partitions_def=days)

    daily = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition) and asset.backfill_policy]
    others = [asset for asset in assets if asset not in daily]
    return [*dg.map_asset_specs(by_day, daily), *others]


def _table_metadata(asset: str) -> dict[str, Any]:
    """Return the name and the columns of the table that an asset fills, for the UI."""
    table = TABLE_OF.get(asset)
    if table is None:
        return {}
    columns = [dg.TableColumn(name, kind, description=_role(table, name)) for name, kind in table.columns.items()]
    return {"dagster/table_name": table.full_name, "dagster/column_schema": dg.TableSchema(columns=columns)}


def _role(table: Table, column: str) -> str | None:
    roles = [("part of the key", column in table.key), ("the partition", column == table.partition)]
    return "; ".join(role for role, holds in roles if holds) or None


def default_resources(home: Home, settings: Settings) -> dict[str, Any]:
    """Return the resources of the profile in force; a source is opened only in a run that reads it."""
    return {
        "settings": settings,
        "home": home,
        "counts_source": dg.ResourceDefinition(lambda _: open_source(claim_home(settings), settings)),
        "weather_source": dg.ResourceDefinition(lambda _: open_weather(claim_home(settings), settings)),
        "warehouse": open_warehouse(settings),
        "registry": open_registry(settings),
        "mlflow": open_tracking(settings),
        "reports": open_reports(settings),
        "notifier": Notifier(settings.discord_webhook_url, settings.discord_timeout_seconds),
    }


def _policy(home: Home, settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Return the policy of every asset: owner, freshness, engine, table and links."""
    engine = {"local": FILES, "gcp": "bigquery"}[settings.profile]
    made_daily = daily_freshness(home.timezone) if home.last_day is None else None  # A file gets no new days.
    freshness = {**dict.fromkeys(DAILY_GROUPS, made_daily), **dict.fromkeys(TRAINING_GROUPS, MONTHLY_FRESHNESS)}
    pages: dict[str, dict[str, Any]] = {
        "published_counts": {"source": describe_source(home)},
        "published_weather": {"source": settings.weather},
        "models": {"mlflow": dg.MetadataValue.url(settings.mlflow_address)},
        "champion": {"champion": dg.MetadataValue.url(f"{settings.api_address}/champion")},
        "predictions": {"page": dg.MetadataValue.url(settings.api_address)},
    }

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        group, name = spec.group_name or "", spec.key.to_user_string()
        return spec.replace_attributes(
            owners=OWNERS,
            kinds={engine if kind == FILES else kind for kind in spec.kinds},
            freshness_policy=freshness.get(group),
            metadata={**spec.metadata, **pages.get(group, pages.get(name, {})), **_table_metadata(name)},
        )

    return with_policy
