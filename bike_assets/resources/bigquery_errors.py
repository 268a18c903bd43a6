"""What failures of BigQuery mean: which are worth another try, and what people are told of the others.

Each request is tried again here for a bounded time. What is asked belongs to `bigquery_warehouse`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core import exceptions, retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.bigquery import DEFAULT_RETRY, QueryJob

from bike_assets.errors import BikeError, StepFailedError

REQUEST_TIMEOUT_SECONDS = 60.0
"""Silence after which one request is given up."""
RETRY_SECONDS = 90.0
"""How long a request is tried again while the service is busy or away."""
JOB_RETRY_SECONDS = 300.0
"""How long a statement is begun again that others got in the way of."""
BEGUN_AGAIN = {"jobBackendError", "jobInternalError", "jobRateLimitExceeded"}
OVERTAKEN = "due to concurrent update"
"""BigQuery says so of a statement that changed rows which another one was changing."""
USED_UP = {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"}
_ADDRESS = re.compile(r"^[A-Z]+ https?://\S+: ")
OVER_LIMIT = "bytesBilledLimitExceeded"


def request_retry() -> retry.Retry:
    """Try a request again that Google says may succeed later: 5xx, rate limits, broken connections."""
    return DEFAULT_RETRY.with_delay(initial=0.5, maximum=15).with_timeout(RETRY_SECONDS)


def statement_retry() -> retry.Retry:
    """Begin a statement again, as a new job, where the one before was ended by the service or by another writer."""
    return retry.Retry(predicate=_begins_again, initial=0.5, maximum=20, timeout=JOB_RETRY_SECONDS)


def _begins_again(error: BaseException) -> bool:
    return isinstance(error, exceptions.GoogleAPICallError) and (
        OVERTAKEN in str(error) or reason(error) in BEGUN_AGAIN
    )


def raise_as_ended(job: QueryJob) -> None:
    """Raise what a job failed with, if it has: who asks for its rows is told of that as if the service were busy."""
    job.reload(retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)
    if job.error_result:
        raise job.exception(timeout=REQUEST_TIMEOUT_SECONDS)


def reason(error: BaseException) -> str:
    """Google's own word for what went wrong, or nothing."""
    details: list[Any] = getattr(error, "errors", None) or []
    return str(details[0].get("reason", "")) if details and isinstance(details[0], dict) else ""


@contextmanager
def told_plainly(doing: str) -> Iterator[None]:
    """Turn failures of the service into sentences.

    Args:
        doing: what was tried, as "reading bike_traffic_raw.comptage_velo".

    Raises:
        BikeError: there are no credentials, or they expired, or they do not suffice.
        StepFailedError: the service failed, or lacks what was asked for.
    """
    try:
        yield
    except exceptions.RetryError as error:
        raise _failure(doing, error.cause or error, tried=True) from error
    except (GoogleAuthError, exceptions.GoogleAPICallError, requests.RequestException, TimeoutError) as error:
        raise _failure(doing, error, tried=False) from error


def _failure(doing: str, error: BaseException, tried: bool) -> Exception:
    if isinstance(error, (GoogleAuthError, exceptions.Unauthorized)):
        return BikeError(_about_credentials(doing, error))
    if isinstance(error, exceptions.NotFound):
        return StepFailedError(
            f"BigQuery has no such thing ({doing}): {_sentence(error)}: bike warehouse init makes datasets and tables."
        )
    if reason(error) in USED_UP or isinstance(error, exceptions.TooManyRequests):
        return StepFailedError(
            f"A quota of BigQuery is used up ({doing}): {_sentence(error)}: try later, or ask for a larger quota."
        )
    if isinstance(error, exceptions.Forbidden):
        return BikeError(
            f"BigQuery does not permit it ({doing}): {_sentence(error)}: the account needs the roles BigQuery Data "
            "Editor, Job User and Read Session User, and the dataset has to exist (bike warehouse init)."
        )
    if reason(error) == OVER_LIMIT:
        return StepFailedError(
            f"BigQuery refused to bill it ({doing}): {_sentence(error)}: BIKE_GCP__MAX_BYTES_BILLED is the limit."
        )
    if isinstance(error, exceptions.ClientError):
        return StepFailedError(f"BigQuery refused it ({doing}): {_sentence(error)}.")
    again = f" within {RETRY_SECONDS:.0f} s, though asked again and again" if tried else ""
    return StepFailedError(f"BigQuery did not do it{again} ({doing}): {_sentence(error)}: nothing is half-written.")


def _about_credentials(doing: str, error: BaseException) -> str:
    if isinstance(error, DefaultCredentialsError):
        return (
            f"Google's libraries find no credentials ({doing}): type gcloud auth application-default login, or name a "
            "key's file in GOOGLE_APPLICATION_CREDENTIALS."
        )
    return (
        f"Google did not accept the credentials ({doing}): {_sentence(error)}: type gcloud auth application-default "
        "login, or renew the account's key."
    )


def _sentence(error: BaseException) -> str:
    """The first line of what the service said, without the address that was asked."""
    said = (str(getattr(error, "message", None) or "").strip() or str(error) or type(error).__name__).splitlines()[0]
    return _ADDRESS.sub("", said).rstrip(".")
