"""Chooses the engine of each resource for the profile in force: this machine's files, or Google Cloud.

No function here opens a file or a connection; the first use does. The interfaces belong to `warehouse`, `registry`,
`reports` and `tracking`.
"""

from bike_assets.resources.registry import Registry
from bike_assets.resources.reports import DriftReports
from bike_assets.resources.tracking import CloudTracking, Tracking
from bike_assets.resources.warehouse import LocalWarehouse, Warehouse
from bike_assets.settings import Settings


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the warehouse: Parquet files, or BigQuery."""
    if settings.profile == "local":
        return LocalWarehouse(settings.home_folder / "warehouse", settings.threads)
    from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse

    return BigQueryWarehouse(settings.gcp)


def open_registry(settings: Settings) -> Registry:
    """Return the registry: a folder of the home, or of the bucket."""
    if settings.profile == "local":
        from bike_assets.resources.local_registry import LocalRegistry

        return LocalRegistry(settings.home_folder / "registry")
    from bike_assets.resources.gcs import folder_of
    from bike_assets.resources.gcs_registry import GcsRegistry

    return GcsRegistry(folder_of(settings.gcp, "registry"))


def open_reports(settings: Settings) -> DriftReports:
    """Return the drift reports: a folder of the home, or of the bucket."""
    if settings.profile == "local":
        from bike_assets.resources.reports import LocalReports

        return LocalReports(settings.home_folder / "reports")
    from bike_assets.resources.gcs import folder_of
    from bike_assets.resources.gcs_reports import GcsReports

    return GcsReports(folder_of(settings.gcp, "reports"))


def open_tracking(settings: Settings) -> Tracking:
    """Return the tracking: MLflow in the home, or on MLFLOW_TRACKING_URI with its artifacts in the bucket."""
    folder = settings.home_folder / "mlflow"
    return CloudTracking(folder, settings.gcp.bucket) if settings.profile == "gcp" else Tracking(folder)
