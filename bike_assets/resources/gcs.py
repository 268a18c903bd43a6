"""Objects of a bucket on Google Cloud Storage: the client, its timeouts and retries, and clear error messages.

What the objects contain belongs to `gcs_registry` and `gcs_reports`. The first request imports Google's library, so
the embedded profile never loads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from bike_assets.core.gcp_settings import GcpSettings
from bike_assets.errors import BikeError, StepFailedError

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.storage import Blob, Bucket, Client

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 10.0, 60.0
RETRY_SECONDS = 60.0
"""Retry 408, 429, 5xx and dropped connections for this long; retry nothing else."""
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.5, 10.0
NEEDED_PERMISSIONS = ("storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list")
ROLE = "Storage Object User (roles/storage.objectUser)"


class ObjectChangedError(StepFailedError):
    """Another writer replaced the object since it was read; nothing was written."""


def folder_of(gcp: GcpSettings, prefix: str) -> "BucketFolder":
    """Return the objects below a prefix of the bucket in the settings; send no request yet.

    Raises:
        BikeError: the settings name no bucket.
    """
    if gcp.bucket is None:
        raise BikeError("BIKE_GCP__BUCKET is not set: it names the bucket of registry, reports and artifacts.")
    return BucketFolder(gcp.bucket, prefix, gcp.project, gcp.storage_endpoint)


@cache
def shared_client(project: str | None, endpoint: str | None) -> "Client":
    """Return this process's client. It is shared, because each new client requests a token.

    Args:
        project: the Google Cloud project; by default the project of the credentials.
        endpoint: address of an emulator, which needs no credentials; by default the real service.

    Raises:
        BikeError: the credentials are missing or cannot be read.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    if endpoint:
        options = {"api_endpoint": endpoint}
        return Client(project or "emulated", credentials=AnonymousCredentials(), client_options=options)
    try:
        return Client(project) if project else Client()
    except (GoogleAuthError, OSError) as error:
        raise _no_credentials(error) from None


