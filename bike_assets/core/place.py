"""Where a city is, as far as its days and holidays depend on it. Coordinates belong to the weather sources."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """What decides the local days and the public holidays of a city.

    Attributes:
        country: ISO code of the country of the public holidays.
        timezone: zone of the local days.
    """

    country: str
    timezone: str
