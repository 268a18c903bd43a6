"""Writes Alertmanager's configuration: the committed one, with a Discord channel if there is one.

The caller passes the channel's address; this module reads no settings.
"""

import json
import os
from pathlib import Path

FOLDER = Path(__file__).parent
PLACEHOLDER = "@WEBHOOK_URL@"
_SECTION = "\nreceivers:\n"


def rendered(webhook_url: str | None) -> str:
    """Return the configuration in YAML.

    Args:
        webhook_url: the secret address of the channel's webhook; without one, no alert is sent.

    Raises:
        ValueError: the committed configuration has no receivers as its last section.
    """
    committed = (FOLDER / "alertmanager.yml").read_text()
    if not webhook_url:
        return committed
    routes, section, _ = committed.partition(_SECTION)
    if not section:
        raise ValueError("alertmanager.yml has no section of receivers")
    receivers = (FOLDER / "receivers.discord.yml").read_text()
    # A JSON string is a valid YAML string, whatever its content.
    return f"{routes}\n{receivers.replace(PLACEHOLDER, json.dumps(webhook_url))}"


def write(path: Path, webhook_url: str | None) -> None:
    """Write the configuration atomically, so that only its owner can read it.

    Raises:
        OSError: the file cannot be written.
    """
    text, new = rendered(webhook_url), path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
