"""The API keys of a setting. Checking the key of a request belongs to `serving.security`."""

MIN_KEY_LENGTH = 16


def read_api_keys(text: str) -> dict[str, str]:
    """Return keys by name from `name:key,name:key`.

    Raises:
        ValueError: a part is not name:key, a key is too short or not ASCII, or a name occurs twice. The message shows
            no key.
    """
    keys: dict[str, str] = {}
    for position, part in enumerate(text.split(","), start=1):
        name, colon, key = (each.strip() for each in part.partition(":"))
        if not (name and colon):
            raise ValueError(f"part {position} has to be name:key")
        if len(key) < MIN_KEY_LENGTH or not key.isascii():
            raise ValueError(f"the key of {name} has to be {MIN_KEY_LENGTH} or more ASCII characters")
        if name in keys:
            raise ValueError(f"{name} occurs twice: give the newer key its own name")
        keys[name] = key
    return keys
