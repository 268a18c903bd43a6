"""A portal's names for our columns. Fetching belongs to `resources.portal`, types of rows to `core.published`."""

from pydantic import BaseModel, ConfigDict, Field, field_validator


class PortalFields(BaseModel):
    """The name of each of our columns in a portal's dataset; None for a column that it does not publish.

    Attributes:
        counter_id: identifies a counter; text or a whole number. Several fields identify it together, such as a site
            and a direction.
        bike_count: bikes in the hour.
        counted_at: start of the hour, with a date and time type; only the date if there is an hour_of_day.
        hour_of_day: local hour, 0 to 23, of a file that has date and hour in two columns.
        counter_name: the counter's name; its id where there is none.
        site_id: identifies the place that several counters share.
        site_name: name of that place.
        coordinates: a point, published as "lat,lon", as a record with lat and lon, or as WKB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counter_id: str | tuple[str, ...]
    bike_count: str = Field(min_length=1)
    counted_at: str = Field(min_length=1)
    hour_of_day: str | None = None
    counter_name: str | None = None
    site_id: str | None = None
    site_name: str | None = None
    coordinates: str | None = None

    @field_validator("counter_id")
    @classmethod
    def _names_a_field(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not names or not all(names):
            raise ValueError("it has to name one field or several")
        return names

    @property
    def key(self) -> tuple[str, ...]:
        """The portal's fields that identify a counter."""
        return (self.counter_id,) if isinstance(self.counter_id, str) else self.counter_id

    @property
    def by_column(self) -> dict[str, str]:
        """The portal's name by our column, for published columns; further fields of a key have columns of their own."""
        key = {key_column(number): name for number, name in enumerate(self.key)}
        return key | {column: name for column, name in self if name and column != "counter_id"}


def key_column(number: int) -> str:
    """Return our column of one field of a counter's key: counter_id, counter_id_2, counter_id_3."""
    return "counter_id" if number == 0 else f"counter_id_{number + 1}"
