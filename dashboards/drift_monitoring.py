"""Drift Monitoring: have the data drifted, is the city or the publisher the cause, and does the model cope?"""

from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.core.drift import MIN_CURRENT_ROWS
from bike_assets.settings import Settings
from dashboards import looks
from dashboards.fields import Link, Series
from dashboards.layout import Section, dashboard
from dashboards.looks import Look
from dashboards.panels import bars_panel, figures_panel, lines_panel, linked, states_panel
from dashboards.promql import age, figure, live, or_zero


def drift_monitoring(settings: Settings) -> grafana.Dashboard:
    """Return the dashboard."""
    sections = [
        Section("The newest week", _newest_week(settings)),
        Section("Over time", _over_time(settings)),
        Section("Counters and published rows", _published()),
    ]
    question = "Have the data drifted, is the city or the publisher the cause, and does the model cope?"
    return dashboard("bike-drift", "Bikes: Drift Monitoring", question, sections, settings)


def _newest_week(settings: Settings) -> list[grafana.Panel]:
    report = Link("The report, linked on drift_report", "${dagster}/assets/drift_report")
    return [
        linked(
            figures_panel(
                "Drift share now",
                "Which share of the compared columns has drifted? Above the warning, a healthy model waits. Above the "
                "critical bound, a weak model is retrained.",
                Series(f"avg({figure('bike_drift_share')})", "share"),
                look=looks.drift_look(settings),
                width=6,
            ),
            report,
        ),
        figures_panel(
            "Drifted columns",
            "How many of the compared columns have drifted?",
            Series(f"max({figure('bike_drift_drifted_columns')})", "drifted"),
            Series(f"max({figure('bike_drift_checked_columns')})", "compared"),
            look=looks.NUMBER,
            width=6,
        ),
        figures_panel(
            "Enough data",
            f"Is there enough data for a drift share? Below {MIN_CURRENT_ROWS:,} rows in the week the share is "
            "unknown: counters are silent, or the publisher is late.",
            Series(f"max({figure('bike_drift_enough_data')})", "enough"),
            look=looks.YES_IS_GOOD,
            width=5,
        ),
        figures_panel(
            "New and vanished counters",
            "Are there new or vanished counters? A new one gets forecasts; the next training learns from it.",
            Series(f"max({figure('bike_drift_new_counters')})", "new"),
            Series(f"max({figure('bike_drift_vanished_counters')})", "vanished"),
            look=looks.ANY_IS_NOTABLE,
            width=7,
        ),
    ]


def _over_time(settings: Settings) -> list[grafana.Panel]:
    drifted = f"count({figure('bike_drift_column_drifted')})"
    decision = Link("retrain_decision in Dagster", "${dagster}/assets/retrain_decision")
    return [
        lines_panel(
            "Drift share over time",
            "Did the data drift suddenly, as after an event, or slowly, as with a season?",
            Series(figure("bike_drift_share"), "drift share"),
            look=looks.drift_look(settings),
        ),
        linked(
            lines_panel(
                "Drift beside R²",
                "Does the model cope with the drift? Both figures of the retrain matrix: drift that rises while R² "
                "stays needs no action; drift that rises while R² falls leads to a retrain.",
                Series(figure("bike_drift_share"), "drift share"),
                Series(live("r2", "champion"), "champion"),
                Series(live("r2", "seasonal_naive"), "seasonal_naive"),
                Series(live("r2", "first_champion"), "first_champion"),
                look=Look("none", 2, high=1),
            ),
            decision,
        ),
        states_panel(
            "Which columns have drifted",
            "What drifted, and since when? Counts and errors of the model point to the city, a single feature to a "
            "fault.",
            Series(figure("bike_drift_column_drifted"), "{{column}}"),
            Series(f"({or_zero(drifted)}) == bool 0", "no column"),
            Series(f"max({figure('bike_drift_detected')})", "share at the warning"),
            look=looks.DRIFTED,
            colours={"no column": looks.GREEN},
        ),
        lines_panel(
            "Rows compared",
            "How many rows is the share computed from? Rows of the week and of its reference, and the minimum.",
            Series(figure("bike_drift_rows"), "{{sample}}"),
            look=Look("short", steps=((None, looks.RED), (MIN_CURRENT_ROWS, looks.GREEN)), low=0),
        ),
        states_panel(
            "Decisions by day",
            "What did the matrix decide from drift and R² on each day? A held retrain waits for a cooldown.",
            Series(figure("bike_retrain_decision"), "{{decision}}"),
            Series(f"max({figure('bike_retrain_held')})", "held"),
            look=looks.IN_FORCE,
            colours=looks.DECISIONS,
        ),
        bars_panel(
            "Number of days by decision",
            "How often was action needed? All days of this home by their decision.",
            Series(figure("bike_retrain_decisions_total"), "{{decision}}"),
            look=looks.NUMBER,
            width=12,
            coloured=True,
        ),
    ]


def _published() -> list[grafana.Panel]:
    asset = Link("raw_counts in Dagster", "${dagster}/assets/raw_counts")
    return [
        lines_panel(
            "Counters by state",
            "Do counters become silent? Number of active, new, silent and gone counters.",
            Series(figure("bike_counters"), "{{state}}"),
            look=looks.NUMBER,
            stacked=True,
        ),
        lines_panel(
            "Age of the data",
            "Is anything late: counts, weather or forecasts? Time since the end of the newest day of each.",
            Series(age(figure("bike_data_end_timestamp_seconds")), "{{data}}"),
            look=looks.age_look(36, 60),
            smooth=True,
        ),
        linked(
            lines_panel(
                "Rows added per day",
                "Does the publisher send as much as usual? Counts added within the last 24 hours.",
                Series(f"increase({figure('bike_rows_ingested_total')}[1d])", "added"),
                look=looks.ROWS,
                width=8,
            ),
            asset,
        ),
        lines_panel(
            "Rows changed per day",
            "Does the publisher correct or withdraw counts, or send outliers? Within the last 24 hours.",
            Series(f"increase({figure('bike_rows_corrected_total')}[1d])", "corrected"),
            Series(f"increase({figure('bike_rows_withdrawn_total')}[1d])", "withdrawn"),
            Series(f"increase({figure('bike_rows_outlying_total')}[1d])", "outliers"),
            look=looks.ROWS,
            width=8,
        ),
        lines_panel(
            "Rows left out per day",
            "Are there unusable rows, or days that cannot be read? Within the last 24 hours; a row counts at each "
            "reading.",
            Series(f"increase({figure('bike_rows_rejected_total')}[1d])", "{{problem}}"),
            Series(f"increase({figure('bike_readings_total', outcome='unread')}[1d])", "whole days, unread"),
            look=looks.ROWS,
            width=8,
        ),
    ]
