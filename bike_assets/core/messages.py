"""What people are told of models and runs: a title, a sentence, figures. Pure functions over rows of the audit tables.

Who is told, when and how often belongs to `automation.announcements`; how a message travels, to `resources.notifier`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from bike_assets.core.local_time import as_date

UNKNOWN = "-"


class Severity(StrEnum):
    """How much a message matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Message:
    """What is told.

    Attributes:
        title: a few words.
        text: one sentence or two.
        severity: how much it matters.
        fields: texts by short name.
        link: address of the page that has more, if any.
    """

    title: str
    text: str
    severity: Severity
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None


def promotion(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Tell that a challenger is the champion from now on, by its row of DEPLOYMENT_DECISIONS."""
    before = _number(row.get("champion_version") or None, ".0f")
    instead = "" if before == UNKNOWN else f" in place of version {before}"
    return Message(
        f"New champion: {_challenger(row)}",
        f"{_challenger(row)} serves from now on{instead}: {_text(row.get('reason'))}.",
        Severity.INFO,
        _evaluation(row),
        link,
    )


def rejection(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Tell that a challenger was rejected, by its row of DEPLOYMENT_DECISIONS."""
    return Message(
        f"Challenger rejected: {_challenger(row)}",
        f"{_challenger(row)} does not serve: {_text(row.get('reason'))}.",
        Severity.WARNING,
        _evaluation(row),
        link,
    )


def failed_run(job: str, step: str | None, error: str | None, link: str | None = None) -> Message:
    """Tell that a run failed.

    Args:
        job: the job's name.
        step: the first step that failed; None where the run failed outside of its steps.
        error: what was raised, perhaps with its traceback; the first line is told.
        link: the run's page.
    """
    lines = (error or "").strip().splitlines()
    where = f"step {step} of job {job}" if step else f"job {job}"
    return Message(
        f"Run failed: {job}",
        f"A run failed in {where}.",
        Severity.CRITICAL,
        {"job": job, "step": _text(step), "error": lines[0] if lines else UNKNOWN},
        link,
    )


def critical_performance(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Tell that the champion forecasts badly, by the day's row of RETRAIN_DECISIONS."""
    return Message(
        f"Performance is critical on {_day(row.get('day'))}",
        f"The champion's forecasts of the last 7 days are not good enough: {_text(row.get('reason'))}.",
        Severity.CRITICAL,
        _week(row),
        link,
    )


def drift(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Tell that the data have shifted, by the day's row of DRIFT."""
    return Message(
        f"Data drift on {_day(row.get('day'))}",
        f"The last 7 days differ from their reference: drift share {_number(row.get('drift_share'), '.2f')}.",
        Severity.WARNING,
        {
            "drift share": _number(row.get("drift_share"), ".2f"),
            "columns checked": _number(row.get("columns_checked"), ",.0f"),
            "drifted columns": _text(row.get("drifted_columns")),
            "reference": _text(row.get("reference")),
            "new counters": _text(row.get("new_counters")),
            "vanished counters": _text(row.get("vanished_counters")),
            "champion": _version(row.get("model_version")),
        },
        link,
    )


def recovery(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Tell that the champion is within its bounds again, by the day's row of RETRAIN_DECISIONS."""
    return Message(
        f"Back to normal on {_day(row.get('day'))}",
        f"The champion is within its bounds again: {_text(row.get('reason'))}.",
        Severity.INFO,
        _week(row),
        link,
    )


def _challenger(row: Mapping[str, Any]) -> str:
    return f"{_text(row.get('challenger_family'))} {_version(row.get('challenger_version'))}"


def _evaluation(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "family": _text(row.get("challenger_family")),
        "version": _number(row.get("challenger_version"), ".0f"),
        "R² test_baseline": _number(row.get("r2_baseline"), ".4f"),
        "R² test_current": _number(row.get("r2_current"), ".4f"),
        "gain": _gain(row),
        "RMSE test_baseline": _number(row.get("rmse_baseline"), ".2f"),
        "RMSE test_current": _number(row.get("rmse_current"), ".2f"),
    }


def _gain(row: Mapping[str, Any]) -> str:
    """The gain in R2, with its interval and its share of what the champion leaves where these are known."""
    told = _number(row.get("gain"), "+.4f")
    low, high = (_number(row.get(name), "+.4f") for name in ("gain_low", "gain_high"))
    if UNKNOWN not in (low, high):
        told += f" ({low} to {high})"
    share = _number(row.get("gain_residual_share"), ".0%")
    return told if share == UNKNOWN else f"{told}, {share} of what the champion leaves"


def _week(row: Mapping[str, Any]) -> dict[str, str]:
    held_until = row.get("held_until")
    return {
        "decision": _text(row.get("decision")),
        "R²": _number(row.get("r2"), ".3f"),
        "RMSE": _number(row.get("rmse"), ".1f"),
        "forecasts compared": _number(row.get("rows"), ",.0f"),
        "drift share": _number(row.get("drift_share"), ".2f"),
        "champion": _version(row.get("champion_version")),
        **({"retrain held until": _day(held_until)} if held_until is not None else {}),
    }


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else format(value, form)


def _version(number: float | None) -> str:
    return f"version {_number(number or None, '.0f')}"


def _text(value: str | None) -> str:
    return value or UNKNOWN


def _day(value: date | None) -> str:
    return UNKNOWN if value is None else str(as_date(value))
