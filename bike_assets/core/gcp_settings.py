"""Settings of Google Cloud: project, location, names and bounds. BIKE_GCP__<NAME> sets a field.

Credentials do not belong here: Google's libraries find them. The profile and all other settings belong to `settings`.
"""

from importlib.util import find_spec

from pydantic import BaseModel, ConfigDict, Field

NAMES = r"^\w*$"
ADDRESS = r"^https?://[\w.-]+(:\d{1,5})?$"
HOST_AND_PORT = r"^[\w.-]+:\d{1,5}$"


class GcpSettings(BaseModel):
    """Where BIKE_PROFILE=gcp stores its tables and files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str | None = Field(
        None,
        description="Project that owns the datasets and pays for the queries. BIKE_PROFILE=gcp requires it.",
    )
    location: str = Field(
        "EU", description="Where Google stores the datasets and runs the queries. It cannot change once they exist."
    )
    bucket: str | None = Field(
        None,
        description="Bucket that stores the registry, the reports and the artifacts. BIKE_PROFILE=gcp requires it.",
    )
    dataset_prefix: str = Field(
        "",
        pattern=NAMES,
        max_length=100,
        description="Prefix of the datasets' names, such as test_. It has letters, digits and underscores only.",
    )
    max_bytes_billed: int = Field(
        50_000_000_000,
        ge=1,
        description="Maximum bytes that a single query may bill. BigQuery refuses a larger query and bills nothing.",
    )
    bigquery_endpoint: str | None = Field(
        None,
        pattern=ADDRESS,
        description="Scheme, host and port of an emulator that replaces BigQuery. It asks for no credentials.",
    )
    bigquery_read_endpoint: str | None = Field(
        None,
        pattern=HOST_AND_PORT,
        description="Host and port of that emulator's Storage Read API (gRPC). Without it, the client reads rows over "
        "REST.",
    )
    storage_endpoint: str | None = Field(
        None, pattern=ADDRESS, description="Scheme, host and port of an emulator that replaces Cloud Storage."
    )

    def missing(self) -> list[str]:
        """Return what BIKE_PROFILE=gcp still needs: names of unset variables, and the packages of its clients."""
        unset = [f"BIKE_GCP__{name.upper()}" for name in ("project", "bucket") if not getattr(self, name)]
        return unset if find_spec("dagster_gcp") else [*unset, "the packages that make setup-gcp installs"]
