"""The stated rules: double evaluation of a challenger, the retrain matrix, and the cooldown that holds a retrain back.

Pure functions over typed bounds; a bound belongs to the upper cell. Scores belong to `scoring`, drift to `drift`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeGuard

MIN_CURRENT_DAYS = 28
"""Days after the baseline that a comparison of a challenger with a champion needs."""


class Verdict(StrEnum):
    """The result of a double evaluation."""

    REJECT = "REJECT"
    SKIP = "SKIP"
    DEPLOY = "DEPLOY"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


class RetrainDecision(StrEnum):
    """The result of the retrain matrix."""

    ALL_GOOD = "ALL_GOOD"
    WAIT = "WAIT"
    RETRAIN_PROACTIVE = "RETRAIN_PROACTIVE"
    RETRAIN_REACTIVE = "RETRAIN_REACTIVE"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"
    FORCED = "FORCED"

    @property
    def asks_for_training(self) -> bool:
        """Whether a retrain follows."""
        return self in {self.RETRAIN_PROACTIVE, self.RETRAIN_REACTIVE, self.FORCED}


@dataclass(frozen=True)
class EvaluationRule:
    """When a challenger is a regression, and by how much it has to beat the champion.

    Attributes:
        r2_floor: R2 on test_baseline below which a challenger is a regression.
        min_gain: gain in R2 on test_current that a challenger has to exceed.
        min_residual_share: if set, replaces min_gain: the share of the champion's residual, 1 - R2, that the gain has
            to exceed.
        certain: whether the interval of the gain has to lie above zero as well.
    """

    r2_floor: float = 0.60
    min_gain: float = 0.02
    min_residual_share: float | None = None
    certain: bool = False


@dataclass(frozen=True)
class RetrainRule:
    """Bounds on the champion's R2 and RMSE (bikes an hour) over 7 days, and on the drift share.

    Attributes:
        naive_days: an alarm is raised when the champion is worse than the seasonal naive for this many days in a row.
        naive_is_cause: whether that also causes a retrain.
    """

    r2_critical: float = 0.65
    r2_warning: float = 0.70
    drift_critical: float = 0.5
    drift_warning: float = 0.3
    rmse_limit: float = 60.0
    min_rows: int = 1000
    naive_days: int = 3
    naive_is_cause: bool = False


@dataclass(frozen=True)
class CooldownRule:
    """Days to wait after a retrain without a new champion: first_days after one, later_days after more."""

    first_days: int = 3
    later_days: int = 7


@dataclass(frozen=True)
class WeekFigures:
    """The input of the retrain matrix.

    Attributes:
        r2: the champion's R2 over the last 7 days; None or NaN when unknown.
        rmse: its RMSE over the same rows (bikes an hour).
        rows: how many forecasts were compared.
        drift_share: share of drifted columns, 0 to 1; None or NaN when unknown.
        days_behind_naive: days in a row on which the champion was worse than the seasonal naive.
    """

    r2: float | None
    rmse: float | None
    rows: int
    drift_share: float | None
    days_behind_naive: int = 0


@dataclass(frozen=True)
class Decision:
    """A decision, its reason as a sentence, and its input figures by name."""

    decision: str
    reason: str
    inputs: Mapping[str, float | int | None] = field(default_factory=dict)


def evaluate_challenger(
    r2_baseline: float | None,
    r2_current: float | None,
    champion_r2_current: float | None,
    rule: EvaluationRule,
    interval: tuple[float, float] | None = None,
    current_days: int = MIN_CURRENT_DAYS,
) -> Decision:
    """Judge a challenger by the double evaluation.

    Args:
        r2_baseline: the challenger's R2 on test_baseline.
        r2_current: the challenger's R2 on test_current.
        champion_r2_current: the champion's R2 on the same rows of test_current; None when there is no champion.
        rule: the bounds.
        interval: lower and upper end of the gain in R2 on test_current; used only with `rule.certain`.
        current_days: days after the baseline; with fewer than 28, no challenger is compared with the champion.
    """
    low, high = interval or (None, None)
    inputs = {
        "r2_baseline": r2_baseline,
        "r2_current": r2_current,
        "champion_r2_current": champion_r2_current,
        "gain_low": low,
        "gain_high": high,
        "current_days": current_days,
    }
    judged = _judge_challenger(r2_baseline, r2_current, champion_r2_current, rule, interval, current_days)
    return replace(judged, inputs=inputs)


def _judge_challenger(
    r2_baseline: float | None,
    r2_current: float | None,
    champion_r2_current: float | None,
    rule: EvaluationRule,
    interval: tuple[float, float] | None,
    current_days: int,
) -> Decision:
    if not _is_known(r2_baseline) or not _is_known(r2_current):
        return Decision(Verdict.NOT_ENOUGH_DATA, "the challenger could not be scored on both test sets")
    if r2_baseline < rule.r2_floor:
        return Decision(
            Verdict.REJECT, f"R² on test_baseline {r2_baseline:.4f} is below the floor of {rule.r2_floor:.2f}"
        )
    if champion_r2_current is None:
        return Decision(Verdict.DEPLOY, f"there is no champion yet, and R² on test_baseline {r2_baseline:.4f} passes")
    if not _is_known(champion_r2_current):
        return Decision(Verdict.NOT_ENOUGH_DATA, "the champion could not be scored on test_current")
    if current_days < MIN_CURRENT_DAYS:
        reason = f"{current_days} days since the baseline, {MIN_CURRENT_DAYS} needed to compare with a champion"
        return Decision(Verdict.NOT_ENOUGH_DATA, reason)
    return _decide_by_gain(r2_current, champion_r2_current, rule, interval)


def _decide_by_gain(
    r2_current: float, champion_r2_current: float, rule: EvaluationRule, interval: tuple[float, float] | None
) -> Decision:
    gain, left = r2_current - champion_r2_current, 1 - champion_r2_current
    compared = f"R² on test_current {r2_current:.4f} against the champion's {champion_r2_current:.4f}: gain {gain:+.4f}"
    if rule.min_residual_share is None:
        wins, bound = r2_current > champion_r2_current + rule.min_gain, f"{rule.min_gain:.4f}"
    else:
        wins = gain > rule.min_residual_share * left
        bound = f"{rule.min_residual_share:.0%} of the {left:.4f} that the champion leaves"
    if not wins:
        return Decision(Verdict.SKIP, f"{compared}, not above {bound}")
    if rule.certain and not (interval and interval[0] > 0):
        shown = (
            f"its interval {interval[0]:+.4f} to {interval[1]:+.4f} holds zero" if interval else "it has no interval"
        )
        return Decision(Verdict.SKIP, f"{compared}, above {bound}, but {shown}")
    return Decision(Verdict.DEPLOY, f"{compared}, above {bound}")


def decide_retrain(week: WeekFigures, rule: RetrainRule, forced: str | None = None) -> Decision:
    """Decide by the hybrid retrain matrix.

    Args:
        week: the figures of the last 7 days.
        rule: the bounds.
        forced: who forces a training despite the figures, and why.
    """
    inputs = dict(vars(week))
    if forced:
        return Decision(RetrainDecision.FORCED, f"asked for by hand, {forced}", inputs)
    return replace(_decide_by_matrix(week, rule), inputs=inputs)


def _decide_by_matrix(week: WeekFigures, rule: RetrainRule) -> Decision:
    r2, rmse = week.r2, week.rmse
    if not _is_known(r2):
        return Decision(RetrainDecision.NOT_ENOUGH_DATA, "no forecast of the last 7 days has counts to compare with")
    if week.rows < rule.min_rows:
        return Decision(RetrainDecision.NOT_ENOUGH_DATA, f"{week.rows} forecasts compared, {rule.min_rows} needed")
    if r2 < rule.r2_critical:
        return Decision(RetrainDecision.RETRAIN_REACTIVE, f"R² {r2:.3f} is below {rule.r2_critical:.2f}")
    if _is_known(rmse) and rmse > rule.rmse_limit:
        return Decision(RetrainDecision.RETRAIN_REACTIVE, f"RMSE {rmse:.1f} is above {rule.rmse_limit:.1f}")
    if rule.naive_is_cause and week.days_behind_naive >= rule.naive_days:
        reason = f"R² {r2:.3f}, worse than the seasonal naive for {week.days_behind_naive} days"
        return Decision(RetrainDecision.RETRAIN_REACTIVE, reason)
    if not _is_known(week.drift_share):
        return Decision(RetrainDecision.NOT_ENOUGH_DATA, f"R² {r2:.3f} is not critical, and drift is not known")
    return _decide_by_drift(r2, week.drift_share, rule)


def _decide_by_drift(r2: float, drift_share: float, rule: RetrainRule) -> Decision:
    figures = f"R² {r2:.3f}, drift share {drift_share:.2f}"
    if r2 < rule.r2_warning:
        if drift_share >= rule.drift_critical:
            return Decision(RetrainDecision.RETRAIN_PROACTIVE, f"{figures}: a weak model in shifted data")
        return Decision(RetrainDecision.WAIT, f"{figures}: weak, but drift is below {rule.drift_critical:.2f}")
    if drift_share >= rule.drift_warning:
        return Decision(RetrainDecision.WAIT, f"{figures}: data have shifted, the model copes")
    return Decision(RetrainDecision.ALL_GOOD, f"{figures}: both within bounds")


def held_until(
    day: date, failed_challenges: Sequence[date], rule: CooldownRule, comparable_from: date | None = None
) -> date | None:
    """Return the day from which a retrain may start, or None where nothing holds it back.

    Args:
        day: the day of the decision to retrain.
        failed_challenges: days of the evaluations that ended in SKIP or REJECT since the champion was promoted.
        rule: the lengths of the cooldown.
        comparable_from: the first day on which a challenger can be compared with the champion.
    """
    ends = [comparable_from] if comparable_from else []
    if failed_challenges:
        ends.append(
            max(failed_challenges) + timedelta(days=rule.first_days if len(failed_challenges) == 1 else rule.later_days)
        )
    return max((end for end in ends if day < end), default=None)


def _is_known(figure: float | None) -> TypeGuard[float]:
    return figure is not None and not math.isnan(figure)
