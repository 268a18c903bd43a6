"""Drift Monitoring: have the data drifted, is the city or the publisher the cause, and does the model cope?"""

from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.core.drift import MIN_CURRENT_ROWS
from bike_assets.settings import Settings
from dashboards import looks
from dashboards.fields import Ask, Link
from dashboards.frame import Section, dashboard
from dashboards.looks import Look
from dashboards.panels import bars_panel, figures_panel, lines_panel, linked, states_panel
from dashboards.promql import age, figure, live, or_zero


def drift_monitoring(settings: Settings) -> grafana.Dashboard:
    """Return the dashboard."""
    sections = [
        Section("The newest week", _newest_week(settings)),
        Section("Over time", _over_time(settings)),
        Section("Counters and what the publisher sends", _published()),
    ]
    question = "Have the data moved, is it the city or the publisher, and does the model cope with it?"
    return dashboard("bike-drift", "Bikes: Drift Monitoring", question, sections, settings)


def _newest_week(settings: Settings) -> list[grafana.Panel]:
    report = Link("The report, linked on drift_report", "${dagster}/assets/drift_report")
    return [
        linked(
            figures_panel(
                "Drift share now",
                "How much of what is compared has moved? From the warning on a healthy model is watched; from the "
                "critical bound on a weak one is retrained.",
                Ask(f"avg({figure('bike_drift_share')})", "share"),
                look=looks.drift_look(settings),
                width=6,
            ),
            report,
        ),
        figures_panel(
            "Drifted columns",
            "How many of the compared columns have drifted?",
            Ask(f"max({figure('bike_drift_drifted_columns')})", "drifted"),
            Ask(f"max({figure('bike_drift_checked_columns')})", "compared"),
            look=looks.NUMBER,
            width=6,
        ),
        figures_panel(
            "Enough data",
            f"Is there enough to speak of drift? Below {MIN_CURRENT_ROWS:,} rows in the week the share is unknown: "
            "counters are silent, or the publisher is late.",
            Ask(f"max({figure('bike_drift_enough_data')})", "enough"),
            look=looks.YES_IS_GOOD,
            width=5,
        ),
        figures_panel(
            "New and vanished counters",
            "Did counters come or go? A new one can be forecast, and learned from at the next training.",
            Ask(f"max({figure('bike_drift_new_counters')})", "new"),
            Ask(f"max({figure('bike_drift_vanished_counters')})", "vanished"),
            look=looks.ANY_IS_NEWS,
            width=7,
        ),
    ]


def _over_time(settings: Settings) -> list[grafana.Panel]:
    drifted = f"count({figure('bike_drift_column_drifted')})"
    decision = Link("retrain_decision in Dagster", "${dagster}/assets/retrain_decision")
    return [
        lines_panel(
            "Drift share over time",
            "Did the data move suddenly, as with a scenario, or slowly, as with a season?",
            Ask(figure("bike_drift_share"), "drift share"),
            look=looks.drift_look(settings),
        ),
        linked(
            lines_panel(
                "Drift beside R²",
                "Does the model cope with what has moved? The two figures of the retrain matrix: drift that rises "
                "while R² stays needs nobody, drift that rises while R² falls leads to a retrain.",
                Ask(figure("bike_drift_share"), "drift share"),
                Ask(live("r2", "champion"), "champion"),
                Ask(live("r2", "seasonal_naive"), "seasonal_naive"),
                Ask(live("r2", "first_champion"), "first_champion"),
                look=Look("none", 2, high=1),
            ),
            decision,
        ),
        states_panel(
            "Which columns have drifted",
            "What moved, and since when? Counts and errors of the model point to the city, a single feature to a "
            "fault.",
            Ask(figure("bike_drift_column_drifted"), "{{column}}"),
            Ask(f"({or_zero(drifted)}) == bool 0", "no column"),
            Ask(f"max({figure('bike_drift_detected')})", "share at the warning"),
            look=looks.DRIFTED,
            colours={"no column": looks.GREEN},
        ),
        lines_panel(
            "Rows compared",
            "On how much does the share rest? Rows of the week and of its reference, and the least that is enough.",
            Ask(figure("bike_drift_rows"), "{{sample}}"),
            look=Look("short", steps=((None, looks.RED), (MIN_CURRENT_ROWS, looks.GREEN)), low=0),
        ),
        states_panel(
            "What was decided",
            "What followed from drift and R², day by day? A retrain that is held back waits for a cooldown.",
            Ask(figure("bike_retrain_decision"), "{{decision}}"),
            Ask(f"max({figure('bike_retrain_held')})", "held back"),
            look=looks.IN_FORCE,
            colours=looks.DECISIONS,
        ),
        bars_panel(
            "Days by decision",
            "How often was there anything to do? All days of this home by what was decided of them.",
            Ask(figure("bike_retrain_decisions_total"), "{{decision}}"),
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
            "Do counters fall silent? Active, new, silent and gone ones.",
            Ask(figure("bike_counters"), "{{state}}"),
            look=looks.NUMBER,
            stacked=True,
        ),
        lines_panel(
            "Age of the data",
            "Is anything late: counts, weather, or the forecasts made of them? The end of the newest day of each.",
            Ask(age(figure("bike_data_end_timestamp_seconds")), "{{data}}"),
            look=looks.age_look(36, 60),
            smooth=True,
        ),
        linked(
            lines_panel(
                "Rows that came in a day",
                "Does the publisher send as much as usual? Counts added within the last 24 hours.",
                Ask(f"increase({figure('bike_rows_ingested_total')}[1d])", "added"),
                look=looks.ROWS,
                width=8,
            ),
            asset,
        ),
        lines_panel(
            "Rows that changed a day",
            "Does the publisher correct the past, take counts back, or send outliers? Within the last 24 hours.",
            Ask(f"increase({figure('bike_rows_corrected_total')}[1d])", "corrected"),
            Ask(f"increase({figure('bike_rows_withdrawn_total')}[1d])", "withdrawn"),
            Ask(f"increase({figure('bike_rows_outlying_total')}[1d])", "outliers"),
            look=looks.ROWS,
            width=8,
        ),
        lines_panel(
            "Rows left out a day",
            "Are there rows that cannot be used, or days that cannot be read? Within the last 24 hours; a row that is "
            "read again counts again.",
            Ask(f"increase({figure('bike_rows_rejected_total')}[1d])", "{{problem}}"),
            Ask(f"increase({figure('bike_readings_total', outcome='unread')}[1d])", "whole days, unread"),
            look=looks.ROWS,
            width=8,
        ),
    ]
