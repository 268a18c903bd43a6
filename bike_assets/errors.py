"""The exceptions whose message is meant for the person at the keyboard. Bugs keep their own types and tracebacks."""


class BikeError(Exception):
    """Settings or input that the user can put right; the message says what, in one sentence."""

    exit_code = 2


class StepFailedError(BikeError):
    """A step of a pass failed; the message says which and where to look."""

    exit_code = 1


class BadDaysError(StepFailedError):
    """Days did not pass their checks: what follows them in the same run was not done; other days are."""


class SourceUnavailableError(StepFailedError):
    """The source of counts did not answer, or refused; nothing was changed, and a later try may succeed."""


class UnreliableAnswerError(StepFailedError):
    """The source answered with less or other than what it says it has; nothing was changed."""
