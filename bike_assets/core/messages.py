"""Notifications about models and runs: a title, a sentence, figures. Pure functions over rows of the audit tables.

When a message is sent, and how often, belongs to `automation.announcements`; sending it to `resources.notifier`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

UNKNOWN = "-"


class Severity(StrEnum):
    """Severity of a message."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Message:
    """A notification.

    Attributes:
        title: a few words.
        text: one or two sentences.
        severity: info, warning or critical.
        fields: texts by short name.
        link: address of the page with details, if any.
    """

    title: str
    text: str
    severity: Severity
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None


def promotion(deployment: Mapping[str, Any], figures: Mapping[str, Any], link: str | None = None) -> Message:
    """Announce a new champion.

    Args:
        deployment: the row of DEPLOYMENTS.
        figures: the scores of its evaluation, as EVALUATIONS names them; a promotion by hand has no gain.
        link: the run's page.
    """
    before = _number(deployment.get("replaced_version") or None, ".0f")
    replaced = "" if before == UNKNOWN else f" in place of version {before}"
    version = f"{_text(deployment.get('family'))} {_version(deployment.get('version'))}"
    decided_by = _text(deployment.get("decided_by"))
    return Message(
        f"New champion: {version}",
        f"{version} now serves{replaced}, decided by {decided_by}: {_text(deployment.get('reason'))}.",
        Severity.INFO,
        _evaluation(
            {
                **figures,
                "challenger_family": deployment.get("family"),
                "challenger_version": deployment.get("version"),
            }
        ),
        link,
    )


def rejection(row: Mapping[str, Any], link: str | None = None) -> Message:
    """Announce the rejection of a challenger, from its row of EVALUATIONS."""
    return Message(
        f"Challenger rejected: {_challenger(row)}",
        f"{_challenger(row)} does not serve: {_text(row.get('reason'))}.",
        Severity.WARNING,
        _evaluation(row),
        link,
    )


def failed_run(job: str, step: str | None, error: str | None, link: str | None = None) -> Message:
    """Announce a failed run.

    Args:
        job: the job's name.
        step: the first step that failed; None where the run failed outside of its steps.
        error: the exception, perhaps with its traceback; the message has the first line.
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


def failing_check(
    title: str, statement: str, is_error: bool, figures: Mapping[str, Any], link: str | None = None
) -> Message:
    """Announce that a check has begun to fail.

    Args:
        title: what the failure means, in a few words.
        statement: what holds when the check passes.
        is_error: whether the check's severity is error, not warning.
        figures: the check's figures, by name.
        link: the run's page.
    """
    severity = Severity.CRITICAL if is_error else Severity.WARNING
    return Message(title, f"This does not hold: {statement}", severity, _as_texts(figures), link)


def recovered_check(title: str, statement: str, figures: Mapping[str, Any], link: str | None = None) -> Message:
    """Announce that a failed check passes again; the arguments are those of `failing_check`."""
    return Message(f"Resolved: {title}", f"This holds again: {statement}", Severity.INFO, _as_texts(figures), link)


def _as_texts(figures: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in figures.items()}


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
    """The gain in R2; with its interval and its share of the champion's residual, where they are known."""
    text = _number(row.get("gain"), "+.4f")
    low, high = (_number(row.get(name), "+.4f") for name in ("gain_low", "gain_high"))
    if UNKNOWN not in (low, high):
        text += f" ({low} to {high})"
    share = _number(row.get("gain_residual_share"), ".0%")
    return text if share == UNKNOWN else f"{text}, {share} of the champion's residual"


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else format(value, form)


def _version(number: float | None) -> str:
    return f"version {_number(number or None, '.0f')}"


def _text(value: str | None) -> str:
    return value or UNKNOWN
