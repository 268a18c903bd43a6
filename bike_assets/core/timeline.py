"""The events of a replay or a period, day by day, and the gain from retraining.

Reading them from tables belongs to `commands.replay` and `commands.report`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from bike_assets.core.decisions import Verdict


@dataclass(frozen=True)
class TimelineDay:
    """One day, as the platform judged it on the next morning.

    Attributes:
        day: the local day.
        r2: R2 of the champion over the 7 days to it, a day ahead, as the decision used it; None where unknown.
        first_champion_r2: R2 of the first champion, never retrained, on the same days.
        naive_r2: R2 of the seasonal naive on the same days.
        drift_share: share of drifted columns.
        decision: of the retrain matrix; None where there is none.
        held_until: day until which a cooldown holds the retrain back.
        evaluation: the verdict on the challenger that was judged that morning.
        champion_version: the champion at the end of that morning.
        runs: jobs that ran besides the daily ones, in order.
        failed_runs: jobs that failed that morning.
        promoted: whether the champion differs from that of the day before.
    """

    day: date
    r2: float | None
    first_champion_r2: float | None
    naive_r2: float | None
    drift_share: float | None
    decision: str | None
    held_until: date | None = None
    evaluation: str | None = None
    champion_version: int | None = None
    runs: tuple[str, ...] = ()
    failed_runs: tuple[str, ...] = ()
    promoted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the day as JSON values; unknown figures are null."""
        values = asdict(self)
        for name, value in values.items():
            if isinstance(value, date):
                values[name] = value.isoformat()
            elif isinstance(value, float) and not math.isfinite(value):
                values[name] = None
        return values


def worth_of_retraining(days: Sequence[TimelineDay]) -> str:
    """Return a sentence that compares the champion with the first champion since the first promotion."""
    if not any(day.promoted for day in days):
        return "Nothing was promoted, so retraining gained nothing: the first champion still serves."
    since = next(number for number, day in enumerate(days) if day.promoted) + 1
    gains = [
        day.r2 - day.first_champion_r2
        for day in days[since:]
        if day.r2 is not None and day.first_champion_r2 is not None
    ]
    if not gains:
        return "The first promotion was on the last day: what it is worth is not known yet."
    mean = sum(gains) / len(gains)
    what = "Retraining gained" if mean > 0 else "Retraining gained nothing:"
    better = sum(gain > 0 for gain in gains)
    return (
        f"{what} {mean:+.3f} R² over the first champion, never retrained, on the mean of the {len(gains)} days since "
        f"the first promotion; the champion was better on {better} of them."
    )


def event_counts(days: Sequence[TimelineDay]) -> dict[str, str]:
    """Return the numbers of decisions, runs, verdicts and promotions, in words."""
    verdicts = Counter(day.evaluation for day in days if day.evaluation)
    return {
        "Decisions": _in_words(Counter(day.decision or "not done" for day in days)),
        "Runs": _in_words(Counter(run for day in days for run in day.runs)),
        "Verdicts": _in_words(Counter({str(verdict): verdicts[verdict] for verdict in Verdict if verdicts[verdict]})),
        "Promotions": str(sum(day.promoted for day in days)),
    }


def _in_words(numbers: "Counter[str]") -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.most_common()) or "none"
