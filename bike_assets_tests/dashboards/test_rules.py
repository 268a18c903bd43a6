"""The configuration of Prometheus and Alertmanager, checked with their tools; other modules run the servers.

Each alert has its three cases in rules_test.yml; here it is checked that it has them, and that rules and tests
use metrics that exist.
"""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest
import yaml

from bike_assets.exporter.names import METRICS, NAMES
from bike_assets_tests.dashboards.rules import ALERTMANAGER, ALERTS, PROMETHEUS, RECORDED, ROOT, read, rules, rules_of
from bike_assets_tests.programs import system_program
from dashboards.alertmanager import render
from serving.metrics import Metrics

RULE_TESTS = ("rules_test.yml", "rules_days_test.yml")
RUNBOOK = "docs/monitoring.md"
TESTS = [test for name in RULE_TESTS for test in read(PROMETHEUS / name)["tests"]]
SECRET = "https://discord.example/api/webhooks/1/a-secret"


def amtool() -> str:
    return system_program("prometheus-alertmanager", "amtool")


def run(*command: object) -> str:
    """Run a tool and return its output; the output is the message of a failure."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, cwd=PROMETHEUS, timeout=300)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


# ------------------------------------------------------------------------------------------- their own tools


def test_promtool_accepts_configuration_and_rules(promtool):
    output = run(promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert "rules found" in output
    assert "WARNING" not in output


@pytest.mark.parametrize("name", RULE_TESTS)
def test_rules_pass_their_tests(promtool, name):
    assert "SUCCESS" in run(promtool, "test", "rules", name)


@pytest.mark.parametrize("url", [None, SECRET])
def test_amtool_accepts_the_configuration(url, tmp_path):
    render.write(tmp_path / "alertmanager.yml", url)
    assert "3 receivers" in run(amtool(), "check-config", tmp_path / "alertmanager.yml")


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_each_severity_has_its_receiver(severity):
    config = f"--config.file={ALERTMANAGER / 'alertmanager.yml'}"
    assert severity in run(amtool(), "config", "routes", "test", config, f"severity={severity}").splitlines()


# --------------------------------------------------------------------------------------------- completeness


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_severity_a_description_and_a_runbook(name):
    alert = ALERTS[name]
    group = next(each for each in read(PROMETHEUS / "rules" / "alerts.yml")["groups"] if alert in each["rules"])
    assert alert["labels"]["severity"] == group["name"]
    assert alert["labels"]["team"] == "mobility"
    assert {"service", "matter"} < alert["labels"].keys()
    assert "for" in alert
    assert alert["annotations"]["summary"]
    assert len(alert["annotations"]["description"]) > len(alert["annotations"]["summary"])
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOK}#{name.lower()}"


def test_severities_are_the_routes():
    assert {alert["labels"]["severity"] for alert in ALERTS.values()} == {"critical", "warning", "info"}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_its_three_cases(name):
    """It fires, it is over afterwards, and another test has it silent from beginning to end."""
    cases = [sorted(firing_of(test, name).items()) for test in TESTS if firing_of(test, name)]
    over = [case for case in cases if any(then and not now for (_, then), (_, now) in pairwise(case))]
    silent = [test for test in TESTS if test["name"].startswith(f"{name} is silent") and is_silent(test, name)]
    assert any(firing for case in cases for _, firing in case), "it never fires"
    assert over, "it is never over"
    assert silent, "it is never silent"


def firing_of(test: dict, name: str) -> dict[int, bool]:
    """Minutes of a test at which it checks an alert, and whether the alert fires then."""
    found = [case for case in test.get("alert_rule_test", ()) if case["alertname"] == name]
    return {minutes(case["eval_time"]): bool(case.get("exp_alerts")) for case in found}


def is_silent(test: dict, name: str) -> bool:
    firing = firing_of(test, name)
    return bool(firing) and not any(firing.values())


def minutes(duration: str) -> int:
    [(number, unit)] = re.findall(r"^(\d+)(m|h)$", duration)
    return int(number) * {"m": 1, "h": 60}[unit]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recorded_series_has_its_value_tested(name):
    found = [case["expr"] for test in TESTS for case in test.get("promql_expr_test", ()) if case.get("exp_samples")]
    assert any(name in names_in(expression) for expression in found)


def test_recorded_series_looks_back_as_far_as_its_name_says():
    for rule in rules_of("recording"):
        named = re.findall(r"(?:rate|ratio_|_|:)(\d+[mhd])$", rule["record"])
        assert set(re.findall(r"\[(\w+)\]", rule["expr"])) <= set(named), rule


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_has_a_section_for_the_alert(name):
    page = (ROOT / RUNBOOK).read_text()
    assert name.lower() in {heading.lower() for heading in re.findall(r"^#+ (.+?) *$", page, re.M)}


# ------------------------------------------------------------------------------------------ the metrics used

OF_PROMETHEUS = {"up", "ALERTS"}
FROM_SCRAPING = {"job", "instance"}
KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}


@cache
def labels_of_metrics() -> dict[str, set[str]]:
    """Every metric that there is, with its labels: the exporter's from its code, the API's from code and docs."""
    known = {name: {*METRICS[name].labels, *FROM_SCRAPING} for name in NAMES}
    of_api = re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().exposition().decode(), re.M)
    documented = dict(re.findall(r"`([a-z_]+)\{([a-z_,]+)\}`", (ROOT / "docs" / "serving.md").read_text()))
    for name, kind in of_api:
        labels = {*documented.get(name, "").split(","), "pid", *FROM_SCRAPING} - {""}
        series = [f"{name}{end}" for end in ("_bucket", "_sum", "_count")] if kind == "histogram" else [name]
        known |= {each: labels | ({"le"} if each.endswith("_bucket") else set()) for each in series}
    return known


def selectors_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression with the labels in their selectors."""
    text = re.sub(r"\"[^\"]*\"|'[^']*'", '""', expression)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\[[^]]*\]|\boffset\s+\w+", " ", text)
    for found in re.finditer(r"(?<![\w.])([a-zA-Z_:][\w:]*)(\{[^}]*\})?(\s*\()?", text):
        name, matchers, call = found.groups()
        if name not in KEYWORDS and not call:
            yield name, set(re.findall(r"(\w+)\s*[!=]", matchers or ""))


