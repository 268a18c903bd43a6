"""The keys and panels that Grafana's SDK knows, read from its classes: the SDK itself accepts any key."""

import inspect
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import Runtime
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models.prometheus import Dataquery

register_default_plugins()


def keys_of(model: type) -> set[str]:
    """Every key that a class of the SDK writes: those of an instance that has everything."""
    parameters = [name for name in inspect.signature(model.__init__).parameters if name != "self"]
    return set(model(**dict.fromkeys(parameters, "anything")).to_json())


def faults_of(dashboard: dict[str, Any]) -> list[str]:
    """Return what the SDK does not know: keys of the dashboard, of panels and of queries, and kinds of panels."""
    return list(_faults(dashboard))


def _faults(dashboard: dict[str, Any]) -> Iterator[str]:
    yield from _unknown("the dashboard", dashboard, grafana.Dashboard)
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from _unknown("a row", panel, grafana.RowPanel)
        elif panel["type"] not in Runtime().panelcfg_variants:
            yield f"{panel['title']}: no such panel as {panel['type']}"
        else:
            yield from _faults_of_panel(panel)


def _faults_of_panel(panel: dict[str, Any]) -> Iterator[str]:
    title, kind = panel["title"], Runtime().panelcfg_variants[panel["type"]]
    yield from _unknown(title, panel, grafana.Panel)
    yield from _unknown(f"{title}: field", panel["fieldConfig"]["defaults"], grafana.FieldConfig)
    for part, hook in (
        (panel["options"], kind.options_from_json_hook),
        (panel["fieldConfig"]["defaults"].get("custom", {}), kind.field_config_from_json_hook),
    ):
        if hook is not None:
            yield from _unknown(f"{title}: options", part, hook.__self__)
    for target in panel["targets"]:
        yield from _unknown(f"{title}: query", target, Dataquery)


def _unknown(where: str, part: dict[str, Any], model: type) -> Iterator[str]:
    for key in sorted(part.keys() - keys_of(model)):
        yield f"{where}: no such key as {key}"
