"""Overview: is everything all right, and what are the forecasts? The other dashboards show each part in depth."""

from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.settings import Settings
from dashboards import looks
from dashboards.fields import Link, Series, Value
from dashboards.layout import APIS, COUNTERS, Section, dashboard
from dashboards.objectives import FRESH_HOURS, OBJECTIVES
from dashboards.panels import bars_panel, figures_panel, lines_panel, linked, states_panel, table_panel
from dashboards.promql import age, errors_of_api, figure, latency, lead, live, of_api, or_zero, requests_of_api

OF_COUNTER = "max by (counter_name, counter_id)"


def overview(settings: Settings) -> grafana.Dashboard:
    """Return the dashboard."""
    sections = [
        Section("At a glance", _at_a_glance(settings)),
        Section("Service levels", _service_levels()),
        Section("Forecasts and counts", _forecasts()),
        Section("The API", _api()),
    ]
    question = "Is the platform all right, and what does it forecast for the next day?"
    return dashboard("bike-overview", "Bikes: Overview", question, sections, settings, (COUNTERS, APIS))


def _at_a_glance(settings: Settings) -> list[grafana.Panel]:
    checks = Link("Assets and their checks", "${dagster}/assets")
    return [
        figures_panel(
            "Champion",
            "Which model serves? Family and version of the champion; its history is under Training & Deployment.",
            Series(figure("bike_model_info", role="champion"), "{{family}} {{version}}"),
            look=looks.NUMBER,
            named=True,
            width=4,
        ),
        figures_panel(
            "R² over 7 days",
            "Are the forecasts good? R² of the champion a day ahead. Below the warning the platform watches it; below "
            "the critical bound a retrain starts by itself.",
            Series(live("r2", "champion"), "champion"),
            look=looks.r2_look(settings),
            width=4,
        ),
        figures_panel(
            "Lead in R²",
            "Is the model worth having? Its R² minus that of the seasonal naive, and minus that of the first champion, "
            "never retrained. Red: the naive, or the first champion, would have been better this week.",
            Series(lead("seasonal_naive"), "naive"),
            Series(lead("first_champion"), "first"),
            look=looks.DIFFERENCE,
            width=6,
        ),
        figures_panel(
            "Share of drifted columns",
            "Have the data drifted? Share of the compared columns in which this week differs from its reference.",
            Series(f"max({figure('bike_drift_share')})", "drift"),
            look=looks.drift_look(settings),
            width=4,
        ),
        figures_panel(
            "Decision of the newest day",
            "What did the retrain matrix decide? ALL_GOOD and WAIT need no action; RETRAIN starts a training.",
            Series(f"{figure('bike_retrain_decision')} == 1", "{{decision}}"),
            look=looks.NUMBER,
            named=True,
            width=6,
        ),
        figures_panel(
            "Age of the counts",
            "How old is the newest whole day of counts? The publisher is a day late, so up to 35 hours are normal.",
            Series(age(f"max({figure('bike_data_end_timestamp_seconds', data='counts')})"), "counts"),
            look=looks.age_look(FRESH_HOURS, 48),
            width=6,
        ),
        linked(
            figures_panel(
                "Failing checks",
                "How many asset checks fail? Training & Deployment lists them.",
                Series(or_zero(f"count({figure('bike_asset_check_passed')} == 0)"), "checks"),
                look=looks.ANY_IS_NOTABLE,
                width=4,
            ),
            checks,
        ),
        figures_panel(
            "Firing alerts",
            "Does an alert fire now? Alertmanager shows which, and sent it to the channel.",
            *(
                Series(f'count(ALERTS{{alertstate="firing",severity="{severity}"}}) or vector(0)', severity)
                for severity in ("critical", "warning")
            ),
            look=looks.ZERO_IS_GOOD,
            width=4,
        ),
        figures_panel(
            "Services that answer",
            "Can Prometheus scrape exporter and API? Without the exporter every other panel is empty or old.",
            Series('min by (job) (up{job=~"bike_exporter|bike_api"})', "{{job}}"),
            look=looks.YES_IS_GOOD,
            width=10,
        ),
    ]


