"""Error answers: one JSON format for every status, without paths or traces."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from serving.wire import Problem, RecordProblem, Refusal, encode

JSON = "application/json"
PLAIN = {
    400: (422, "invalid_json", "The body is not JSON that can be read."),
    404: (404, "not_found", "There is nothing at this address: /docs lists what there is."),
    405: (405, "method_not_allowed", "This address does not take that method: /docs lists what there is."),
}
"""Answers to errors that the framework raises itself, by its status."""
FAILED = "The server failed to answer; its log has the request id and says why."
MEANINGS = {
    401: "The API key is missing or not known.",
    403: "No API keys are set, so nobody may do this.",
    404: "There is no such thing.",
    408: "The request's body did not arrive in time.",
    409: "It is so already.",
    413: "The request's body is too large.",
    422: "The request cannot be answered as it is; the answer names the field or record.",
    500: "The server failed.",
    502: "Dagster refused, or is not what answers.",
    503: "What is needed to answer is away; the answer says what, and what to do.",
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


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route that may return these error statuses."""
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": MEANINGS[status], "content": content} for status in statuses}


def tell_problems(app: FastAPI) -> None:
    """Make an application return every refusal and failure as a problem."""

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, refusal: HTTPException) -> Response:
        request_id, status = request.state.request_id, refusal.status_code
        if isinstance(refusal, Refusal):
            return problem(status, refusal.error, refusal.detail, request_id, refusal.records, refusal.headers)
        told = PLAIN.get(status, (status, "refused", str(refusal.detail)))
        return problem(*told, request_id, headers=refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, invalid: RequestValidationError) -> Response:
        first = invalid.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(422, "invalid_request", f"{place}: {first['msg']}.", request.state.request_id)

    @app.exception_handler(Exception)
    async def _failed(request: Request, _: Exception) -> Response:
        return problem(500, "failed", FAILED, request.state.request_id)
