"""What a run of the asset `champion` has to do: a pure step on the registry's summary, the audit and a user's request.

Deciding on a challenger belongs to `core.decisions`, carrying the step out to `assets.champion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bike_assets.core.decisions import Verdict
from bike_assets.core.summary import ModelEntry, Summary
from bike_assets.errors import BikeError

BY_EVALUATION = "evaluation"


class Evaluated(NamedTuple):
    """A recorded double evaluation; `champion_version` is 0 where nothing served yet."""

    challenger_version: int
    champion_version: int
    decision: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """A version, who chose it, and why."""

    version: int
    decided_by: str
    reason: str


@dataclass(frozen=True)
class Step:
    """What a run of the asset has to do.

    Attributes:
        version: the version that serves afterwards.
        promotes: whether the registry has to promote it first.
        records: whether the audit lacks its deployment.
        choice: who chose it and why; None if it has served before, or if no record says.
    """

    version: int
    promotes: bool
    records: bool
    choice: Choice | None


def next_step(asked: Choice | None, evaluations: Sequence[Evaluated], summary: Summary, recorded: int) -> Step:
    """Return what a run has to do; after a run that did it, the next step has nothing to do.

    A process can die between the promotion in the registry and its record. The step of the next run completes it.

    Args:
        asked: the version that a user asks for; the newest evaluation decides if it is None.
        evaluations: the recorded evaluations, newest first.
        summary: the content of the registry.
        recorded: the version of the newest recorded deployment; 0 before the first.

    Raises:
        BikeError: the version that the user asks for cannot be promoted, or no version serves.
    """
    choice = _requested(asked, summary, recorded) if asked else _passed(evaluations, summary)
    if choice:
        return Step(choice.version, promotes=True, records=recorded != choice.version, choice=choice)
    serving = summary.champion
    if serving is None:
        why = evaluations[0].reason if evaluations else "nothing was evaluated yet"
        raise BikeError(f"there is no champion: {why}")
    if recorded == serving.version:
        return Step(serving.version, promotes=False, records=False, choice=None)
    return Step(serving.version, promotes=False, records=True, choice=_last_deploy(evaluations, serving))


def _requested(asked: Choice, summary: Summary, recorded: int) -> Choice:
    chosen = summary.entry(asked.version)
    if chosen is None:
        raise BikeError(f"there is no version {asked.version} to promote")
    if chosen.is_champion and recorded == chosen.version:
        raise BikeError(f"version {asked.version} is the champion already")
    if not asked.decided_by.strip() or not asked.reason.strip():
        raise BikeError("a promotion by hand needs `by` and `reason` in its config")
    return Choice(chosen.version, asked.decided_by.strip(), asked.reason.strip())


def _passed(evaluations: Sequence[Evaluated], summary: Summary) -> Choice | None:
    """Return the challenger that the newest evaluation against the present champion lets serve, if any.

    A version that a user withdrew returns only at a user's request.
    """
    champion = summary.champion.version if summary.champion else 0
    newest = next((each for each in evaluations if each.champion_version == champion), None)
    if newest is None or newest.decision != Verdict.DEPLOY:
        return None
    chosen = summary.entry(newest.challenger_version)
    return Choice(chosen.version, BY_EVALUATION, newest.reason) if chosen and not chosen.withdrawn else None


def _last_deploy(evaluations: Sequence[Evaluated], serving: ModelEntry) -> Choice | None:
    """Return the evaluation that led to a champion whose promotion was not recorded."""
    for each in evaluations:
        if each.challenger_version == serving.version and each.decision == Verdict.DEPLOY:
            return Choice(serving.version, BY_EVALUATION, each.reason)
    return None
