"""What a portal calls our columns. Reading rows by these names belongs to `core.published`, fetching to resources."""

from pydantic import BaseModel, ConfigDict, Field


class PortalFields(BaseModel):
    """The name that a portal's dataset has for each of our columns; None for what it does not publish.

    Attributes:
        counter_id: identifies a counter; text or a whole number.
        bike_count: bikes in the hour.
        counted_at: start of the hour, with a date and time type.
        counter_name: the counter's name; its id where there is none.
        site_id: identifies the place that several counters share.
        site_name: name of that place.
        coordinates: a point, published as "lat,lon", as a record with lat and lon, or as WKB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counter_id: str = Field(min_length=1)
    bike_count: str = Field(min_length=1)
    counted_at: str = Field(min_length=1)
    counter_name: str | None = None
    site_id: str | None = None
    site_name: str | None = None
    coordinates: str | None = None

    @property
    def by_column(self) -> dict[str, str]:
        """The portal's name by our column, for what is published."""
        return {column: name for column, name in self if name}
