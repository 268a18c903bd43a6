"""Model Performance: the champion's scores, always beside the seasonal naive and the first champion."""

from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.settings import Settings
from dashboards import looks
from dashboards.fields import Link, Series, Value
from dashboards.layout import COUNTERS, FAMILIES, Section, dashboard
from dashboards.looks import Look
from dashboards.panels import bars_panel, figures_panel, lines_panel, linked, table_panel
from dashboards.promql import figure, lead, live

COMPARED_ROLES = ("champion", "issued", "seasonal_naive", "first_champion")
COMPARISON = "Beside it: the issued forecasts, the seasonal naive, and the first champion, never retrained."
ROLE_AND_HORIZON = {"role": "Forecast by", "horizon_days": "Days ahead"}


def model_performance(settings: Settings) -> grafana.Dashboard:
    """Return the dashboard."""
    sections = [
        Section("The newest 7 days, a day ahead", _live(settings)),
        Section("One, two and three days ahead", _by_horizon(settings)),
        Section("The newest double evaluation", _evaluated(settings)),
        Section("Families", _families(settings)),
        Section("Counters", _counters()),
    ]
    question = "How good is the champion, and would a simple rule or an older model have been as good?"
    choices = (FAMILIES, COUNTERS)
    return dashboard("bike-model-performance", "Bikes: Model Performance", question, sections, settings, choices)


def _live(settings: Settings) -> list[grafana.Panel]:
    a_day_ahead = {"dataset": "live", "horizon_days": "1"}
    asset = Link("champion_performance in Dagster", "${dagster}/assets/champion_performance")
    return [
        figures_panel(
            "R² of the week",
            f"How much of the variation did the champion predict? {COMPARISON}",
            *(Series(live("r2", role), role) for role in COMPARED_ROLES),
            look=looks.r2_look(settings),
            width=10,
        ),
        figures_panel(
            "RMSE of the week",
            f"How many bikes an hour is the champion off? Large errors weigh more. {COMPARISON}",
            *(Series(live("rmse", role), role) for role in COMPARED_ROLES),
            look=looks.rmse_look(settings),
            width=10,
        ),
        figures_panel(
            "Days behind the naive",
            "For how many days in a row was the champion worse than the seasonal naive? Red from the number in the "
            "settings on.",
            Series(f"max({figure('bike_behind_naive_streak')})", "days"),
            look=looks.streak_look(settings),
            width=4,
        ),
        linked(
            lines_panel(
                "R² over time",
                f"Does the champion stay good as the city changes? {COMPARISON}",
                Series(figure("bike_model_r2", **a_day_ahead), "{{role}}"),
                look=looks.r2_look(settings),
            ),
            asset,
        ),
        lines_panel(
            "RMSE over time",
            f"Does the error stay below its limit? {COMPARISON}",
            Series(figure("bike_model_rmse", **a_day_ahead), "{{role}}"),
            look=looks.rmse_look(settings),
        ),
        lines_panel(
            "Lead over the references",
            "Is the model worth having, and is retraining it? R² of the champion minus that of the seasonal naive, and "
            "minus that of the first champion. Around zero nothing was gained; below zero forecasts got worse.",
            *(Series(lead(role), role) for role in ("seasonal_naive", "first_champion")),
            Series(lead("seasonal_naive", 3), "seasonal_naive, 3 days ahead"),
            look=looks.DIFFERENCE,
        ),
        lines_panel(
            "Rows scored",
            "Are there enough forecasts with counts? Below the minimum in the settings, nothing is decided.",
            Series(figure("bike_model_scored_rows", role="champion", dataset="live"), "{{horizon_days}} days ahead"),
            look=Look("short", steps=((None, looks.RED), (settings.min_scored_rows, looks.GREEN)), low=0),
        ),
    ]


