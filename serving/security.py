"""API keys for the endpoints that start work. Each key has the name of its holder."""

from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from bike_assets.settings import Settings
from serving.wire import Refusal

HEADER = "X-API-Key"
NO_KEYS = (
    "No API keys are set, so this is not allowed: start the server with BIKE_API_KEYS=name:key, the key of 16 or more "
    "characters, and send it as X-API-Key."
)
_header = APIKeyHeader(name=HEADER, auto_error=False, description="One of the keys in BIKE_API_KEYS.")


async def key_holder(request: Request, sent: Annotated[str | None, Security(_header)] = None) -> str:
    """Return the name of the holder of the request's key.

    Raises:
        Refusal: 403 if the application has no keys, 401 if the key is missing or unknown.
    """
    keys: dict[str, bytes] = request.app.state.keys
    if not keys:
        raise Refusal(403, "no_keys_set", NO_KEYS)
    # All keys are compared in constant time, so that the duration reveals nothing.
    matching = [name for name, key in keys.items() if compare_digest(key, (sent or "").encode())]
    if not matching:
        detail = f"The API key is {'unknown' if sent else 'missing'}: send it as {HEADER}."
        raise Refusal(401, "unknown_key", detail, headers={"WWW-Authenticate": HEADER})
    return matching[0]


KeyHolder = Annotated[str, Depends(key_holder)]


def keys_of(settings: Settings) -> dict[str, bytes]:
    """Return the keys of the settings, by name."""
    return {name: key.encode() for name, key in settings.keys_by_name.items()}
