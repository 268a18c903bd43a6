"""Checks the value of one setting, and describes a value that is not accepted.

A check returns the value in its final form, or raises ValueError with what was expected. The list of the settings,
their meaning, the city's file and the environment belong to `bike_assets.settings`.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, SecretStr, ValidationError
from pydantic_settings import SettingsError

from bike_assets.core.api_keys import read_api_keys
from bike_assets.core.calendar import has_holidays

_WEB_ADDRESS = re.compile(r"https?://[\w.-]+(:\d{1,5})?(/\S*)?")


def _is_address(url: str) -> bool:
    """Whether a text is a scheme, a host and an optional port, and nothing else."""
    parts = urlsplit(url)
    try:
        known_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and known_port and not rest


def _check_address(url: str) -> str:
    """Return the address without a slash at its end."""
    if not _is_address(url):
        raise ValueError("it has to be scheme, host and port, such as https://data.example.org, and no path")
    return url.rstrip("/")


def _check_addresses(urls: str) -> str:
    """Return one or several addresses, separated by single spaces."""
    if not urls.split():
        raise ValueError("it names no address")
    return " ".join(_check_address(url) for url in urls.split())


def _check_webhook(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not _WEB_ADDRESS.fullmatch(url.get_secret_value()):
        raise ValueError("it has to be an address with http:// or https://, as Discord shows it")
    return url


def _check_api_keys(keys: SecretStr | None) -> SecretStr | None:
    if keys is not None:
        read_api_keys(keys.get_secret_value())
    return keys


def _check_file(path: Path | None) -> Path | None:
    """Return the absolute path of a file that exists."""
    if path is not None and not path.expanduser().is_file():
        raise ValueError("it is not a file")
    return path and path.expanduser().absolute()


def _check_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("it is no time zone such as Europe/Paris") from None
    return name


def _check_country(code: str) -> str:
    if not has_holidays(code):
        raise ValueError("it is no ISO code of a country whose public holidays are known, such as FR")
    return code


Address = Annotated[str, AfterValidator(_check_address)]
Addresses = Annotated[str, AfterValidator(_check_addresses)]
Webhook = Annotated[SecretStr | None, AfterValidator(_check_webhook)]
ApiKeys = Annotated[SecretStr | None, AfterValidator(_check_api_keys)]
ExistingFile = Annotated[Path | None, AfterValidator(_check_file)]
TimeZone = Annotated[str, AfterValidator(_check_timezone)]
Country = Annotated[str, AfterValidator(_check_country)]


def describe_invalid_json(error: SettingsError) -> str:
    """Name the variable that has to be JSON and is not."""
    found = re.search(r'field "(\w+)"', str(error))
    return f"BIKE_{found[1].upper() if found else '...'} has to be JSON, such as an object."


def describe_first_error(error: ValidationError, secrets: Collection[str]) -> str:
    """Describe the first value that is not accepted, with the name of its setting.

    Args:
        error: what pydantic raised.
        secrets: names of the settings whose values must not be shown.
    """
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"The settings do not fit together: {message}."
    name = "__".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"BIKE_{name.upper()} is not set, and the city's file has no {name} either."
    shown = f"BIKE_{name.upper()}" + ("" if first["loc"][0] in secrets else f"={first['input']!r}")
    return f"{shown} is not accepted: {message[0].lower()}{message[1:]}."
