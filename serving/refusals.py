"""Error answers: one JSON format for every status, without paths or traces."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from serving.wire import Problem, RecordProblem, Refusal, encode

JSON = "application/json"
FRAMEWORK_ERRORS = {
    400: (422, "invalid_json", "The body is not valid JSON."),
    404: (404, "not_found", "There is no endpoint at this address: /docs lists the endpoints."),
    405: (405, "method_not_allowed", "This address does not accept that method: /docs lists the endpoints."),
}
"""Answers to errors that the framework raises itself, by its status."""
FAILURE_DETAIL = "The server failed to answer; its log has the request id and the cause."
DESCRIPTIONS = {
    401: "The API key is missing or unknown.",
    403: "No API keys are set, so this is not allowed.",
    404: "What the request names does not exist.",
    408: "The request's body did not arrive in time.",
    409: "The version is the champion already.",
    413: "The request's body is too large.",
    422: "The request is not valid; the answer names the field or record.",
    500: "The server failed.",
    502: "Dagster refused, or another server answered at its address.",
    503: "A part that the answer needs is not available; the answer says which, and what to do.",
}


def problem(
    status: int,
    error: str,
    detail: str,
    request_id: str,
    records: Sequence[RecordProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response."""
    body = encode(Problem(error, detail, request_id, list(records)))
    return Response(body, status, headers, JSON)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route that may return these error statuses."""
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": DESCRIPTIONS[status], "content": content} for status in statuses}


def add_problem_handlers(app: FastAPI) -> None:
    """Make an application return every refusal and failure as a problem."""

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, refusal: HTTPException) -> Response:
        request_id, status = request.state.request_id, refusal.status_code
        if isinstance(refusal, Refusal):
            return problem(status, refusal.error, refusal.detail, request_id, refusal.records, refusal.headers)
        error = FRAMEWORK_ERRORS.get(status, (status, "refused", str(refusal.detail)))
        return problem(*error, request_id, headers=refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, invalid: RequestValidationError) -> Response:
        first = invalid.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(422, "invalid_request", f"{place}: {first['msg']}.", request.state.request_id)

    @app.exception_handler(Exception)
    async def _failed(request: Request, _: Exception) -> Response:
        return problem(500, "failed", FAILURE_DETAIL, request.state.request_id)
