"""Write docs/settings.md from the fields of the settings: names, defaults, types, bounds and descriptions.

Run `python -m bike_assets_tests.settings_page` after any change of a setting. The form of the page belongs here: its
groups, and the words for types, bounds and defaults. The description of a setting belongs to its field in
`bike_assets.settings` or `bike_assets.core.gcp_settings`. The page depends on neither the environment nor the machine.
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.core.portal_fields import PortalFields
from bike_assets.settings import PARIS, Settings, read_city_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
COMMAND = "python -m bike_assets_tests.settings_page"
FIELDS = {name: field for name, field in Settings.model_fields.items() if name != "gcp"}
FIELDS |= {f"gcp__{name}": field for name, field in GcpSettings.model_fields.items()}
GROUPS = {
    "Home and profile": ("production", "home profile"),
    "Counts": (
        "ingestion",
        "source counts_file city_file timezone times interval_minutes repeated_rows holidays_country history_months "
        "simulator_*",
    ),
    "Portal": ("ingestion", "portal_*"),
    "Checks of the counts": ("ingestion", "max_share_incomplete outlier_*"),
    "Weather": ("weather", "weather*"),
    "Training": ("models", "quick seed threads t*_share training_* min_training_days counters_left_out"),
    "Double evaluation": ("decisions", "r2_floor min_gain min_residual_share certain_gain"),
    "Retrain matrix": ("decisions", "r2_critical r2_warning drift_* rmse_limit min_scored_rows naive_* cooldown_*"),
    "Messages": ("decisions", "discord_*"),
    "Servers": (
        "monitoring",
        "host dagster_port api_port mlflow_port exporter_port prom*_port alert*_port grafana_port",
    ),
    "API": ("serving", "api_workers api_keys api_timeout_seconds api_max_body_bytes api_cors_origins log_format"),
    "Google Cloud and PostgreSQL": ("bigquery", "gcp__* postgres_*"),
}
"""For each heading: the page with more about it, and the names of its settings, in the order of the table."""
START = f"""# Settings

`{COMMAND}` writes this page from `bike_assets/settings.py`. Do not edit it by hand.

Each setting is an environment variable. The platform reads it when a process starts. An empty variable counts as unset.
A city's file (`BIKE_CITY_FILE`) may hold any setting under its name in lower case, without `BIKE_`. The environment
takes precedence over the file. The defaults below are those of Paris. The platform never shows the value of a secret.
"""
END = """
## Variables of other programs

MLflow reads `MLFLOW_TRACKING_URI`. Google's libraries read `GOOGLE_APPLICATION_CREDENTIALS`. `deploy/example.env` and
`dashboards/grafana/grafana.env` list the variables that only the deployment and Grafana read.
"""
HEADER = "| setting | default | value | |\n|---|---|---|---|\n"
WORDS = {"": "none", "True": "`true`", "False": "`false`"}
TYPES = {bool: "`true`, `false`", int: "whole number", float: "number", Path: "path", SecretStr: "secret", str: "text"}
TYPES[PortalFields] = "text for each of " + ", ".join(f"`{name.upper()}`" for name in PortalFields.model_fields)
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "max_length": "length at most"}


def settings_page() -> str:
    """Return the text of docs/settings.md. Raise a ValueError if a setting is not in exactly one group."""
    shown, parts = [], [START]
    for heading, (page, patterns) in GROUPS.items():
        names = [name for pattern in patterns.split() for name in FIELDS if fnmatchcase(name, pattern)]
        parts.append(f"\n## {heading}\n\nMore: [{page}.md]({page}.md).\n\n{HEADER}")
        parts += [_row(name, FIELDS[name]) for name in names]
        shown += names
    if wrong := [name for name in FIELDS if shown.count(name) != 1]:
        raise ValueError(f"{', '.join(wrong)}: put each setting into exactly one group of {Path(__file__).name}.")
    return "".join([*parts, END])


def _row(name: str, field: FieldInfo) -> str:
    variable = f"BIKE_{name.upper()}" + ("__..." if name in {"portal_fields", "portal_labels"} else "")
    meaning = re.sub(r"(BIKE_\w+(=\w+)?)", r"`\1`", field.description or "")
    return f"| `{variable}` | {_default(name, field)} | {_values(field)} | {meaning} |\n"


def _default(name: str, field: FieldInfo) -> str:
    value = read_city_file(PARIS).get(name, field.default)
    shown = "" if value is None else str(value).removeprefix(f"{ROOT}/").removesuffix(".0")
    return WORDS.get(shown, f"`{shown}`") if not isinstance(value, dict) else "those of Paris"


def _values(field: FieldInfo) -> str:
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)] or [field.annotation]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in kinds)
    bounds = [(words, getattr(each, key, None)) for key, words in BOUNDS.items() for each in field.metadata]
    return ", ".join([TYPES[kinds[0]], *(f"{words} {bound}" for words, bound in bounds if bound is not None)])


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8", newline="\n")
