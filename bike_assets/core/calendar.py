"""Public holidays of the country that the settings name. Days and hours belong to `local_time`."""

from datetime import date
from functools import lru_cache


def is_holiday(day: date, country: str) -> bool:
    """Whether a local day is a public holiday.

    Args:
        day: the local day.
        country: ISO code of a country that `has_holidays`.

    Raises:
        NotImplementedError: the package `holidays` does not know the country.
    """
    return day in _calendar(country, day.year)


def has_holidays(country: str) -> bool:
    """Whether the package `holidays` knows the public holidays of a country."""
    import holidays

    return country in holidays.list_supported_countries()


@lru_cache(maxsize=256)
def _calendar(country: str, year: int) -> frozenset[date]:
    import holidays

    return frozenset(holidays.country_holidays(country, years=year))
