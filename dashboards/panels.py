"""A builder for each kind of panel: figures, lines, bars, states, table. The dashboards define their queries."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from grafana_foundation_sdk.models import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models.prometheus import Dataquery

from dashboards import fields
from dashboards.fields import Link, Override, Series, Value
from dashboards.looks import DECISIONS, REFERENCES, ROLES, Look, Steps

MIN_STEP = "1m"
NEWEST = common.ReduceDataOptions(calcs=["lastNotNull"], fields="", values=False)


def figures_panel(
    title: str, question: str, *series: Series, look: Look, width: int = 4, height: int = 4, named: bool = False
) -> grafana.Panel:
    """Return a panel of big current figures; with `named`, of the series' names instead."""
    several = len(series) > 1 or "{{" in series[0].legend
    shown = common.BigValueTextMode.VALUE_AND_NAME if several else common.BigValueTextMode.VALUE
    options = stat.Options(
        graph_mode=common.BigValueGraphMode.NONE,
        text_mode=common.BigValueTextMode.NAME if named else shown,
        justify_mode=common.BigValueJustifyMode.CENTER,
        reduce_options=NEWEST,
    )
    overrides = fields.fixed_colours(DECISIONS) if named else []
    return _panel(
        "stat", title, question, fields.instant_queries(series), look, options, (width, height), overrides=overrides
    )


def lines_panel(
    title: str,
    question: str,
    *series: Series,
    look: Look,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    smooth: bool = False,
) -> grafana.Panel:
    """Return a panel of lines over time. Daily figures are steps; use `smooth` for others."""
    roles = _roles_in(series)
    bounds = common.GraphThresholdsStyleMode.DASHED if len(look.steps) > 1 else common.GraphThresholdsStyleMode.OFF
    style = timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_interpolation=common.LineInterpolation.LINEAR if smooth else common.LineInterpolation.STEP_AFTER,
        line_width=2,
        fill_opacity=30 if stacked else 0,
        show_points=common.VisibilityMode.NEVER,
        span_nulls=False,
        stacking=common.StackingConfig(common.StackingMode.NORMAL if stacked else common.StackingMode.NONE, "A"),
        thresholds_style=common.GraphThresholdsStyleConfig(bounds),
    )
    options = timeseries.Options(
        legend=fields.legend(),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING),
    )
    return _panel(
        "timeseries",
        title,
        question,
        fields.range_queries(series),
        look,
        options,
        (width, height),
        custom=style,
        colours=grafana.FieldColorModeId.PALETTE_CLASSIC_BY_NAME,
        overrides=fields.fixed_colours(roles) + fields.dashed_lines([role for role in REFERENCES if role in roles]),
    )


def bars_panel(
    title: str,
    question: str,
    *series: Series,
    look: Look,
    width: int = 8,
    height: int = 8,
    coloured: bool = False,
    bounds: Mapping[str, Steps] | None = None,
) -> grafana.Panel:
    """Return a panel with one bar per series, for the current values.

    Args:
        title: title of the panel.
        question: question that it answers.
        series: its series.
        look: look of the bars.
        width: width in columns of the grid, of 24.
        height: height in rows of the grid.
        coloured: colour the bars by the series' name instead of the value.
        bounds: own colour steps, by the series' name.
    """
    options = bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        orientation=common.VizOrientation.HORIZONTAL,
        name_placement=common.BarGaugeNamePlacement.LEFT,
        reduce_options=NEWEST,
        legend=fields.legend(shown=False),
    )
    overrides = fields.fixed_colours(ROLES | DECISIONS) if coloured else []
    overrides += [fields.override(name, thresholds=fields.thresholds(steps)) for name, steps in (bounds or {}).items()]
    return _panel(
        "bargauge", title, question, fields.instant_queries(series), look, options, (width, height), overrides=overrides
    )


