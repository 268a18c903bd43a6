"""The service levels: whether each is met now, and the share of time or of requests that met it.

Their alerts and their budgets over 30 days belong to the rules of Prometheus.
"""

from typing import NamedTuple

from dashboards.promql import HOUR, age, errors_of_api, figure, live, of_api, requests_of_api

FRESH_HOURS = 36
FORECAST_HOURS = 72
QUICK_SECONDS = "0.1"
DURATION_METRIC = "fastapi_request_duration_seconds"
LAST_HOUR, CHOSEN_TIME = "1h", "$__range"


class Objective(NamedTuple):
    """A service level.

    Attributes:
        name: name of its line.
        target: share that has to meet it.
        met: expression that is 1 while it is met and 0 while it is missed.
        kept: expression of the share that met it in the chosen time range.
    """

    name: str
    target: float
    met: str
    kept: str


def _in_time(name: str, target: float, met: str) -> Objective:
    """Return a service level that is met or missed at each moment."""
    return Objective(name, target, met, f"avg_over_time(({met})[{CHOSEN_TIME}:$__interval])")


def _of_requests(name: str, target: float, good: dict[str, str], requests: dict[str, str]) -> Objective:
    """Return a service level of requests. Without requests, it is met."""
    met = f"{good[LAST_HOUR]} >= bool {target:g} * {requests[LAST_HOUR]}"
    no_requests = f"{requests[CHOSEN_TIME]} == bool 0"
    return Objective(name, target, met, f"{good[CHOSEN_TIME]} / ({requests[CHOSEN_TIME]} > 0) or ({no_requests})")


def _end_of(data: str) -> str:
    return f"max({figure('bike_data_end_timestamp_seconds', data=data)})"


def _predictions(metric: str, **labels: str) -> dict[str, str]:
    of_predict = of_api(metric, endpoint="/predict", **labels)
    return {window: f"sum(increase({of_predict}[{window}]))" for window in (LAST_HOUR, CHOSEN_TIME)}


_REQUESTS = {window: requests_of_api(window) for window in (LAST_HOUR, CHOSEN_TIME)}
_ANSWERED = {window: f"({requests} - {errors_of_api(window)})" for window, requests in _REQUESTS.items()}
_WARNING = f"max({figure('bike_threshold', name='r2_warning')})"

OBJECTIVES = (
    _in_time(f"Counts under {FRESH_HOURS} h old", 0.95, f"{age(_end_of('counts'))} < bool {FRESH_HOURS * HOUR}"),
    _in_time("A forecast of today", 0.99, f"{age(_end_of('forecasts'))} < bool {FORECAST_HOURS * HOUR}"),
    _of_requests("API answers without error", 0.995, _ANSWERED, _REQUESTS),
    _of_requests(
        f"API predicts within {QUICK_SECONDS} s",
        0.99,
        _predictions(f"{DURATION_METRIC}_bucket", le=QUICK_SECONDS),
        _predictions(f"{DURATION_METRIC}_count"),
    ),
    _in_time("R² above the warning", 0.95, f"{live('r2', 'champion')} >= bool {_WARNING}"),
)
