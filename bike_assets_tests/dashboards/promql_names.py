"""The metrics and labels in an expression, and those that exist: the exporter's, the API's, Prometheus's own."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from bike_assets.core.decisions import RetrainDecision, Verdict
from bike_assets.core.families import FAMILIES
from bike_assets.exporter.decisions import BOUNDS
from bike_assets.exporter.names import METRICS
from serving.metrics import Metrics

KEYWORDS = {"and", "or", "unless", "bool", "by", "on", "without", "ignoring", "group_left", "group_right", "offset"}
TEXT = re.compile(r'"[^"]*"')
LABELS = re.compile(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w$.])[a-zA-Z_:][\w:]*(?!\w|\s*\()")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
GROUPED = re.compile(r"\bby\s*\(([^)]*)\)")

PROMETHEUS_METRICS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
SCRAPE_LABELS = {"job", "instance"}
REQUEST = {"method", "endpoint"}
API_METRICS = {
    "fastapi_requests_total": REQUEST | {"status_code"},
    "fastapi_errors_total": REQUEST | {"status_code"},
    "fastapi_request_duration_seconds_bucket": REQUEST | {"le"},
    "fastapi_request_duration_seconds_sum": REQUEST,
    "fastapi_request_duration_seconds_count": REQUEST,
    "bike_api_predictions_total": {"family", "version"},
    "bike_api_unknown_counter_predictions_total": set(),
    "bike_api_champion_version": {"pid"},
    "bike_api_champion_promoted_timestamp_seconds": {"pid"},
    "bike_api_champion_swaps_total": set(),
    "bike_api_counts_end_timestamp_seconds": {"pid"},
    "bike_api_part_readable": {"part", "pid"},
}
LABELS_OF = {
    name: labels | SCRAPE_LABELS
    for name, labels in {
        **{name: set(described.labels) for name, described in METRICS.items()},
        **API_METRICS,
        **PROMETHEUS_METRICS,
    }.items()
}
VALUES_OF = {
    "role": {"champion", "challenger", "first_champion", "seasonal_naive", "issued"},
    "dataset": {"baseline", "current", "live"},
    "horizon_days": {"1", "2", "3"},
    "decision": {*RetrainDecision, *Verdict},
    "data": {"counts", "weather", "forecasts"},
    "state": {"active", "new", "silent", "gone"},
    "kind": {"counted", "forecast", "naive", "issued", "hindcast", "sensor", "schedule"},
    "status": {"trained", "known", "failed", "trial", "success", "failure", "canceled", "queued", "started"},
    "severity": {"warn", "error", "warning", "critical"},
    "outcome": {"read", "unread"},
    "family": set(FAMILIES),
    "name": set(BOUNDS),
}


class Matcher(NamedTuple):
    """A condition on a label of a metric."""

    metric: str
    label: str
    operator: str
    value: str


def metrics_in(expr: str) -> set[str]:
    """The metrics that an expression names."""
    bare = LABELS.sub("", TEXT.sub('""', expr))
    return set(NAME.findall(bare)) - KEYWORDS


def selectors_in(expr: str) -> set[str]:
    """The series that an expression looks at, as plain selectors: each metric with its conditions."""
    conditioned = {match[0] for match in SELECTOR.finditer(expr)}
    bare = metrics_in(expr) - {match[1] for match in SELECTOR.finditer(expr)}
    return conditioned | bare


def matchers_in(expr: str) -> Iterator[Matcher]:
    """The conditions on labels in an expression."""
    for metric, inside in SELECTOR.findall(expr):
        for label, operator, value in MATCHER.findall(inside):
            yield Matcher(metric, label, operator, value)


def labels_left(expr: str) -> set[str]:
    """Labels that a series of the expression may have."""
    grouped = {label.strip() for inside in GROUPED.findall(expr) for label in inside.split(",")}
    return grouped or set.union(set(), *(LABELS_OF[name] for name in metrics_in(expr)))


def is_possible(matcher: Matcher) -> bool:
    """Whether a label of that metric can have a value that fits, as far as its values are known."""
    if matcher.label not in LABELS_OF[matcher.metric]:
        return False
    known = VALUES_OF.get(matcher.label)
    if known is None or "$" in matcher.value:
        return True
    alternatives = matcher.value.split("|") if "~" in matcher.operator else [re.escape(matcher.value)]
    return all(any(re.fullmatch(each, value) for value in known) for each in alternatives)


def exposed_by_api() -> set[str]:
    """The metrics that the API exposes."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().exposition().decode(), re.MULTILINE):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return {name for name in found if not name.endswith("_created")}
