"""What is set of Google Cloud: project, place, names and bounds, each from BIKE_GCP__<NAME>.

Credentials do not belong here: Google's libraries find them. All other settings, and which profile is in force, are in
`settings`.
"""

from importlib.util import find_spec

from pydantic import BaseModel, ConfigDict, Field

NAMES = r"^\w*$"
ADDRESS = r"^https?://[\w.-]+(:\d{1,5})?$"
HOST_AND_PORT = r"^[\w.-]+:\d{1,5}$"


class GcpSettings(BaseModel):
    """Where the profile gcp keeps its tables and files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str | None = Field(None, description="The project that owns the datasets and pays for the queries.")
    location: str = Field("EU", description="Where datasets are made and queries run; fixed once they exist.")
    bucket: str | None = Field(None, description="The bucket of the registry, the reports and the artifacts.")
    dataset_prefix: str = Field(
        "", pattern=NAMES, max_length=100, description="Put before the names of the datasets, as test_."
    )
    max_bytes_billed: int = Field(
        50_000_000_000, ge=1, description="Bytes of BigQuery above which a single query is refused, unbilled."
    )
    bigquery_endpoint: str | None = Field(
        None,
        pattern=ADDRESS,
        description="Scheme, host and port of an emulator in BigQuery's place, which asks for no credentials.",
    )
    bigquery_read_endpoint: str | None = Field(
        None,
        pattern=HOST_AND_PORT,
        description="Host and port of that emulator's Storage Read API (gRPC); without it rows come over REST.",
    )
    storage_endpoint: str | None = Field(
        None, pattern=ADDRESS, description="Scheme, host and port of an emulator in the place of Cloud Storage."
    )

    def missing(self) -> list[str]:
        """Return what the profile gcp needs and lacks: names of unset variables, and the packages of its clients."""
        unset = [f"BIKE_GCP__{name.upper()}" for name in ("project", "bucket") if not getattr(self, name)]
        return unset if find_spec("dagster_gcp") else [*unset, "the packages that make setup-gcp installs"]
