"""Endpoints that start a Dagster job, and one that returns a run. The jobs work and audit as usual.

Each endpoint needs an API key. The name of its holder is stored in the run's tags and, for a promotion, in the audit.
"""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bike_assets.core.families import FAMILIES
from bike_assets.core.splits import TEST_BASELINE, TEST_CURRENT, TRAIN_BASELINE, TRAIN_CURRENT
from bike_assets.run_tags import CAUSE_TAG, PARTITION_TAG
from bike_assets.settings import Settings
from serving.keeper import Keeper
from serving.orchestrator import DagsterRun, Orchestrator
from serving.refusals import error_responses
from serving.security import KeyHolder
from serving.wire import Refusal

MAX_WAIT_SECONDS = 600
SETS = (TRAIN_BASELINE, TEST_BASELINE, TRAIN_CURRENT, TEST_CURRENT)
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the end of the run.")]


class RequestBody(BaseModel):
    """Base of the request bodies: no unknown fields, no values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TrainRequest(RequestBody):
    """What to train."""

    families: Annotated[list[str], Field(min_length=1, max_length=len(FAMILIES))] = Field(
        list(FAMILIES), description="Model families; all by default.", examples=[["gradient_boosting", "blend"]]
    )
    test_mode: bool = Field(False, description="Train on a sample, in seconds, as a check; nothing is registered.")


class DriftRequest(RequestBody):
    """The day to check for drift."""

    day: date | None = Field(
        None, description="A local day of counts; the newest by default.", strict=False, examples=["2026-11-22"]
    )

    @field_validator("day", mode="before")
    @classmethod
    def _require_text(cls, day: object) -> object:
        if day is not None and not isinstance(day, str):
            raise ValueError("it has to be a text such as 2026-11-22")
        return day


class PromoteRequest(RequestBody):
    """The version to promote, and why."""

    version: int = Field(ge=1, le=2**31 - 1, examples=[3])
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S", examples=["version 4 is wrong on Sundays"])


class RunAnswer(BaseModel):
    """A Dagster run."""

    run_id: str
    job: str
    status: str = Field(examples=["QUEUED", "STARTED", "SUCCESS", "FAILURE", "CANCELED"])
    url: str = Field(description="Its page in Dagster's UI, with its steps and errors.")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


def operations_router(keeper: Keeper, settings: Settings) -> APIRouter:
    """Return the routes that start and read runs."""
    orchestrator = Orchestrator(settings.dagster_address)
    router = APIRouter(tags=["operations"], responses=error_responses(401, 403, 422, 500, 502, 503))
    started: dict[str, Any] = {
        "status_code": 202,
        "responses": {
            200: {"model": RunAnswer, "description": "The run ended within the wait."},
            **error_responses(408, 413),
        },
    }

    async def start(response: Response, wait: float, job: str, holder: str, **options: Any) -> RunAnswer:
        tags = {CAUSE_TAG: f"{holder} asked for it through the API", **options.pop("tags", {})}
        run = await orchestrator.wait_for_end(await orchestrator.launch(job, tags=tags, **options), wait)
        response.status_code = 200 if run.has_ended else 202
        return _run_answer(orchestrator, run)

    @router.post("/train", summary="Train, evaluate, promote if better", **started)
    async def train(response: Response, holder: KeyHolder, body: TrainRequest, wait: Wait = 0) -> RunAnswer:
        """Cut the sets, train, evaluate twice and promote what passes. The audit marks it as forced."""
        unknown = sorted(set(body.families) - set(FAMILIES))
        if unknown:
            detail = f"families: there is no {', '.join(unknown)}; there are {', '.join(FAMILIES)}."
            raise Refusal(422, "unknown_family", detail)
        if body.test_mode:
            config = {"ops": {"trial": {"config": {"families": body.families}}}}
            return await start(response, wait, "try_training", holder, config=config)
        assets = (
            None if set(body.families) == set(FAMILIES) else [*SETS, *body.families, "double_evaluation", "champion"]
        )
        return await start(response, wait, "retrain", holder, assets=assets)

    @router.post("/evaluate", summary="Evaluate again", **started)
    async def evaluate(response: Response, holder: KeyHolder, wait: Wait = 0) -> RunAnswer:
        """Evaluate the best challenger on the sets as they were last cut, without a promotion."""
        return await start(response, wait, "evaluate", holder)

    @router.post("/drift", summary="Measure drift again", **started)
    async def drift(
        response: Response, holder: KeyHolder, body: DriftRequest | None = None, wait: Wait = 0
    ) -> RunAnswer:
        """Measure the drift of the 7 days to a day, and apply the retrain matrix."""
        newest = keeper.current().city.newest
        day = (body and body.day) or newest
        if day > newest:
            raise Refusal(422, "no_counts_yet", f"day: {day} has no whole day of counts yet; the newest is {newest}.")
        return await start(response, wait, "drift", holder, tags={PARTITION_TAG: day.isoformat()})

    @router.post("/promote_champion", summary="Promote a version", **_with_errors(started, 404, 409))
    async def promote_champion(
        response: Response, holder: KeyHolder, body: PromoteRequest, wait: Wait = 0
    ) -> RunAnswer:
        """Promote a version by hand, for example an older one. The audit records the key's name and the reason."""
        entry = keeper.summary.entry(body.version)
        if entry is None:
            raise Refusal(404, "unknown_model", f"There is no version {body.version}: GET /models lists them.")
        if entry.is_champion:
            raise Refusal(409, "already_champion", f"Version {body.version} is the champion already.")
        config = {"version": body.version, "by": holder, "reason": body.reason}
        return await start(response, wait, "promote", holder, config={"ops": {"champion": {"config": config}}})

    @router.get("/runs/{run_id}", summary="Status of a run", responses=error_responses(404))
    async def run(run_id: UUID, holder: KeyHolder) -> RunAnswer:
        """Return the status of a run."""
        found = await orchestrator.run(str(run_id))
        if found is None:
            raise Refusal(404, "unknown_run", f"Dagster has no run {run_id}.")
        return _run_answer(orchestrator, found)

    return router


def _with_errors(route: dict[str, Any], *statuses: int) -> dict[str, Any]:
    return {**route, "responses": {**route["responses"], **error_responses(*statuses)}}


def _run_answer(orchestrator: Orchestrator, run: DagsterRun) -> RunAnswer:
    return RunAnswer(**vars(run), url=orchestrator.run_url(run.run_id))
