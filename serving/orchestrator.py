"""A client of Dagster's GraphQL API: start a job, read a run. The routes choose the jobs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from serving.wire import Refusal

LOCATION, REPOSITORY = "bike_assets", "__repository__"
TIMEOUT_SECONDS = 10.0
CONNECT_ATTEMPTS = 3
LOOK_EVERY_SECONDS = 0.5
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_RUN = "runId jobName status creationTime startTime endTime"
_LAUNCH = f"""
mutation Launch($params: ExecutionParams!) {{
  launchRun(executionParams: $params) {{
    __typename
    ... on LaunchRunSuccess {{ run {{ {_RUN} }} }}
    ... on RunConfigValidationInvalid {{ errors {{ message }} }}
    ... on Error {{ message }}
  }}
}}
"""
_LOOK = f"""
query Look($id: ID!) {{
  runOrError(runId: $id) {{ __typename ... on Run {{ {_RUN} }} ... on Error {{ message }} }}
}}
"""


@dataclass(frozen=True)
class DagsterRun:
    """A run as Dagster reports it; times in UTC."""

    run_id: str
    job: str
    status: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in ENDED


class Orchestrator:
    """The Dagster of a platform.

    Args:
        address: address of its webserver.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def page_of(self, run_id: str) -> str:
        """Return a run's page in Dagster's UI."""
        return f"{self.address}/runs/{run_id}"

    async def launch(
        self,
        job: str,
        *,
        tags: Mapping[str, str],
        assets: Sequence[str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> DagsterRun:
        """Start a job, or some of its assets.

        Raises:
            Refusal: 503 if Dagster or its code location is not available, 502 if Dagster refuses.
        """
        selector = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, "jobName": job}
        if assets is not None:
            selector["assetSelection"] = [{"path": [name]} for name in assets]  # type: ignore[assignment]
        params = {
            "selector": selector,
            "runConfigData": dict(config or {}),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        told = (await self._ask(_LAUNCH, {"params": params}))["launchRun"]
        if told["__typename"] == "LaunchRunSuccess":
            return _run(told["run"])
        if told["__typename"] == "PipelineNotFoundError":
            away = (
                "Dagster runs, but the platform's jobs are not loaded there (yet): its UI, under Deployment, says why."
            )
            raise Refusal(503, "jobs_not_loaded", away)
        raise Refusal(502, "run_refused", f"Dagster refused to start {job} ({told['__typename']}); its log says why.")

    async def run(self, run_id: str) -> DagsterRun | None:
        """Return a run, or None if there is no run with this id.

        Raises:
            Refusal: 503 if Dagster is not available, 502 if it refuses.
        """
        told = (await self._ask(_LOOK, {"id": run_id}))["runOrError"]
        return _run(told) if told["__typename"] == "Run" else None

    async def ended(self, started: DagsterRun, seconds: float) -> DagsterRun:
        """Wait until a run ends, at most so many seconds; return its last known state."""
        deadline, run = time.monotonic() + seconds, started
        while not run.has_ended and time.monotonic() < deadline:
            await asyncio.sleep(min(LOOK_EVERY_SECONDS, max(0.0, deadline - time.monotonic())))
            run = await self.run(started.run_id) or run
        return run

    async def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        # Only connecting is retried. A request that was sent may have started a run.
        transport = httpx.AsyncHTTPTransport(retries=CONNECT_ATTEMPTS - 1)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                answer = await client.post(f"{self.address}/graphql", json={"query": query, "variables": variables})
                answer.raise_for_status()
                body = answer.json()
        except httpx.ConnectError:
            away = "Dagster does not answer, so nothing was started; predictions go on. make run starts it."
            raise Refusal(503, "dagster_away", away, headers={"Retry-After": "10"}) from None
        except httpx.TransportError:
            slow = f"Dagster did not answer within {TIMEOUT_SECONDS:g} s; look at its runs before you ask again."
            raise Refusal(503, "dagster_slow", slow, headers={"Retry-After": "10"}) from None
        except (httpx.HTTPStatusError, ValueError):
            raise Refusal(502, "not_dagster", "What answers in Dagster's place does not speak its GraphQL.") from None
        if body.get("errors") or not body.get("data"):
            raise Refusal(502, "query_refused", "Dagster does not take the query: is it another version of it?")
        return dict(body["data"])


def _run(told: Mapping[str, Any]) -> DagsterRun:
    created, started, ended = (_moment(told[name]) for name in ("creationTime", "startTime", "endTime"))
    return DagsterRun(told["runId"], told["jobName"], told["status"], created, started, ended)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
