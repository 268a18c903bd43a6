"""The committed dashboards, and their queries in a form that Prometheus accepts. `generate` makes the dashboards."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "grafana"
CHOICE = re.compile(r'(=~?)"\$\w+"')
DURATIONS = {"$__range": "1h", "$__rate_interval": "1m", "$__interval": "5s"}
EMPTY_AT_FIRST = ("bike_gain_r2", "bike_gain_residual_share", 'role="issued"', "bike_drift_column_drifted")
"""Parts of queries that are empty in a healthy young home: a gain, a week of issued forecasts, drifted columns."""


class Query(NamedTuple):
    """A panel's query for the API of Prometheus, for any home, API and counter."""

    dashboard: str
    panel: str
    expr: str


def committed_dashboards() -> list[dict[str, Any]]:
    """Return the dashboards' JSON, in the order of their file names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels with queries."""
    return [panel for panel in dashboard["panels"] if panel.get("targets")]


def without_variables(expr: str) -> str:
    """Replace Grafana's variables in an expression: choices by any value, durations by short ones."""
    plain = CHOICE.sub('=~".+"', expr)
    for name, duration in DURATIONS.items():
        plain = plain.replace(name, duration)
    return plain


def queries() -> list[Query]:
    """Return every query of every panel, in the order of the dashboards."""
    return [
        Query(dashboard["title"], panel["title"], without_variables(target["expr"]))
        for dashboard in committed_dashboards()
        for panel in panels_of(dashboard)
        for target in panel["targets"]
    ]


def may_be_empty(expr: str) -> bool:
    """Whether a query may return nothing in a healthy home: one with its first champion and no drift."""
    return any(part in expr for part in EMPTY_AT_FIRST)


def annotation_queries() -> list[Query]:
    """Return the queries of all annotations, with the annotation's name as the panel."""
    return [
        Query(dashboard["title"], annotation["name"], without_variables(annotation["expr"]))
        for dashboard in committed_dashboards()
        for annotation in dashboard["annotations"]["list"]
    ]
