"""What BigQuery's failures mean: which of them to retry, and the messages for the others.

Every retry has a time limit. The requests belong to `bigquery_jobs`, `bigquery_tables` and `bigquery_warehouse`.
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
"""How long one request may take without an answer."""
RETRY_SECONDS = 90.0
"""How long to retry a request while the service is busy or unreachable."""
JOB_RETRY_SECONDS = 300.0
"""How long to restart a statement that other statements or the service interrupted."""
RETRIED_REASONS = {"jobBackendError", "jobInternalError", "jobRateLimitExceeded"}
CONCURRENT_UPDATE = "due to concurrent update"
"""BigQuery's message for a statement that changed rows while another statement changed them."""
QUOTA_REASONS = {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"}
_ADDRESS = re.compile(r"^[A-Z]+ https?://\S+: ")
BYTES_LIMIT_REASON = "bytesBilledLimitExceeded"


def request_retry() -> retry.Retry:
    """Return the retry for one request: 5xx, rate limits and dropped connections, as Google's library defines them."""
    return DEFAULT_RETRY.with_delay(initial=0.5, maximum=15).with_timeout(RETRY_SECONDS)


def statement_retry() -> retry.Retry:
    """Return the retry for a statement: start a new job if the service or another writer ended the one before."""
    return retry.Retry(predicate=_is_retried, initial=0.5, maximum=20, timeout=JOB_RETRY_SECONDS)


def _is_retried(error: BaseException) -> bool:
    return isinstance(error, exceptions.GoogleAPICallError) and (
        CONCURRENT_UPDATE in str(error) or reason(error) in RETRIED_REASONS
    )


def raise_job_error(job: QueryJob) -> None:
    """Raise a job's own error, if it failed: the request for its rows reports only a busy service."""
    job.reload(retry=request_retry(), timeout=REQUEST_TIMEOUT_SECONDS)
    if job.error_result:
        raise job.exception(timeout=REQUEST_TIMEOUT_SECONDS)


def reason(error: BaseException) -> str:
    """Return Google's reason code of an error, or an empty string."""
    details: list[Any] = getattr(error, "errors", None) or []
    return str(details[0].get("reason", "")) if details and isinstance(details[0], dict) else ""


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Translate failures of the service into errors with a sentence for the user.

    Args:
        doing: the action for the message, such as "reading bike_traffic_raw.comptage_velo".

    Raises:
        BikeError: the credentials are missing, expired or not sufficient.
        StepFailedError: the service failed, or the requested dataset or table does not exist.
    """
    try:
        yield
    except exceptions.RetryError as error:
        raise _translated(doing, error.cause or error, retried=True) from error
    except (GoogleAuthError, exceptions.GoogleAPICallError, requests.RequestException, TimeoutError) as error:
        raise _translated(doing, error, retried=False) from error


def _translated(doing: str, error: BaseException, retried: bool) -> Exception:
    if isinstance(error, (GoogleAuthError, exceptions.Unauthorized)):
        return BikeError(_credentials_message(doing, error))
    if isinstance(error, exceptions.NotFound):
        return StepFailedError(
            f"BigQuery did not find it ({doing}): {_sentence(error)}: bike warehouse init creates datasets and tables."
        )
    if reason(error) in QUOTA_REASONS or isinstance(error, exceptions.TooManyRequests):
        return StepFailedError(
            f"A quota of BigQuery is used up ({doing}): {_sentence(error)}: try later, or ask for a larger quota."
        )
    if isinstance(error, exceptions.Forbidden):
        return BikeError(
            f"BigQuery does not permit it ({doing}): {_sentence(error)}: the account needs the roles BigQuery Data "
            "Editor, Job User and Read Session User, and the dataset has to exist (bike warehouse init)."
        )
    if reason(error) == BYTES_LIMIT_REASON:
        return StepFailedError(
            f"BigQuery refused to bill it ({doing}): {_sentence(error)}: BIKE_GCP__MAX_BYTES_BILLED is the limit."
        )
    if isinstance(error, exceptions.ClientError):
        return StepFailedError(f"BigQuery refused it ({doing}): {_sentence(error)}.")
    retries = f" despite retries for {RETRY_SECONDS:.0f} s" if retried else ""
    return StepFailedError(f"BigQuery failed{retries} ({doing}): {_sentence(error)}: nothing is half-written.")


def _credentials_message(doing: str, error: BaseException) -> str:
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
    """Return the first line of the service's message, without the address of the request."""
    line = (str(getattr(error, "message", None) or "").strip() or str(error) or type(error).__name__).splitlines()[0]
    return _ADDRESS.sub("", line).rstrip(".")
