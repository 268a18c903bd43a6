"""The exceptions whose message is meant for the person at the keyboard. Bugs keep their own types and tracebacks."""


class BikeError(Exception):
    """Settings or input that the user can put right; the message says what, in one sentence."""

    exit_code = 2


class StepFailedError(BikeError):
    """A step of a pass failed; the message says which and where to look."""

    exit_code = 1