def _service_levels() -> list[grafana.Panel]:
    return [
        bars_panel(
            "Service levels kept",
            "Was each service level kept? The share of the chosen time, or of its requests, that kept the level; red "
            "below its aim.",
            *(Series(objective.kept, objective.name) for objective in OBJECTIVES),
            look=looks.KEPT,
            width=12,
            bounds={objective.name: looks.kept_steps(objective.target) for objective in OBJECTIVES},
        ),
        states_panel(
            "Service levels over time",
            "When was a service level missed, and were several missed at once? The API's are judged by the last hour.",
            *(Series(objective.met, objective.name) for objective in OBJECTIVES),
            look=looks.MET,
        ),
    ]


def _forecasts() -> list[grafana.Panel]:
    counted, forecast, naive = (figure("bike_day_bikes", kind=kind) for kind in ("counted", "forecast", "naive"))
    worst = f"topk(10, abs({OF_COUNTER} ({forecast}) - {OF_COUNTER} ({counted})))"
    return [
        lines_panel(
            "All bikes of the newest day",
            "Was the forecast of the city right? Bikes of all counters on the newest day: counted, forecast the day "
            "before, and by the seasonal naive.",
            Series(f"sum by (kind) ({figure('bike_day_bikes')})", "{{kind}}"),
            look=looks.DAY_OF_BIKES,
        ),
        lines_panel(
            "The chosen counter: $counter",
            "Was the forecast of the chosen counter right? Its bikes on the newest day, beside forecast and naive.",
            Series(f"sum by (kind) ({figure('bike_day_bikes', counter_name='$counter')})", "{{kind}}"),
            look=looks.DAY_OF_BIKES,
        ),
        bars_panel(
            "Busiest counters tomorrow",
            "Where will most bikes pass? The ten highest forecasts for the day after the newest counts.",
            Series(f"topk(10, {OF_COUNTER} ({figure('bike_next_day_bikes')}))", "{{counter_name}}"),
            look=looks.DAY_OF_BIKES,
            width=12,
            height=10,
        ),
        linked(
            table_panel(
                "Largest errors",
                "At which ten counters was the newest day's forecast worst, and was the naive better there?",
                {"counter_name": "Counter", "counter_id": "Id"},
                Value("Counted", f"{OF_COUNTER} ({counted}) and {worst}", looks.DAY_OF_BIKES),
                Value("Forecast", f"{OF_COUNTER} ({forecast}) and {worst}", looks.DAY_OF_BIKES),
                Value("Naive", f"{OF_COUNTER} ({naive}) and {worst}", looks.DAY_OF_BIKES),
                Value("Off by", worst, looks.DAY_OF_BIKES),
                sort="Off by",
                descending=True,
                height=10,
            ),
            Link("The API's page", "${api_page}"),
        ),
    ]


def _api() -> list[grafana.Panel]:
    errors, requests = errors_of_api("$__rate_interval"), requests_of_api("$__rate_interval")
    by_endpoint = f"sum by (endpoint) (rate({of_api('fastapi_requests_total')}[$__rate_interval]))"
    predictions = of_api("bike_api_predictions_total")
    documentation = Link("Every endpoint", "${api_page}/docs")
    return [
        linked(
            lines_panel(
                "Requests",
                "How many requests does the API get, and for what? Requests a second by endpoint.",
                Series(by_endpoint, "{{endpoint}}"),
                look=looks.RATE,
                stacked=True,
                smooth=True,
            ),
            documentation,
        ),
        lines_panel(
            "Latency of forecasts",
            "How long does a forecast take? 50, 95 and 99 % of requests take no longer.",
            *(Series(latency(quantile), f"{quantile:.0%}") for quantile in (0.5, 0.95, 0.99)),
            look=looks.LATENCY,
            smooth=True,
        ),
        lines_panel(
            "Share of errors",
            "Which share of requests is answered with 5xx? Above 10 % there is an alert; a refusal (4xx) is no error.",
            Series(f"{errors} / {requests}", "errors"),
            look=looks.ERROR_SHARE,
            smooth=True,
        ),
        lines_panel(
            "Predictions answered",
            "How many predictions a second does each version make, and how many for counters unknown to it?",
            Series(f"sum by (family, version) (rate({predictions}[$__rate_interval]))", "{{family}} {{version}}"),
            Series(
                f"sum(rate({of_api('bike_api_unknown_counter_predictions_total')}[$__rate_interval]))",
                "for unknown counters",
            ),
            look=looks.RATE,
            smooth=True,
        ),
    ]
