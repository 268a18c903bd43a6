"""Refusals of the portal and the weather service: status and body, in their words. Raising them belongs elsewhere."""

from datetime import datetime
from typing import Any


class RefusalError(Exception):
    """The portal or the weather service refuses a request."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


def invalid_parameter(message: str) -> RefusalError:
    """Return the refusal of a parameter's value."""
    return _refusal(400, "InvalidRESTParameterError", message)


def outside_bounds(name: str, value: int, bounds: str) -> RefusalError:
    """Return the refusal of a number, such as limit, that is outside its bounds."""
    return invalid_parameter(f"Invalid value for {name} API parameter: {value} was found but {bounds} is expected.")


def malformed_query(problem: str, clause: str) -> RefusalError:
    """Return the refusal of a clause that cannot be parsed."""
    message = f"ODSQL query is malformed: {problem}. Clause(s) containing the error(s): {clause}."
    return _refusal(400, "ODSQLError", message)


def unparsable_date(text: str) -> RefusalError:
    """Return the answer to an invalid date: the portal fails with 503 instead of refusing it."""
    return _refusal(503, "ServiceUnavailable", f"The service is unavailable: {text!r}.")


def not_found(message: str) -> RefusalError:
    """Return the refusal of an unknown dataset or endpoint."""
    return _refusal(404, "NotFound", message)


def too_many_requests(limit: int, reset: datetime | None) -> dict[str, Any]:
    """Return the body of a 429; with `reset` None it has another error code and no time of reset."""
    body = {
        "errorcode": 10005 if reset is None else 10002,
        "limit_time_unit": "day",
        "call_limit": limit,
        "error": "Too many requests on the domain. Please contact the domain administrator.",
    }
    return body if reset is None else {**body, "reset_time": f"{reset:%Y-%m-%dT%H:%M:%SZ}"}


def in_stream(error: RefusalError) -> str:
    """Return an error as text inside a body that has already begun."""
    message, code = error.body["message"], error.body["error_code"]
    return f"Streaming interrupted due to the following error: {message} (error_code: {code})"


def weather_refusal(message: str) -> RefusalError:
    """Return the refusal of a request for weather; its body differs from the portal's."""
    return RefusalError(400, {"error": True, "reason": message})


def _refusal(status: int, code: str, message: str) -> RefusalError:
    return RefusalError(status, {"error_code": code, "message": message})
