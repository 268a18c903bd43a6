"""What a city's published rows mean: the names of its columns and the zone of its times. Reading belongs elsewhere."""

from dataclasses import dataclass

from bike_assets.core.parts_of_hours import IntervalMinutes
from bike_assets.core.portal_fields import PortalFields
from bike_assets.core.repeated_rows import RepeatedRows


@dataclass(frozen=True)
class PublishedForm:
    """The form in which a city publishes counts.

    Attributes:
        fields: the published name of each of our columns.
        labels: titles that a CSV file may have instead of these names.
        timezone: zone of the local days, in which an hour begins.
        naive_zone: zone of the times without an offset.
        repeated_rows: the rule for rows that share a counter and a time.
        interval_minutes: the minutes that a published count covers.
    """

    fields: PortalFields
    labels: PortalFields | None
    timezone: str
    naive_zone: str
    repeated_rows: RepeatedRows
    interval_minutes: IntervalMinutes
