"""Parts of panels: queries, thresholds, value mappings, overrides, links. Whole panels belong to `panels`."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from dashboards.looks import Look, Steps

SOURCE = grafana.DataSourceRef(type_val="prometheus", uid="${datasource}")
Override = grafana.DashboardFieldConfigSourceOverrides


class Series(NamedTuple):
    """An expression, and the name of its series."""

    expr: str
    legend: str = ""


class Value(NamedTuple):
    """A column of figures in a table."""

    heading: str
    expr: str
    look: Look


class Link(NamedTuple):
    """A link of a panel or of a table's cell to a page."""

    title: str
    url: str


def instant_queries(series: Sequence[Series]) -> list[Dataquery]:
    """Return queries of the newest figures."""
    return _targets([each.expr for each in series], PromQueryFormat.TIME_SERIES, True, [each.legend for each in series])


def range_queries(series: Sequence[Series]) -> list[Dataquery]:
    """Return queries of figures over the chosen time range."""
    return _targets(
        [each.expr for each in series], PromQueryFormat.TIME_SERIES, False, [each.legend for each in series]
    )


def table_queries(values: Sequence[Value]) -> list[Dataquery]:
    """Return queries of the newest figures, with labels as columns."""
    return _targets([value.expr for value in values], PromQueryFormat.TABLE, True, [None] * len(values))


def thresholds(steps: Steps) -> grafana.ThresholdsConfig:
    """Return the colours of values, each from its step on."""
    colours = [grafana.Threshold(value=value, color=colour) for value, colour in steps]
    return grafana.ThresholdsConfig(mode=grafana.ThresholdsMode.ABSOLUTE, steps=colours)


def value_mappings(look: Look, colour: str | None = None) -> list[grafana.ValueMapping]:
    """Return the value mappings of a look. `colour`, if given, replaces the colour of all values but 0."""
    results = {
        str(value): grafana.ValueMappingResult(text=text, color=colour if value and colour else own)
        for value, (text, own) in look.texts.items()
    }
    return [grafana.ValueMap(options=results)] if results else []


def legend(shown: bool = True) -> common.VizLegendOptions:
    """Return a legend below the panel, or none."""
    mode = common.LegendDisplayMode.LIST if shown else common.LegendDisplayMode.HIDDEN
    return common.VizLegendOptions(mode, common.LegendPlacement.BOTTOM, show_legend=shown, calcs=[])


def fixed_colours(names: Mapping[str, str]) -> list[Override]:
    """Return the overrides that give each named series its colour."""
    return [
        override(name, color=grafana.FieldColor(grafana.FieldColorModeId.FIXED, colour))
        for name, colour in names.items()
    ]


def dashed_lines(names: Sequence[str]) -> list[Override]:
    """Return the overrides that draw the named lines dashed."""
    return [override(name, **{"custom.lineStyle": common.LineStyle("dash", [8, 6])}) for name in names]


def column_override(value: Value) -> Override:
    """Return the override with the look of a table's column."""
    shown: dict[str, object] = {
        "unit": value.look.unit,
        "thresholds": thresholds(value.look.steps),
        "mappings": value_mappings(value.look),
        "custom.cellOptions": {"type": "color-text"},
    }
    return override(value.heading, **shown | ({} if value.look.decimals is None else {"decimals": value.look.decimals}))


def override(name: str, **properties: object) -> Override:
    """Return the override with properties of a named series or column."""
    values = [grafana.DynamicConfigValue(of, value) for of, value in properties.items()]
    return Override(grafana.MatcherConfig("byName", name), values)


def panel_link(link: Link) -> grafana.DashboardLink:
    """Return a panel's link, which opens in a new tab."""
    link_type = grafana.DashboardLinkType.LINK
    return grafana.DashboardLink(link.title, link_type, icon="external link", url=link.url, target_blank=True)


def cell_link(link: Link) -> dict[str, object]:
    """Return a link of a table's cell, which opens in a new tab."""
    return {"title": link.title, "url": link.url, "targetBlank": True}


def _targets(
    exprs: Sequence[str], form: PromQueryFormat, instant: bool, legends: Sequence[str | None]
) -> list[Dataquery]:
    return [
        Dataquery(
            expr=expr,
            ref_id=ref,
            datasource=SOURCE,
            instant=instant,
            range_val=not instant,
            legend_format=of_series,
            format_val=form,
        )
        for ref, expr, of_series in zip(ascii_uppercase, exprs, legends, strict=False)
    ]
