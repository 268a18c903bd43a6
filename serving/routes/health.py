"""Endpoints for machines: liveness, readiness and metrics."""

from datetime import date, datetime
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.refusals import error_responses


class TroubleAnswer(BaseModel):
    """A part that cannot be read."""

    part: str = Field(examples=["registry"])
    detail: str
    since: datetime


class ReadyAnswer(BaseModel):
    """The version that serves, and the parts that cannot be read. `degraded` means that older data keep serving."""

    status: Literal["ready", "degraded"]
    version: int
    family: str
    counts_until: date
    troubles: list[TroubleAnswer]


class AliveAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


def health_router(keeper: Keeper, metrics: Metrics) -> APIRouter:
    """Return the routes of health and metrics."""
    router = APIRouter(tags=["health"], responses=error_responses(500))

    @router.get("/healthz", summary="Alive")
    async def healthz() -> AliveAnswer:
        """Return ok while the process is alive. It does not check the champion."""
        return AliveAnswer()

    @router.get("/readyz", summary="Ready", responses=error_responses(503))
    async def readyz() -> ReadyAnswer:
        """Return the version that serves, and the parts that cannot be read; 503 if there is no champion."""
        serving, troubles = keeper.current(), list(keeper.troubles.values())
        return ReadyAnswer(
            status="degraded" if troubles else "ready",
            version=serving.champion.entry.version,
            family=serving.champion.entry.family,
            counts_until=serving.city.newest,
            troubles=[TroubleAnswer(**vars(trouble)) for trouble in troubles],
        )

    @router.get(
        "/metrics",
        summary="Metrics",
        response_class=Response,
        responses={200: {"description": "Prometheus's text format.", "content": {"text/plain": {}}}},
    )
    def exposition() -> Response:
        """Return the metrics of all workers, for Prometheus."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router
