"""What a client has to know of a public service: addresses, names, key and patience. Requests belong to `resources`."""

from dataclasses import dataclass

from pydantic import SecretStr

from bike_assets.core.published_form import PublishedForm


@dataclass(frozen=True)
class Retries:
    """How long a client waits for an answer, and how often it asks.

    Attributes:
        timeout_seconds: seconds of silence after which a request fails.
        attempts: maximum number of attempts for one request.
        backoff_seconds: the wait before the second attempt. Later waits double.
    """

    timeout_seconds: float
    attempts: int
    backoff_seconds: float


@dataclass(frozen=True)
class PortalAccess:
    """How to reach one dataset of one portal.

    Attributes:
        addresses: scheme, host and port; several addresses of one portal are separated by spaces.
        dataset: identifier of the dataset on the portal.
        form: what its rows mean, with the field for each column of the platform.
        api_key: key for the portal's larger quota; None if there is none.
        retries: how long and how often to ask.
        quota_wait_seconds: maximum wait for the portal to reset a spent quota.
    """

    addresses: str
    dataset: str
    form: PublishedForm
    api_key: SecretStr | None
    retries: Retries
    quota_wait_seconds: float
