"""`POST /predict`: the endpoint that has to be fast, so it bypasses FastAPI's routing and models."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from bike_assets.settings import Settings
from serving.answers import ServingState, Version, answer
from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.refusals import JSON, error_responses
from serving.wire import MAX_RECORDS, PredictRequest, Refusal, components, read_request

LARGE_BYTES = 100_000
"""About 1,300 records, or 3 ms. Below this size a worker thread costs more than it saves."""
DESCRIPTION = f"""
Forecast bikes an hour for 1 to {MAX_RECORDS:,} pairs of counter and hour.

Hours may be from 6 days before the newest whole day of counts to 3 days after it. The answer for a past hour is the
forecast that would have been issued the day before, from the counts up to then. A record may also have the columns of
the portal's export. The version that `model_metadata` names computed every prediction of the answer.
"""
_COUNTER, _NAME = "100007049-102007049", "28 boulevard Diderot E-O"
EXAMPLES = {
    "by id": {"value": {"records": [{"counter_id": _COUNTER, "at": "2026-11-23T08:00:00+01:00"}]}},
    "by name, another model": {
        "value": {
            "records": [{"counter_name": _NAME, "at": "2026-11-23T08:00:00+01:00"}],
            "model": "gradient_boosting",
        }
    },
    "as the portal exports": {
        "value": {
            "records": [
                {
                    "nom_du_compteur": _NAME,
                    "date_et_heure_de_comptage": "2026-11-23T08:00:00+01:00",
                    "coordonnées_géographiques": "48.846028, 2.375429",
                }
            ]
        }
    },
}
EXAMPLE_ANSWER = {
    "predictions": [214.6],
    "details": [{"known_counter": True, "horizon_days": 1, "warnings": []}],
    "model_metadata": {
        "family": "blend",
        "version": 4,
        "run_id": "0f5a3c1d9e8b4f6c8a7d2e1b3c4d5e6f",
        "is_champion": True,
        "r2": 0.9331,
        "rmse": 27.4,
        "promoted_on": "2026-11-22",
    },
}


def predict_route(keeper: Keeper, settings: Settings, metrics: Metrics) -> Route:
    """Return the route of predictions. It is Starlette's, because FastAPI's costs as much time as the answer."""

    def respond(serving: ServingState, version: Version, predict_request: PredictRequest) -> Response:
        answered = answer(serving.city, version, predict_request)
        metrics.observe_answer(version, answered)
        return Response(answered.content, media_type=JSON)

    def read_and_respond(body: bytes) -> Response:
        predict_request, serving = read_request(body), keeper.current()
        return respond(serving, keeper.version(serving, predict_request.model), predict_request)

    async def predict(request: Request) -> Response:
        body = await request.body()
        if len(body) < LARGE_BYTES:
            predict_request, serving = read_request(body), keeper.current()
            version = keeper.loaded_version(serving, predict_request.model)
            if version:
                return respond(serving, version, predict_request)
        try:
            async with asyncio.timeout(settings.api_timeout_seconds):
                return await run_in_threadpool(read_and_respond, body)
        except TimeoutError:
            detail = f"There was no answer within {settings.api_timeout_seconds:g} s: the server is busy, retry."
            raise Refusal(503, "busy", detail, headers={"Retry-After": "1"}) from None

    return NamedRoute("/predict", Endpoint(predict), methods=["POST"])


class Endpoint:
    """An endpoint without Starlette's wrapper around functions, which costs as much time as a small answer."""

    def __init__(self, handler: Callable[[Request], Awaitable[Response]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer. The application's handlers turn exceptions into problems."""
        response = await self._handler(Request(scope, receive))
        await response(scope, receive, send)


class NamedRoute(Route):
    """A route that adds itself to the scope, as FastAPI's do: metrics are counted by route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request matches this route, and what to add to its scope."""
        match, found = super().matches(scope)
        return match, ({**found, "route": self} if match is not Match.NONE else found)


def _body(name: str, examples: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, **examples}}


def document_predict(document: dict[str, Any]) -> None:
    """Add the route and its bodies to the OpenAPI document. FastAPI documents only its own routes."""
    document["paths"]["/predict"] = {
        "post": {
            "tags": ["forecasts"],
            "summary": "Forecast hours of counters",
            "description": DESCRIPTION,
            "operationId": "predict",
            "requestBody": {"required": True, "content": _body("PredictRequest", {"examples": EXAMPLES})},
            "responses": {
                "200": {
                    "description": "The forecasts, in the order of the records.",
                    "content": _body("PredictResponse", {"example": EXAMPLE_ANSWER}),
                },
                **{str(status): response for status, response in error_responses(404, 408, 413, 422, 500, 503).items()},
            },
        }
    }
    document.setdefault("components", {}).setdefault("schemas", {}).update(components())