class BucketFolder:
    """The objects of a bucket below a prefix.

    Every write names the generation that it replaces, so a retry or a second writer never overwrites another change.

    Args:
        bucket: name of the bucket.
        prefix: prefix of all object names, without a slash at its end.
        project: the Google Cloud project.
        endpoint: address of an emulator.
    """

    def __init__(self, bucket: str, prefix: str, project: str | None = None, endpoint: str | None = None) -> None:
        self.bucket, self.prefix, self._project, self._endpoint = bucket, prefix, project, endpoint

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.prefix}"

    def address(self, name: str) -> str:
        """Return the address of an object for messages: gs://bucket/prefix/name."""
        return f"{self}/{name}"

    def generation(self, name: str) -> int | None:
        """Return the generation of an object; None if it does not exist.

        Raises:
            BikeError: the service refuses, or returns no generation, without which no object can be replaced safely.
            StepFailedError: the service does not answer.
        """
        with self._translate_errors(name):
            blob = self._bucket.get_blob(self._path(name), **self._request_options())
        if blob is None:
            return None
        if blob.generation is None:
            raise BikeError(f"{self._endpoint or self} returns no generation of {self.address(name)}.")
        return int(blob.generation)

    def read(self, name: str) -> bytes | None:
        """Return the current content of an object; None if it does not exist.

        Raises:
            BikeError: the bucket does not exist, or the service refuses.
            StepFailedError: the service does not answer.
        """
        from google.api_core.exceptions import NotFound

        # Request the name without a generation: for a generation that was replaced meanwhile, the answer would be 404.
        with self._translate_errors(name):
            try:
                return bytes(self._blob(name).download_as_bytes(**self._request_options()))
            except NotFound:
                self._validate_bucket()
                return None

    def replace(self, name: str, content: bytes, generation: int, kind: str = "application/octet-stream") -> None:
        """Replace an object if it still has a generation; an object that already has this content is no error.

        Args:
            name: name of the object.
            content: its new content.
            generation: the generation to replace; 0 to create the object.
            kind: its media type, which browsers need.

        Raises:
            ObjectChangedError: the object has another generation and other content.
            BikeError: the bucket does not exist, or the service refuses.
            StepFailedError: the service does not answer.
        """
        from google.api_core.exceptions import PreconditionFailed

        try:
            with self._translate_errors(name):
                self._blob(name).upload_from_string(
                    content, kind, if_generation_match=generation, **self._request_options()
                )
        except PreconditionFailed:
            # If the answer to the first attempt got lost, the retry finds the object that this call stored itself.
            if self.read(name) == content:
                return
            raise ObjectChangedError(f"{self.address(name)} was replaced by another writer.") from None

    def names(self) -> list[str]:
        """Return the names of all objects, sorted."""
        with self._translate_errors(""):
            found = self._client.list_blobs(self.bucket, prefix=f"{self.prefix}/", **self._request_options())
            return sorted(blob.name.removeprefix(f"{self.prefix}/") for blob in found)

    def remove(self, name: str) -> None:
        """Remove an object; a missing object is no error."""
        from google.api_core.exceptions import NotFound

        with self._translate_errors(name):
            try:
                self._blob(name).delete(**self._request_options())
            except NotFound:
                return

    def validate_permissions(self) -> None:
        """Refuse a bucket on which the account lacks permissions; write nothing.

        Raises:
            BikeError: the bucket does not exist, or permissions are missing; the message names them.
            StepFailedError: the service does not answer.
        """
        with self._translate_errors(""):
            granted = self._bucket.test_iam_permissions(list(NEEDED_PERMISSIONS), **self._request_options())
        missing = [name for name in NEEDED_PERMISSIONS if name not in granted]
        if missing:
            raise BikeError(
                f"gs://{self.bucket} does not permit {', '.join(missing)}: the account needs the role {ROLE}."
            )

    def location(self) -> str:
        """Return the bucket's location.

        Raises:
            BikeError: the bucket does not exist, or this account may not read its location.
            StepFailedError: the service does not answer.
        """
        with self._translate_errors(""):
            return str(self._client.get_bucket(self.bucket, **self._request_options()).location)

    @property
    def _client(self) -> "Client":
        return shared_client(self._project, self._endpoint)

    @property
    def _bucket(self) -> "Bucket":
        return self._client.bucket(self.bucket)

    def _blob(self, name: str) -> "Blob":
        return self._bucket.blob(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _request_options(self) -> dict[str, Any]:
        return {"timeout": (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS), "retry": retry_policy()}

    def _validate_bucket(self) -> None:
        """Raise NotFound if the bucket is missing. Listing needs no permission beyond those of `ROLE`."""
        next(
            iter(self._client.list_blobs(self.bucket, prefix=self.prefix, max_results=1, **self._request_options())),
            None,
        )

    @contextmanager
    def _translate_errors(self, name: str) -> Iterator[None]:
        """Translate the service's errors into one sentence with a remedy; let PreconditionFailed pass."""
        import requests
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.exceptions import DataCorruption

        place = self.address(name)
        try:
            yield
        except exceptions.PreconditionFailed:
            raise
        except exceptions.NotFound:
            raise BikeError(
                f"The bucket gs://{self.bucket} does not exist: create it, or name another with BIKE_GCP__BUCKET."
            ) from None
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise BikeError(
                f"{place}: no permission ({_line(error)}): the account needs the role {ROLE} on gs://{self.bucket}."
            ) from None
        except (exceptions.GoogleAPIError, requests.RequestException, DataCorruption, TransportError) as error:
            raise StepFailedError(f"{place}: Cloud Storage failed: {_line(error)}.") from None
        except GoogleAuthError as error:
            raise _no_credentials(error) from None


def retry_policy() -> "Retry":
    """Return which requests to retry and for how long. Every request of this module can be repeated safely."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    waits = DEFAULT_RETRY.with_delay(initial=FIRST_WAIT_SECONDS, maximum=MAX_WAIT_SECONDS, multiplier=2)
    return waits.with_timeout(RETRY_SECONDS)


def _no_credentials(error: Exception) -> BikeError:
    return BikeError(
        f"Google's credentials cannot be used ({_line(error)}): type gcloud auth application-default login, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a valid key file."
    )


def _line(error: Exception) -> str:
    """Return the error of the service or the connection on one line; after failed retries, that of the last one."""
    cause = getattr(error, "cause", None) or error
    answer = getattr(cause, "response", None)
    message = str(cause) if answer is None else f"{answer.status_code} {_message(answer) or answer.reason}"
    return (message.strip() or type(cause).__name__).splitlines()[0].rstrip(".")


def _message(answer: Any) -> str:
    """Return the service's own error message; empty if the answer is not JSON, such as a proxy's HTML page."""
    try:
        return str(answer.json()["error"]["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return ""
