"""The committed rules, read once. The tests check them."""

from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS, ALERTMANAGER = ROOT / "dashboards" / "prometheus", ROOT / "dashboards" / "alertmanager"


@cache
def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def rules() -> list[dict]:
    return [rule for name in ("recording", "alerts") for rule in rules_of(name)]


def rules_of(name: str) -> list[dict]:
    return [rule for group in read(PROMETHEUS / "rules" / f"{name}.yml")["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of("alerts")}
RECORDED = {rule["record"] for rule in rules_of("recording")}
