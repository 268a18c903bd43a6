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
POLL_EVERY_SECONDS = 0.5
ENDED_STATUSES = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_RUN_FIELDS = "runId jobName status creationTime startTime endTime"
_LAUNCH = f"""
mutation Launch($params: ExecutionParams!) {{
  launchRun(executionParams: $params) {{
    __typename
    ... on LaunchRunSuccess {{ run {{ {_RUN_FIELDS} }} }}
    ... on RunConfigValidationInvalid {{ errors {{ message }} }}
    ... on Error {{ message }}
  }}
}}
"""
_READ = f"""
query Read($id: ID!) {{
  runOrError(runId: $id) {{ __typename ... on Run {{ {_RUN_FIELDS} }} ... on Error {{ message }} }}
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
        return self.status in ENDED_STATUSES


class Orchestrator:
    """The Dagster of a platform.

    Args:
        address: address of its webserver.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def run_url(self, run_id: str) -> str:
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
        answer = (await self._query(_LAUNCH, {"params": params}))["launchRun"]
        if answer["__typename"] == "LaunchRunSuccess":
            return _run_from(answer["run"])
        if answer["__typename"] == "PipelineNotFoundError":
            detail = (
                "Dagster runs, but the platform's jobs are not loaded (yet): its UI shows the cause under Deployment."
            )
            raise Refusal(503, "jobs_not_loaded", detail)
        raise Refusal(
            502, "run_refused", f"Dagster refused to start {job} ({answer['__typename']}); its log has the cause."
        )

    async def run(self, run_id: str) -> DagsterRun | None:
        """Return a run, or None if there is no run with this id.

        Raises:
            Refusal: 503 if Dagster is not available, 502 if it refuses.
        """
        answer = (await self._query(_READ, {"id": run_id}))["runOrError"]
        return _run_from(answer) if answer["__typename"] == "Run" else None

    async def wait_for_end(self, started: DagsterRun, seconds: float) -> DagsterRun:
        """Wait until a run ends, at most so many seconds; return its last known state."""
        deadline, run = time.monotonic() + seconds, started
        while not run.has_ended and time.monotonic() < deadline:
            await asyncio.sleep(min(POLL_EVERY_SECONDS, max(0.0, deadline - time.monotonic())))
            run = await self.run(started.run_id) or run
        return run

    async def _query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        # Only connecting is retried. A request that was sent may have started a run.
        transport = httpx.AsyncHTTPTransport(retries=CONNECT_ATTEMPTS - 1)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                answer = await client.post(f"{self.address}/graphql", json={"query": query, "variables": variables})
                answer.raise_for_status()
                body = answer.json()
        except httpx.ConnectError:
            detail = "Dagster does not answer, so nothing was started; predictions still work. make run starts it."
            raise Refusal(503, "dagster_away", detail, headers={"Retry-After": "10"}) from None
        except httpx.TransportError:
            detail = f"Dagster did not answer within {TIMEOUT_SECONDS:g} s; check its runs before you retry."
            raise Refusal(503, "dagster_slow", detail, headers={"Retry-After": "10"}) from None
        except (httpx.HTTPStatusError, ValueError):
            raise Refusal(
                502, "not_dagster", "The server at Dagster's address does not speak Dagster's GraphQL."
            ) from None
        if body.get("errors") or not body.get("data"):
            raise Refusal(502, "query_refused", "Dagster refused the query: is it another version of Dagster?")
        return dict(body["data"])


def _run_from(fields: Mapping[str, Any]) -> DagsterRun:
    created, started, ended = (_utc_time(fields[name]) for name in ("creationTime", "startTime", "endTime"))
    return DagsterRun(fields["runId"], fields["jobName"], fields["status"], created, started, ended)


def _utc_time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
