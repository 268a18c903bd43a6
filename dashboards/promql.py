"""PromQL expressions for the home and the API that the user chooses in Grafana.

Metric names and questions belong to the dashboards, looks to `panels`.
"""

HOME = "$instance"
API = "$api_instance"
OPERATORS = ("=~", "!~", "!=")
HOUR = 3600
PROBES = "!~/metrics|/healthz|/readyz"
FORECASTING = "=~/predict|/forecast/.*|/counts/.*"


def figure(metric: str, **labels: str) -> str:
    """Return the selector of an exporter's metric; a label's value may begin with an operator such as `=~`."""
    return _selector(metric, {"instance": HOME, **labels})


def of_api(metric: str, **labels: str) -> str:
    """Return the selector of one of the API's own metrics."""
    return _selector(metric, {"instance": API, **labels})


def live(score: str, role: str, horizon_days: int = 1) -> str:
    """Return a score of one role over the newest 7 days, as a series without labels."""
    of_role = figure(f"bike_model_{score}", role=role, dataset="live", horizon_days=str(horizon_days))
    return f"max({of_role})"


def lead(role: str, horizon_days: int = 1) -> str:
    """Return the champion's R2 over the newest 7 days minus that of another role."""
    return f"{live('r2', 'champion', horizon_days)} - {live('r2', role, horizon_days)}"


def age(expression: str) -> str:
    """Return the seconds that have passed since a moment."""
    return f"time() - {expression}"


def or_zero(aggregate: str) -> str:
    """Return an aggregate without labels, or 0 if it has no series while the exporter is up."""
    return f"{aggregate} or 0 * max({figure('bike_build_info')})"


def errors_of_api(window: str) -> str:
    """Return the number of failed API requests in a window, or 0."""
    failed = of_api("fastapi_errors_total", endpoint=PROBES)
    return f"(sum(increase({failed}[{window}])) or 0 * {requests_of_api(window)})"


def requests_of_api(window: str) -> str:
    """Return the number of API requests in a window, without those of probes."""
    return f"sum(increase({of_api('fastapi_requests_total', endpoint=PROBES)}[{window}]))"


def latency(quantile: float) -> str:
    """Return a quantile of the duration of forecast requests, in seconds."""
    buckets = of_api("fastapi_request_duration_seconds_bucket", endpoint=FORECASTING)
    return f"histogram_quantile({quantile:g}, sum by (le) (rate({buckets}[$__rate_interval])))"


def _selector(metric: str, labels: dict[str, str]) -> str:
    matchers = []
    for name, value in sorted(labels.items()):
        operator = next((each for each in OPERATORS if value.startswith(each)), "")
        matchers.append(f'{name}{operator or "="}"{value.removeprefix(operator)}"')
    return f"{metric}{{{','.join(matchers)}}}"