def states_panel(
    title: str,
    question: str,
    *series: Series,
    look: Look,
    width: int = 12,
    height: int = 8,
    colours: Mapping[str, str] | None = None,
) -> grafana.Panel:
    """Return a panel with one band per series, in the colours of the look's texts, or in `colours` by name."""
    options = statetimeline.Options(
        show_value=common.VisibilityMode.NEVER,
        legend=fields.legend(shown=False),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.SINGLE, sort=common.SortOrder.NONE),
    )
    by_name = [
        fields.override(name, mappings=fields.value_mappings(look, colour)) for name, colour in (colours or {}).items()
    ]
    return _panel(
        "state-timeline",
        title,
        question,
        fields.range_queries(series),
        look,
        options,
        (width, height),
        custom=statetimeline.FieldConfig(),
        overrides=by_name,
    )


def table_panel(
    title: str,
    question: str,
    labels: Mapping[str, str],
    *values: Value,
    sort: str,
    descending: bool = False,
    links: Mapping[str, Link] | None = None,
    width: int = 12,
    height: int = 9,
) -> grafana.Panel:
    """Return a table with a row for each set of labels, and a column for each label and each value.

    Args:
        title: title of the panel.
        question: question that it answers.
        labels: headings by label.
        values: columns of figures; their expressions have exactly these labels.
        sort: heading of the column to sort by.
        descending: sort from the highest.
        links: links by heading; `${__value.raw}` in an address is the value of the cell.
        width: width in columns of the grid, of 24.
        height: height in rows of the grid.
    """
    sources = [f"Value #{ref}" for ref in ascii_uppercase[: len(values)]] if len(values) > 1 else ["Value"]
    headings = {**labels, **{source: value.heading for source, value in zip(sources, values, strict=True)}}
    panel = _panel(
        "table",
        title,
        question,
        fields.table_queries(values),
        values[0].look,
        table.Options(sort_by=[common.TableSortByFieldState(sort, descending)]),
        (width, height),
        custom=table.FieldConfig(),
        overrides=[fields.column_override(value) for value in values]
        + [fields.override(heading, links=[fields.cell_link(link)]) for heading, link in (links or {}).items()],
    )
    panel.transformations = [
        grafana.DataTransformerConfig("merge", options={}),
        grafana.DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: position for position, name in enumerate(headings)},
                "renameByName": headings,
            },
        ),
    ]
    return panel


def linked(panel: grafana.Panel, *links: Link) -> grafana.Panel:
    """Add links to the title of a panel, and return the panel."""
    panel.links = [fields.panel_link(link) for link in links]
    return panel


def _roles_in(series: Sequence[Series]) -> dict[str, str]:
    """Return the colours of the roles that occur in the queries."""
    legends = {each.legend for each in series}
    return {role: colour for role, colour in ROLES.items() if role in legends or legends & {"{{role}}", "{{kind}}"}}


def _panel(
    kind: str,
    title: str,
    question: str,
    targets: Sequence[Dataquery],
    look: Look,
    options: object,
    size: tuple[int, int],
    *,
    custom: object = None,
    colours: grafana.FieldColorModeId = grafana.FieldColorModeId.THRESHOLDS,
    overrides: Sequence[Override] = (),
) -> grafana.Panel:
    defaults = grafana.FieldConfig(
        unit=look.unit,
        decimals=look.decimals,
        min_val=look.low,
        max_val=look.high,
        mappings=fields.value_mappings(look),
        thresholds=fields.thresholds(look.steps),
        color=grafana.FieldColor(colours),
        no_value=look.empty,
        custom=custom,
    )
    return grafana.Panel(
        type_val=kind,
        title=title,
        description=question,
        targets=list(targets),
        datasource=fields.SOURCE,
        interval=MIN_STEP,
        grid_pos=grafana.GridPos(w=size[0], h=size[1]),
        options=options,
        field_config=grafana.FieldConfigSource(defaults=defaults, overrides=list(overrides)),
    )
