"""Endpoints that start a Dagster job, and one that returns a run. The jobs work and audit as usual.

Each endpoint needs an API key. The name of its holder is stored in the run's tags and, for a promotion, in the audit.
"""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bike_assets.core.families import FAMILIES
from bike_assets.resources.queries import TEST_BASELINE, TEST_CURRENT, TRAIN_BASELINE, TRAIN_CURRENT
from bike_assets.run_tags import CAUSE_TAG, PARTITION_TAG
from bike_assets.settings import Settings
from serving.keeper import Keeper
from serving.orchestrator import DagsterRun, Orchestrator
from serving.refusals import documented
from serving.security import Holder
from serving.wire import Refusal

LONGEST_WAIT_SECONDS = 600
SETS = (TRAIN_BASELINE, TEST_BASELINE, TRAIN_CURRENT, TEST_CURRENT)
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait for the run's end.")]


class Asked(BaseModel):
    """Base of the request bodies: no unknown fields, no values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TrainRequest(Asked):
    """What to train."""

    families: Annotated[list[str], Field(min_length=1, max_length=len(FAMILIES))] = Field(
        list(FAMILIES), description="Model families; all by default.", examples=[["gradient_boosting", "blend"]]
    )
    test_mode: bool = Field(
        False, description="Train in seconds on a sample, to see that it works; nothing is registered."
    )


class DriftRequest(Asked):
    """The day to check for drift."""

    day: date | None = Field(
        None, description="A local day of counts; the newest by default.", strict=False, examples=["2026-11-22"]
    )

    @field_validator("day", mode="before")
    @classmethod
    def _is_a_text(cls, day: object) -> object:
        if day is not None and not isinstance(day, str):
            raise ValueError("it has to be a text such as 2026-11-22")
        return day


class PromoteRequest(Asked):
    """The version to promote, and why."""

    version: int = Field(ge=1, le=2**31 - 1, examples=[3])
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S", examples=["version 4 is wrong on Sundays"])


class RunAnswer(BaseModel):
    """A Dagster run."""

    run_id: str
    job: str
    status: str = Field(examples=["QUEUED", "STARTED", "SUCCESS", "FAILURE", "CANCELED"])
    url: str = Field(description="Its page in Dagster's UI, which tells what it did and why it failed.")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


def operations_router(keeper: Keeper, settings: Settings) -> APIRouter:
    """Return the routes that start and read runs."""
    orchestrator = Orchestrator(settings.dagster_address)
    router = APIRouter(tags=["operations"], responses=documented(401, 403, 422, 500, 502, 503))
    started: dict[str, Any] = {
        "status_code": 202,
        "responses": {
            200: {"model": RunAnswer, "description": "The run has ended within the wait."},
            **documented(408, 413),
        },
    }

    async def start(response: Response, wait: float, job: str, who: str, **options: Any) -> RunAnswer:
        tags = {CAUSE_TAG: f"{who} asked for it through the API", **options.pop("tags", {})}
        run = await orchestrator.ended(await orchestrator.launch(job, tags=tags, **options), wait)
        response.status_code = 200 if run.has_ended else 202
        return _answer(orchestrator, run)

    @router.post("/train", summary="Train, evaluate, promote what passes", **started)
    async def train(response: Response, who: Holder, asked: TrainRequest, wait: Wait = 0) -> RunAnswer:
        """Cut the sets, train, evaluate twice and promote what passes. The audit marks it as forced."""
        unknown = sorted(set(asked.families) - set(FAMILIES))
        if unknown:
            told = f"families: there is no {', '.join(unknown)}; there are {', '.join(FAMILIES)}."
            raise Refusal(422, "unknown_family", told)
        if asked.test_mode:
            config = {"ops": {"trial": {"config": {"families": asked.families}}}}
            return await start(response, wait, "try_training", who, config=config)
        assets = (
            None if set(asked.families) == set(FAMILIES) else [*SETS, *asked.families, "double_evaluation", "champion"]
        )
        return await start(response, wait, "retrain", who, assets=assets)

    @router.post("/evaluate", summary="Evaluate once more", **started)
    async def evaluate(response: Response, who: Holder, wait: Wait = 0) -> RunAnswer:
        """Evaluate the best challenger on the sets as they were last cut, without a promotion."""
        return await start(response, wait, "evaluate", who)

    @router.post("/drift", summary="Look for drift once more", **started)
    async def drift(response: Response, who: Holder, asked: DriftRequest | None = None, wait: Wait = 0) -> RunAnswer:
        """Measure the drift of the 7 days to a day, and apply the retrain matrix."""
        newest = keeper.take().city.newest
        day = (asked and asked.day) or newest
        if day > newest:
            raise Refusal(422, "no_counts_yet", f"day: {day} has no whole day of counts yet; the newest is {newest}.")
        return await start(response, wait, "drift", who, tags={PARTITION_TAG: day.isoformat()})

    @router.post("/promote_champion", summary="Let a version serve", **_also(started, 404, 409))
    async def promote_champion(response: Response, who: Holder, asked: PromoteRequest, wait: Wait = 0) -> RunAnswer:
        """Promote a version by hand, for example an older one. The audit records the key's name and the reason."""
        entry = keeper.summary.entry(asked.version)
        if entry is None:
            raise Refusal(404, "unknown_model", f"There is no version {asked.version}: GET /models lists them.")
        if entry.is_champion:
            raise Refusal(409, "already_champion", f"Version {asked.version} is the champion already.")
        config = {"version": asked.version, "by": who, "reason": asked.reason}
        return await start(response, wait, "promote", who, config={"ops": {"champion": {"config": config}}})

    @router.get("/runs/{run_id}", summary="A run that was started", responses=documented(404))
    async def run(run_id: UUID, who: Holder) -> RunAnswer:
        """Return the status of a run."""
        found = await orchestrator.run(str(run_id))
        if found is None:
            raise Refusal(404, "unknown_run", f"Dagster knows no run {run_id}.")
        return _answer(orchestrator, found)

    return router


def _also(route: dict[str, Any], *statuses: int) -> dict[str, Any]:
    return {**route, "responses": {**route["responses"], **documented(*statuses)}}


def _answer(orchestrator: Orchestrator, run: DagsterRun) -> RunAnswer:
    return RunAnswer(**vars(run), url=orchestrator.page_of(run.run_id))
