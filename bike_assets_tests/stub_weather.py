"""A source of weather for tests: plain values of every hour, changed as a test likes, and a service that fails."""

from collections.abc import Callable, Iterator
from datetime import date

import pandas as pd

from bike_assets.core.local_time import utc_bounds
from bike_assets.core.splits import Span
from bike_assets.errors import SourceUnavailableError
from bike_assets_tests.export_files import ZONE


class StubWeather:
    """The same mild weather in every hour, but for its temperature, which shows what was requested.

    Args:
        change: makes what is published of what there was.

    Attributes:
        requests: every request: observed or forecast, first and last day.
        observed_temperature: of every hour (°C).
        forecast_temperature: of every hour (°C).
        silent: whether it answers nothing any more.
        archive_silent: whether it answers no days before the newest week any more.
    """

    description = "a stub"

    def __init__(self, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> None:
        self.change = change
        self.requests: list[tuple[str, date, date]] = []
        self.observed_temperature, self.forecast_temperature = 10.0, 20.0
        self.silent = self.archive_silent = False

    def observed(self, span: Span) -> Iterator[pd.DataFrame]:
        """Yield the days a week at a time, the newest first."""
        self.requests.append(("observed", span.first, span.last))
        for number, part in enumerate(reversed(span.chunks(7))):
            self._answer(self.silent or (number > 0 and self.archive_silent))
            yield self.change(mild(part, self.observed_temperature))

    def forecast(self, span: Span) -> pd.DataFrame:
        """Return the days."""
        self.requests.append(("forecast", span.first, span.last))
        self._answer(self.silent)
        return self.change(mild(span, self.forecast_temperature))

    def _answer(self, silent: bool) -> None:
        if silent:
            raise SourceUnavailableError("The stub did not answer.")


def mild(span: Span, temperature: float) -> pd.DataFrame:
    """Return every hour of some local days, in the form of `core.weather.arrange_weather`."""
    start, end = utc_bounds(span.first, ZONE)[0], utc_bounds(span.last, ZONE)[1]
    at = pd.date_range(start, end, freq="h", inclusive="left")
    return pd.DataFrame(
        {"at": at, "temperature": temperature, "rain": 0.0, "wind": 2.0, "cloud": 50.0, "implausible": 0}
    )
