"""The exceptions with a message for the user. Bugs keep their own types and tracebacks."""


class BikeError(Exception):
    """The user can correct the cause, such as settings or input; the message says what, in one sentence."""

    exit_code = 2


class StepFailedError(BikeError):
    """Work failed although settings and input are valid; the message says what failed and why or where to look."""

    exit_code = 1


class BadDaysError(StepFailedError):
    """A blocking check of some days failed: their run skipped the later assets; other days are done."""


class SourceUnavailableError(StepFailedError):
    """A source of counts or weather did not answer, or refused; a later attempt may succeed."""


class UnreliableAnswerError(StepFailedError):
    """A source's answer is incomplete, unreadable, or not what was requested."""
