"""The dashboards as Grafana gets them, and every query in them for a plain Prometheus. Making them is in `generate`."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "grafana"
CHOSEN = re.compile(r'(=~?)"\$\w+"')
DURATIONS = {"$__range": "1h", "$__rate_interval": "1m", "$__interval": "5s"}


NOT_YET = ("bike_gain_r2", "bike_gain_residual_share", 'role="issued"', "bike_drift_column_drifted")
"""What a young home may lack in good health: a gain, forecasts of a week that were issued, anything drifted."""


class Query(NamedTuple):
    """A panel's query as the API of Prometheus takes it: any home, any API, any counter."""

    dashboard: str
    panel: str
    expr: str


def committed_dashboards() -> list[dict[str, Any]]:
    """Return the dashboards' JSON, by file name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that ask something."""
    return [panel for panel in dashboard["panels"] if panel.get("targets")]


def for_prometheus(expr: str) -> str:
    """Return an expression with Grafana's variables replaced: choices by anything, durations by short ones."""
    plain = CHOSEN.sub('=~".+"', expr)
    for name, duration in DURATIONS.items():
        plain = plain.replace(name, duration)
    return plain


def queries() -> list[Query]:
    """Return every query of every panel, in the order of the dashboards."""
    return [
        Query(dashboard["title"], panel["title"], for_prometheus(target["expr"]))
        for dashboard in committed_dashboards()
        for panel in panels_of(dashboard)
        for target in panel["targets"]
    ]


def may_be_empty(expr: str) -> bool:
    """Whether no answer to a panel's query is one, too: of a home with its first champion, where nothing drifted."""
    return any(part in expr for part in NOT_YET)


def annotation_queries() -> list[Query]:
    """Return every query of an annotation, its name in place of a panel's title."""
    return [
        Query(dashboard["title"], annotation["name"], for_prometheus(annotation["expr"]))
        for dashboard in committed_dashboards()
        for annotation in dashboard["annotations"]["list"]
    ]
