"""A portal's names for our columns. Fetching belongs to `resources.portal`, types of rows to `core.published`."""

from pydantic import BaseModel, ConfigDict, Field


class PortalFields(BaseModel):
    """The name of each of our columns in a portal's dataset; None for a column that it does not publish.

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
        """The portal's name by our column, for published columns."""
        return {column: name for column, name in self if name}
