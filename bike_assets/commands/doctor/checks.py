"""Defines a check, and runs it with a deadline; any exception becomes a finding. The other modules list the checks."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread

from bike_assets.errors import BikeError

DEADLINE_SECONDS = 20.0


class State(StrEnum):
    """The state of the thing that a check looks at."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: name of the thing that it checks.
        probe: returns a description of the thing, or raises BikeError with what is missing and what to do.
        needed: whether the platform needs the thing; if not, a missing thing is only a note.
    """

    name: str
    probe: Callable[[], str]
    needed: bool = True


@dataclass(frozen=True)
class Finding:
    """The result of a check, on one line."""

    name: str
    state: State
    text: str


def run(check: Check, deadline_seconds: float = DEADLINE_SECONDS) -> Finding:
    """Run one check. A check that misses its deadline keeps running in its thread.

    Args:
        check: the check.
        deadline_seconds: how long it may take.
    """
    answer: Future[str] = Future()

    def probe() -> None:
        try:
            answer.set_result(check.probe())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=probe, name=f"doctor: {check.name}", daemon=True).start()
    without = State.MISSING if check.needed else State.NOTE
    try:
        return Finding(check.name, State.OK, _one_line(answer.result(deadline_seconds)))
    except BikeError as error:
        return Finding(check.name, without, _one_line(str(error)))
    except TimeoutError:
        return Finding(check.name, without, f"No answer within {deadline_seconds:g} s.")
    except Exception as error:
        # The other checks still have to run, so this error becomes a finding.
        return Finding(check.name, without, _one_line(f"{type(error).__name__}: {error}"))


def _one_line(text: str) -> str:
    return " ".join(text.split())