def names_in(expression: str) -> set[str]:
    return {name for name, _ in selectors_in(expression)}


def grouping_labels_in(expression: str) -> set[str]:
    lists = re.findall(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)", expression)
    return {label.strip() for each in lists for label in each.split(",")} - {""}


def expressions_of(rule: dict) -> list[str]:
    """The expressions of a rule: its own, and those in its texts."""
    texts = " ".join(rule.get("annotations", {}).values())
    found = re.findall(r'query "([^"]*)"', texts) + re.findall(r'query \(printf "([^"]*)"', texts)
    assert len(found) == texts.count("query ")
    return [rule["expr"], *found]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_rule_uses_metrics_and_labels_that_exist(rule):
    known = labels_of_metrics()
    for expression in expressions_of(rule):
        found = list(selectors_in(expression))
        assert found or rule["expr"].startswith("vector(")
        for name, labels in found:
            assert name in known or name in RECORDED or name in OF_PROMETHEUS, f"there is no metric {name}"
            assert labels <= known.get(name, {"slo", "data", *FROM_SCRAPING}), f"{name} has no such labels"
        assert grouping_labels_in(expression) <= {"slo", *(label for labels in known.values() for label in labels)}


def test_series_of_the_tests_have_the_labels_of_scrapes():
    known = labels_of_metrics()
    for series in {each["series"] for test in TESTS for each in test["input_series"]}:
        [(name, labels)] = selectors_in(series)
        if name in OF_PROMETHEUS:
            assert labels == FROM_SCRAPING, series
        else:
            assert labels | {"pid", *FROM_SCRAPING} == known[name] | {"pid"}, series


def test_historical_names_are_metrics_or_recorded():
    named = re.findall(r"`(bike_[a-z0-9_]+)[`{]", HISTORICAL)
    assert set(named) - RECORDED - NAMES == set()
    assert len(named) == 18


HISTORICAL = """
`bike_model_r2_champion_current` `bike_model_r2_champion_baseline` `bike_model_r2_challenger_current`
`bike_model_r2_challenger_baseline` `bike_model_rmse_production` `bike_drift_detected` `bike_drift_share`
`bike_drifted_features_count` `bike_training_runs_total{status}` `bike_model_deployments_total{decision}`
`bike_model_improvement_delta` `bike_records_ingested_total` `bike_predictions_generated_total` `bike_prediction_rmse`
`bike_prediction_mae` `bike_prediction_r2` `bike_run_duration_seconds{job}` `bike_model_r2{role,dataset}`
"""


# ------------------------------------------------------------------------------------------------- the secret


def test_address_of_the_channel_is_readable_for_its_owner_only_and_whole(tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text("before")
    path.chmod(0o644)
    render.write(path, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]
    receivers = yaml.safe_load(path.read_text())["receivers"]
    assert [each["discord_configs"][0]["webhook_url"] for each in receivers] == [SECRET] * 3
    assert [each["discord_configs"][0]["send_resolved"] for each in receivers] == [True, True, False]


def test_with_a_channel_only_the_receivers_differ():
    silent, sending = (yaml.safe_load(render.rendered(url)) for url in (None, SECRET))
    assert [each["name"] for each in silent.pop("receivers")] == [each["name"] for each in sending.pop("receivers")]
    assert silent == sending


def test_an_address_cannot_add_to_the_configuration():
    odd = 'http://x.example/"\n    - name: other'
    [one, *_] = yaml.safe_load(render.rendered(odd))["receivers"]
    assert one["discord_configs"][0]["webhook_url"] == odd


def test_nothing_in_the_folder_looks_like_a_channel():
    for file in (path for path in (ROOT / "dashboards").rglob("*") if path.is_file()):
        assert b"/api/webhooks/" not in file.read_bytes(), file
