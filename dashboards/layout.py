"""The common parts of all dashboards: variables, annotations, links, time range, and the panels' grid positions."""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import (
    ConstantVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.settings import Settings
from dashboards.fields import SOURCE
from dashboards.looks import BLUE, GREEN, ORANGE
from dashboards.promql import figure

TAG = "bike-traffic"
COLUMNS = 24
LABEL_VALUES = 1
"""Grafana's number for the query type of label values."""


class Section(NamedTuple):
    """A row's title and its panels, which flow from left to right."""

    title: str
    panels: Sequence[grafana.Panel]


class Event(grafana.AnnotationQuery):
    """An annotation by a Prometheus query, with the fields of Grafana's Prometheus source that the SDK lacks.

    Attributes:
        title: title of the mark; may contain labels.
        value_is_time: whether the query's value is the time of the event, in milliseconds.
    """

    OWN_KEYS = frozenset({"titleFormat", "textFormat", "tagKeys", "useValueForTime"})

    def __init__(self, name: str, expr: str, title: str, colour: str, value_is_time: bool) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=colour, expr=expr)
        self.title, self.value_is_time = title, value_is_time

    def to_json(self) -> dict[str, object]:
        """Return the JSON object for Grafana."""
        own = {
            "titleFormat": self.title,
            "textFormat": "",
            "tagKeys": "decision",
            "useValueForTime": self.value_is_time,
        }
        return super().to_json() | own


class Choice(NamedTuple):
    """A variable with the values of a label."""

    name: str
    label: str
    query: str
    several: bool = False


HOMES = Choice("instance", "Home (its exporter)", "label_values(bike_build_info, instance)")
APIS = Choice("api_instance", "API", "label_values(fastapi_requests_total, instance)")
FAMILIES = Choice("family", "Family", f"label_values({figure('bike_model_family_r2')}, family)", several=True)
COUNTERS = Choice("counter", "Counter", f"label_values({figure('bike_day_bikes')}, counter_name)")


def dashboard(
    uid: str,
    title: str,
    description: str,
    sections: Sequence[Section],
    settings: Settings,
    choices: Sequence[Choice] = (),
) -> grafana.Dashboard:
    """Return a dashboard with the panels of its sections, row by row."""
    built = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone(settings.timezone)
        .week_start("monday")
        .refresh("1m")
        .time("now-30d", "now")
        .tooltip(grafana.DashboardCursorSync.CROSSHAIR)
        .variables([_source(), *(_choice(each) for each in (HOMES, *choices)), *_addresses(settings)])
        .links(_links())
        .build()
    )
    built.annotations = grafana.AnnotationContainer(list(_events()))
    built.panels = _place_panels(sections)
    return built


def _events() -> list[grafana.AnnotationQuery]:
    promoted = f"{figure('bike_deployment_last_timestamp_seconds')} * 1000"
    evaluated = f"{figure('bike_evaluation_last_timestamp_seconds')} * 1000"
    requested = f"{figure('bike_retrain_decision', decision='=~RETRAIN.*|FORCED')} == 1"
    return [
        Event("New champion", promoted, "New champion", GREEN, value_is_time=True),
        Event("Evaluation", evaluated, "Evaluation: {{decision}}", BLUE, value_is_time=True),
        Event("Retrain requested", requested, "{{decision}}", ORANGE, value_is_time=False),
    ]


def _source() -> Builder[grafana.VariableModel]:
    default = grafana.VariableOption(selected=True, text="Prometheus", value="bike-prometheus")
    return DatasourceVariable("datasource").label("Data source").type("prometheus").current(default)


def _choice(choice: Choice) -> Builder[grafana.VariableModel]:
    variable = (
        QueryVariable(choice.name)
        .label(choice.label)
        .query({"query": choice.query, "refId": choice.name, "qryType": LABEL_VALUES})
        .datasource(SOURCE)
        .refresh(grafana.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(grafana.VariableSort.ALPHABETICAL_ASC)
    )
    if not choice.several:
        return variable
    every = grafana.VariableOption(selected=True, text="All", value="$__all")
    return variable.multi(True).include_all(True).current(every)


def _addresses(settings: Settings) -> list[Builder[grafana.VariableModel]]:
    return [
        ConstantVariable("dagster").label("Address of Dagster's pages").value(settings.dagster_address),
        ConstantVariable("mlflow").label("Address of MLflow's pages").value(settings.mlflow_address),
        ConstantVariable("api_page").label("Address of the API's page").value(settings.api_address),
    ]


def _links() -> list[Builder[grafana.DashboardLink]]:
    others = DashboardLink("Dashboards").type(grafana.DashboardLinkType.DASHBOARDS).tags([TAG])
    pages = [("Dagster", "${dagster}"), ("MLflow", "${mlflow}/#/models/bike-traffic"), ("API", "${api_page}")]
    return [
        others.include_vars(True).keep_time(True),
        *(
            DashboardLink(title).type(grafana.DashboardLinkType.LINK).icon("external link").url(url).target_blank(True)
            for title, url in pages
        ),
    ]


def _place_panels(sections: Sequence[Section]) -> list[grafana.Panel | grafana.RowPanel]:
    placed: list[grafana.Panel | grafana.RowPanel] = []
    top = 0
    for section in sections:
        position = grafana.GridPos(h=1, w=COLUMNS, x=0, y=top)
        placed.append(grafana.RowPanel(title=section.title, id_val=len(placed) + 1, grid_pos=position))
        left, top, tallest = 0, top + 1, 0
        for panel in section.panels:
            size = panel.grid_pos or grafana.GridPos()
            if left + size.w > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            panel.id_val, panel.grid_pos = len(placed) + 1, grafana.GridPos(h=size.h, w=size.w, x=left, y=top)
            placed.append(panel)
            left, tallest = left + size.w, max(tallest, size.h)
        top += tallest
    return placed