def _by_horizon(settings: Settings) -> list[grafana.Panel]:
    return [
        table_panel(
            "Error by horizon",
            "How much worse is a forecast three days ahead than one for tomorrow, and is it still better than the "
            "naive and the first champion?",
            ROLE_AND_HORIZON,
            *(
                Value(heading, f"max by (role, horizon_days) ({figure(metric, dataset='live')})", look)
                for heading, metric, look in (
                    ("R²", "bike_model_r2", looks.r2_look(settings)),
                    ("RMSE", "bike_model_rmse", looks.rmse_look(settings)),
                    ("Mean error", "bike_model_mae", looks.ERROR),
                    ("Rows", "bike_model_scored_rows", looks.ROWS),
                )
            ),
            sort="Days ahead",
            width=12,
            height=9,
        ),
        lines_panel(
            "Error growing with the horizon",
            "What does a longer horizon cost? RMSE two and three days ahead, as a multiple of that for tomorrow.",
            *(
                Series(f"{live('rmse', role, days)} / {live('rmse', role)}", f"{role}, {days} days")
                for role in ("champion", "seasonal_naive", "first_champion")
                for days in (2, 3)
            ),
            look=Look("suffix:times", 2, low=0.5),
            width=12,
            height=9,
        ),
    ]


def _evaluated(settings: Settings) -> list[grafana.Panel]:
    asset = Link("double_evaluation in Dagster", "${dagster}/assets/double_evaluation")
    return [
        linked(
            bars_panel(
                "R² on the frozen test set",
                "Is a challenger worse on older data? R² on test_baseline; below the floor a challenger is rejected.",
                Series(figure("bike_model_r2", dataset="baseline"), "{{role}}"),
                look=looks.baseline_look(settings),
                width=12,
            ),
            asset,
        ),
        bars_panel(
            "R² on the fresh test set",
            "Which model is best on the newest weeks? R² on test_current, without the first champion: its score was "
            "measured on other rows. Compare it over the newest 7 days.",
            Series(figure("bike_model_r2", dataset="current"), "{{role}}"),
            look=Look("none", 3, low=0, high=1),
            coloured=True,
            width=12,
        ),
    ]


def _families(settings: Settings) -> list[grafana.Panel]:
    models = Link("All versions in MLflow", "${mlflow}/#/models/bike-traffic")
    references = figure("bike_model_r2", role="=~seasonal_naive|first_champion", dataset="baseline")
    naive = figure("bike_model_r2", role="seasonal_naive", dataset="current")

    def of_family(metric: str, dataset: str) -> str:
        return figure(metric, family="=~$family", dataset=dataset)

    return [
        linked(
            bars_panel(
                "Families on the frozen test set",
                "Which kind of model is best on older data? The newest version of each, beside the "
                "naive and the first champion.",
                Series(of_family("bike_model_family_r2", "baseline"), "{{family}}"),
                Series(references, "{{role}}"),
                look=looks.baseline_look(settings),
            ),
            models,
        ),
        bars_panel(
            "Families on the fresh test set",
            "Which kind of model is best now? The newest version of each, measured at its training, beside the naive.",
            Series(of_family("bike_model_family_r2", "current"), "{{family}}"),
            Series(naive, "{{role}}"),
            look=looks.r2_look(settings),
        ),
        lines_panel(
            "RMSE of the families over time",
            "Do the families get better from training to training? RMSE on the fresh test set, beside the naive's.",
            Series(of_family("bike_model_family_rmse", "current"), "{{family}}"),
            Series(figure("bike_model_rmse", role="seasonal_naive", dataset="current"), "{{role}}"),
            look=looks.ERROR,
            width=8,
        ),
    ]


def _counters() -> list[grafana.Panel]:
    chosen = {
        kind: figure("bike_day_bikes", counter_name="$counter", kind=kind) for kind in ("counted", "forecast", "naive")
    }
    every = {kind: figure("bike_day_bikes", kind=kind) for kind in chosen}

    def deviation(of: dict[str, str], kind: str) -> str:
        both = f"sum({of['counted']} and on (counter_id) {of[kind]})"
        return f"sum({of[kind]}) / {both} - 1"

    return [
        lines_panel(
            "All counters: too high or too low",
            "Are the forecasts of whole days too high or too low for the city? Forecast bikes against counted bikes.",
            *(Series(deviation(every, kind), kind) for kind in ("forecast", "naive")),
            look=looks.SHARE_OFF,
        ),
        lines_panel(
            "$counter: too high or too low",
            "Are the forecasts of this counter always too high or always too low? Then something changed there: a "
            "lane, a building site, the counter itself.",
            *(Series(deviation(chosen, kind), kind) for kind in ("forecast", "naive")),
            look=looks.SHARE_OFF,
        ),
    ]
