"""What a check is, and running one: with a deadline, and whatever happens in it. What is checked is in the others."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread

from bike_assets.errors import BikeError

DEADLINE_SECONDS = 20.0


class State(StrEnum):
    """How it is with a thing."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        name: of the thing.
        look: says how it is, or raises BikeError with what is missing and what to do.
        needed: whether the platform needs it; of another thing it is only noted that it is missing.
    """

    name: str
    look: Callable[[], str]
    needed: bool = True


@dataclass(frozen=True)
class Finding:
    """What a check found, on one line."""

    name: str
    state: State
    told: str


def run(check: Check, deadline_seconds: float = DEADLINE_SECONDS) -> Finding:
    """Run one check; one that does not end in time is left to itself.

    Args:
        check: the check.
        deadline_seconds: how long it may take.
    """
    answer: Future[str] = Future()

    def look() -> None:
        try:
            answer.set_result(check.look())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=look, name=f"doctor: {check.name}", daemon=True).start()
    without = State.MISSING if check.needed else State.NOTE
    try:
        return Finding(check.name, State.OK, _one_line(answer.result(deadline_seconds)))
    except BikeError as error:
        return Finding(check.name, without, _one_line(str(error)))
    except TimeoutError:
        return Finding(check.name, without, f"No answer within {deadline_seconds:g} s.")
    except Exception as error:
        # The others still have to be looked at, and this one is told as what it is.
        return Finding(check.name, without, _one_line(f"{type(error).__name__}: {error}"))


def _one_line(told: str) -> str:
    return " ".join(told.split())
