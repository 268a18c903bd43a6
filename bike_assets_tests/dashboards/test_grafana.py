import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from bike_assets.exporter.names import NAMES
from bike_assets.settings import Settings
from bike_assets_tests.dashboards.grafana_schema import faults_of
from bike_assets_tests.dashboards.promql_names import (
    API_METRICS,
    LABELS_OF,
    exposed_by_api,
    is_possible,
    labels_left,
    matchers_in,
    metrics_in,
)
from dashboards import annotation_queries, may_be_empty, queries
from dashboards.committed import FOLDER, committed_dashboards, panels_of
from dashboards.generate import COMMAND, dashboards_of, files_of, stale_files, write
from dashboards.layout import COLUMNS, Event

UIDS = ["bike-drift", "bike-model-performance", "bike-overview", "bike-training"]
GRAFANA_VARIABLES = {"__range", "__interval", "__rate_interval", "__value"}
DASHBOARDS = committed_dashboards()
PANELS = [
    pytest.param(panel, id=f"{dashboard['uid']}: {panel['title']}")
    for dashboard in DASHBOARDS
    for panel in panels_of(dashboard)
]
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["uid"])
each_panel = pytest.mark.parametrize("panel", PANELS)


def exprs_of(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def texts_in(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [text for value in part.values() for text in texts_in(value)]
    if isinstance(part, list):
        return [text for value in part for text in texts_in(value)]
    return [part] if isinstance(part, str) else []


def plain(dashboard: Dashboard) -> dict[str, Any]:
    return json.loads(json.dumps(dashboard, cls=JSONEncoder))


def test_the_committed_json_is_up_to_date() -> None:
    stale = stale_files(Settings())
    assert not stale, f"{', '.join(stale)} are not up to date: run {COMMAND} and commit its files"


def test_changed_missing_and_extra_files_are_found_and_repaired(tmp_path: Path) -> None:
    assert write(Settings(), tmp_path) == [f"{uid}.json" for uid in UIDS]
    (tmp_path / "bike-drift.json").write_text("{}")
    (tmp_path / "bike-overview.json").unlink()
    (tmp_path / "of-old.json").write_text("{}")
    assert stale_files(Settings(), tmp_path) == ["bike-drift.json", "bike-overview.json", "of-old.json"]
    write(Settings(), tmp_path)
    assert stale_files(Settings(), tmp_path) == []


def test_bounds_addresses_and_time_zone_are_those_of_the_settings() -> None:
    other = Settings(
        r2_critical=0.5, r2_warning=0.8, rmse_limit=99, timezone="Europe/Lisbon", dagster_port=3333, host="0.0.0.0"
    )
    overview = plain(dashboards_of(other)[0])
    steps = next(panel for panel in overview["panels"] if panel["title"] == "R² over 7 days")["fieldConfig"]
    assert [step["value"] for step in steps["defaults"]["thresholds"]["steps"]] == [None, 0.5, 0.8]
    assert overview["timezone"] == "Europe/Lisbon"
    variables = {variable["name"]: variable for variable in overview["templating"]["list"]}
    assert variables["dagster"]["query"] == "http://0.0.0.0:3333"
    assert '"value": 99' in files_of(other)["bike-model-performance.json"]


@each_dashboard
def test_the_sdk_reads_back_what_was_written(dashboard: dict[str, Any]) -> None:
    own = [{key: note[key] for key in Event.OWN_KEYS} for note in dashboard["annotations"]["list"]]
    assert all(note["titleFormat"] for note in own), "these keys are Grafana's, and the SDK drops them"
    notes = [
        {key: value for key, value in note.items() if key not in Event.OWN_KEYS}
        for note in dashboard["annotations"]["list"]
    ]
    known_to_sdk = {**dashboard, "annotations": {"list": notes}}
    assert plain(Dashboard.from_json(known_to_sdk)) == known_to_sdk


@each_dashboard
def test_grafana_knows_every_panel_and_every_key(dashboard: dict[str, Any]) -> None:
    assert faults_of(dashboard) == []


def test_the_schema_check_finds_unknown_keys_and_panels() -> None:
    def faults(change: str, value: Any, *path: str | int) -> list[str]:
        dashboard: Any = json.loads(json.dumps(DASHBOARDS[0]))
        part = dashboard["panels"][1]
        for step in path:
            part = part[step]
        part[change] = value
        return faults_of(dashboard)

    title = DASHBOARDS[0]["panels"][1]["title"]
    assert faults("type", "piechrat") == [f"{title}: no such panel as piechrat"]
    assert faults("grid_pos", {}) == [f"{title}: no such key as grid_pos"]
    assert faults("exprs", "up", "targets", 0) == [f"{title}: query: no such key as exprs"]
    assert faults("colour", "red", "options") == [f"{title}: options: no such key as colour"]
    assert faults("unitt", "s", "fieldConfig", "defaults") == [f"{title}: field: no such key as unitt"]


def test_there_are_four_dashboards_with_their_uids() -> None:
    assert [dashboard["uid"] for dashboard in DASHBOARDS] == UIDS
    for dashboard in DASHBOARDS:
        assert dashboard["timezone"] == "Europe/Paris"
        assert dashboard["refresh"] == "1m"
        assert dashboard["time"] == {"from": "now-30d", "to": "now"}
        assert dashboard["schemaVersion"] == 41, "that of Grafana 11.6"
        assert not {"id", "version"} & dashboard.keys(), "what Grafana counts up itself has no place in a file"


def test_at_least_fifty_panels_have_queries_of_their_own() -> None:
    queried = Counter(frozenset(exprs_of(panel.values[0])) for panel in PANELS)
    assert len(queried) >= 50
    assert [exprs for exprs, number in queried.items() if number > 1] == []


@each_dashboard
def test_panels_do_not_overlap_and_have_unique_titles_and_ids(dashboard: dict[str, Any]) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["w"] > 0
        assert at["x"] + at["w"] <= COLUMNS
        cells.update((at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"]))
    assert max(cells.values()) == 1
    titles = [panel["title"] for panel in dashboard["panels"]]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)
    assert len(set(numbers)) == len(numbers)


@each_panel
def test_a_panel_has_a_question_and_a_unit(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    known = {value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str)}
    assert "?" in panel["description"]
    assert unit in known or re.fullmatch(r"suffix:\S+", unit)
    assert panel["targets"]
    assert all(panel["datasource"] == target["datasource"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_known_metrics_are_those_of_exporter_and_api() -> None:
    assert set(API_METRICS) == exposed_by_api()
    assert LABELS_OF.keys() > NAMES
    assert metrics_in('time() - max by (job) (bike_runs_totl{job="daily"}[1h]) > bool 2 or up') == {
        "bike_runs_totl",
        "up",
    }


@each_panel
def test_a_panel_queries_metrics_and_labels_that_exist(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        metrics = metrics_in(target["expr"])
        assert metrics <= LABELS_OF.keys()
        assert [matcher for matcher in matchers_in(target["expr"]) if not is_possible(matcher)] == []
        assert set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))) <= labels_left(target["expr"])


def test_a_misspelt_label_or_value_is_found() -> None:
    wrong = 'bike_model_r2{rolle="champion"} + bike_model_r2{role="chamipon"} + bike_counters{state=~"active|old"}'
    assert [matcher.value for matcher in matchers_in(wrong) if not is_possible(matcher)] == [
        "champion",
        "chamipon",
        "active|old",
    ]


def test_annotations_and_variables_query_metrics_that_exist() -> None:
    for query in annotation_queries():
        assert metrics_in(query.expr) <= LABELS_OF.keys()
        assert all(is_possible(matcher) for matcher in matchers_in(query.expr))
    for dashboard in DASHBOARDS:
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(
                    r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"]["query"]
                ).groups()
                assert label in LABELS_OF[metric]


def test_promtool_accepts_every_query(promtool: str, tmp_path: Path) -> None:
    queried = [*queries(), *annotation_queries()]
    rules = [{"record": f"query_{number}", "expr": query.expr} for number, query in enumerate(queried)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(queried)} rules found" in checked.stdout


def test_queries_are_complete_and_plain_promql() -> None:
    queried = queries()
    assert len(queried) == sum(len(panel.values[0]["targets"]) for panel in PANELS)
    assert [query for query in queried if "$" in query.expr] == []
    assert {query.dashboard for query in queried} == {dashboard["title"] for dashboard in DASHBOARDS}
    assert sum(may_be_empty(query.expr) for query in queried) < len(queried) / 10


@each_dashboard
def test_every_variable_is_defined_and_used(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    queried = [dashboard["panels"], dashboard["links"], dashboard["annotations"]]
    used = {name for text in texts_in(queried) for name in re.findall(r"\$\{?(\w+)", text)}
    assert used - GRAFANA_VARIABLES <= variables.keys()
    choices = {name for name, variable in variables.items() if variable["type"] == "query"}
    assert choices <= used
    addresses = {name: variable["query"] for name, variable in variables.items() if variable["type"] == "constant"}
    assert addresses == {
        "dagster": "http://127.0.0.1:3000",
        "mlflow": "http://127.0.0.1:5000",
        "api_page": "http://127.0.0.1:8000",
    }


@each_dashboard
def test_a_dashboard_links_to_the_others_dagster_mlflow_and_the_api(dashboard: dict[str, Any]) -> None:
    others, *pages = dashboard["links"]
    assert others["type"] == "dashboards"
    assert set(others["tags"]) <= set(dashboard["tags"])
    assert [page["url"] for page in pages] == ["${dagster}", "${mlflow}/#/models/bike-traffic", "${api_page}"]


@each_dashboard
def test_promotions_evaluations_and_retrains_are_marked(dashboard: dict[str, Any]) -> None:
    marks = {note["name"]: note for note in dashboard["annotations"]["list"]}
    assert marks.keys() == {"New champion", "Evaluation", "Retrain requested"}
    for note in marks.values():
        assert note["useValueForTime"] == note["expr"].endswith("* 1000"), "Grafana's times are milliseconds"


def test_every_figure_of_the_champion_has_its_references() -> None:
    model = next(dashboard for dashboard in DASHBOARDS if dashboard["uid"] == "bike-model-performance")
    for panel in panels_of(model):
        queried = " ".join(exprs_of(panel))
        if "bike_model_r2" not in queried and "bike_model_rmse" not in queried:
            continue
        all_roles = any(not re.search(r"role=", expr) for expr in exprs_of(panel) if "bike_model_" in expr)
        assert all_roles or "seasonal_naive" in queried, panel["title"]
        assert all_roles or "first_champion" in queried or 'dataset="current"' in queried, panel["title"]


def test_the_five_service_levels_are_on_one_panel() -> None:
    overview = next(dashboard for dashboard in DASHBOARDS if dashboard["uid"] == "bike-overview")
    levels = next(panel for panel in panels_of(overview) if panel["title"] == "Service levels kept")
    queried = " ".join(exprs_of(levels))
    assert len(levels["targets"]) == 5
    for part in ('data="counts"', 'data="forecasts"', "fastapi_errors_total", 'le="0.1"', 'name="r2_warning"'):
        assert part in queried
    names = {target["legendFormat"] for target in levels["targets"]}
    assert names == {override["matcher"]["options"] for override in levels["fieldConfig"]["overrides"]}


def test_provisioning_names_the_datasource_and_has_a_default_for_all_it_reads() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (FOLDER / "provisioning").rglob("*.yml")]
    defaults = dict(
        line.split("=", 1) for line in (FOLDER / "grafana.env").read_text().splitlines() if not line.startswith("#")
    )
    assert {name for text in texts for name in re.findall(r"\$\{(\w+)\}", text)} == defaults.keys()
    read = {name: part for text in texts for name, part in yaml.safe_load(text).items()}
    (source,), (provider,) = read["datasources"], read["providers"]
    assert provider["options"]["path"] == "${BIKE_GRAFANA_DASHBOARDS}"
    for dashboard in DASHBOARDS:
        chosen = next(each for each in dashboard["templating"]["list"] if each["type"] == "datasource")
        assert (chosen["query"], chosen["current"]["value"]) == (source["type"], source["uid"])
