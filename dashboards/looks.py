"""The look of figures: units, decimals, colours, and the bounds of the settings. `panels` draws them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bike_assets.settings import Settings
from dashboards.promql import HOUR

RED, ORANGE, GREEN, BLUE, PURPLE, GREY = "red", "orange", "green", "blue", "purple", "text"
TRANSPARENT = "transparent"
BIKES = "suffix:bikes"
BIKES_AN_HOUR = "suffix:bikes/h"

ROLES = {
    "champion": BLUE,
    "issued": "light-blue",
    "seasonal_naive": ORANGE,
    "first_champion": PURPLE,
    "challenger": GREEN,
    "forecast": BLUE,
    "naive": ORANGE,
    "counted": GREEN,
}
"""A role has the same colour on every panel."""
REFERENCES = ("seasonal_naive", "first_champion", "naive")
"""Forecasts that the champion is compared with; their lines are dashed."""
DECISIONS = {
    "ALL_GOOD": GREEN,
    "WAIT": BLUE,
    "RETRAIN_PROACTIVE": ORANGE,
    "RETRAIN_REACTIVE": RED,
    "FORCED": PURPLE,
    "NOT_ENOUGH_DATA": GREY,
    "DEPLOY": GREEN,
    "SKIP": BLUE,
    "REJECT": RED,
}

Steps = tuple[tuple[float | None, str], ...]
PLAIN: Steps = ((None, BLUE),)


@dataclass(frozen=True)
class Look:
    """The format and the colours of a figure.

    Attributes:
        unit: unit, by Grafana's name.
        decimals: number of decimals; None lets Grafana choose.
        steps: colours, each from its value on; the first one is for all lower values.
        texts: text and colour that replace a value.
        low: start of the scale.
        high: end of the scale.
        empty: text if there is no figure.
    """

    unit: str
    decimals: int | None = None
    steps: Steps = PLAIN
    texts: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    empty: str = "none yet"


NUMBER = Look("none", 0, low=0)
ROWS = Look("short", low=0)
DAY_OF_BIKES = Look(BIKES, 0, low=0)
ERROR = Look(BIKES_AN_HOUR, 1, low=0)
SCORE = Look("none", 3)
DURATION = Look("s", low=0)
LATENCY = Look("s", 3, low=0)
RATE = Look("reqps", low=0)
DIFFERENCE = Look("none", 3, ((None, RED), (0, GREEN)))
SHARE_OFF = Look("percentunit", 1, ((None, ORANGE), (-0.1, GREEN), (0.1, ORANGE)))
ZERO_IS_GOOD = Look("none", 0, ((None, GREEN), (1, RED)), low=0)
ANY_IS_NOTABLE = Look("none", 0, ((None, GREEN), (1, ORANGE)), low=0)
YES_IS_GOOD = Look("bool_yes_no", texts={1: ("yes", GREEN), 0: ("no", RED)})
YES_IS_BAD = Look("bool_yes_no", texts={1: ("yes", RED), 0: ("no", GREEN)})
IS_SO = Look("bool_yes_no", texts={1: ("yes", BLUE), 0: ("no", BLUE)})
MET = Look("bool_yes_no", texts={1: ("met", GREEN), 0: ("missed", RED)})
IN_FORCE = Look("bool_yes_no", texts={1: ("in force", BLUE), 0: (" ", TRANSPARENT)})
DRIFTED = Look("bool_yes_no", texts={1: ("yes", ORANGE), 0: (" ", TRANSPARENT)})
ERROR_SHARE = Look("percentunit", 1, ((None, GREEN), (0.01, ORANGE), (0.1, RED)), low=0)
HEARTBEAT = Look("s", 0, ((None, GREEN), (120, ORANGE), (600, RED)), low=0)
KEPT = Look("percentunit", 2, low=0, high=1)


def r2_look(settings: Settings) -> Look:
    """R2 over the newest 7 days against the rows of the retrain matrix."""
    return Look("none", 3, ((None, RED), (settings.r2_critical, ORANGE), (settings.r2_warning, GREEN)), high=1)


def baseline_look(settings: Settings) -> Look:
    """R2 on the frozen test set against the floor of the double evaluation."""
    return Look("none", 3, ((None, RED), (settings.r2_floor, GREEN)), low=0, high=1)


def rmse_look(settings: Settings) -> Look:
    """RMSE against the limit of the retrain rule."""
    return Look(BIKES_AN_HOUR, 1, ((None, GREEN), (settings.rmse_limit, RED)), low=0)


def drift_look(settings: Settings) -> Look:
    """A drift share against the columns of the retrain matrix."""
    steps = ((None, GREEN), (settings.drift_warning, ORANGE), (settings.drift_critical, RED))
    return Look("percentunit", 0, steps, low=0, high=1)


def gain_look(settings: Settings) -> Look:
    """A gain of R2 against the required gain."""
    return Look("none", 4, ((None, RED), (0, ORANGE), (settings.min_gain, GREEN)))


def streak_look(settings: Settings) -> Look:
    """Days behind the seasonal naive against the number that raises an alarm."""
    return Look("suffix:days", 0, ((None, GREEN), (1, ORANGE), (settings.naive_alarm_days, RED)), low=0)


def kept_steps(target: float) -> Steps:
    """Return the colours of a share that should reach its target."""
    return (None, RED), (target, GREEN)


def age_look(late_hours: float, lost_hours: float) -> Look:
    """An age in seconds: orange from `late_hours` on, red from `lost_hours` on."""
    return Look("s", 1, ((None, GREEN), (late_hours * HOUR, ORANGE), (lost_hours * HOUR, RED)), low=0)
