"""Sends messages to a Discord channel, within its limits, and keeps the webhook's secret address out of all logs.

The text of a message belongs to `core.messages`; when and how often to send one, to `automation.announcements`.
"""

import logging
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bike_assets.core.messages import UNKNOWN, Message, Severity

if TYPE_CHECKING:
    from discord_webhook import DiscordEmbed, DiscordWebhook
    from requests import Response

MAX_TITLE, MAX_TEXT, MAX_NAME, MAX_VALUE = 256, 4096, 256, 1024
MAX_FIELDS = 25
MAX_TOTAL = 6000
"""Discord's limit in characters for title, text, names and values together."""
MAX_INLINE = 40
"""A value longer than this gets its own line."""
MAX_WAIT_SECONDS = 2.0
"""The longest wait before the second try. If Discord asks for more, the notifier does not retry."""
COLOURS = {Severity.INFO: 0x2E9E5B, Severity.WARNING: 0xE6A100, Severity.CRITICAL: 0xC62828}
LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}
THREAD = "discord"
LOGGING_PACKAGES = ("urllib3", "requests", "discord_webhook", "charset_normalizer")
"""Packages that log addresses, or answers that may contain them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notifier:
    """Sends messages to one channel.

    Attributes:
        url: the address of the channel's webhook, which is also its password; None to only log messages.
        timeout_seconds: how long to wait for an answer; a wait that Discord asks for is added.
    """

    url: SecretStr | None
    timeout_seconds: float

    def send(self, message: Message) -> bool:
        """Send a message, or log it if there is no webhook; never raise.

        Returns:
            Whether Discord confirmed the message. After a timeout it may still have arrived.
        """
        if self.url is None:
            log.log(LEVELS[message.severity], "%s", _as_line(message))
            return False
        try:
            problem = _send_in_time(_webhook(self.url, message, self.timeout_seconds), self.timeout_seconds)
        except Exception as error:  # A failed notification must not fail the run that it reports.
            problem = f"it failed with {type(error).__name__}"
        if problem is not None:
            log.warning("The message %r did not reach Discord: %s.", message.title, problem)
        return problem is None


def _as_line(message: Message) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in message.fields.items())
    return " ".join(
        part for part in (f"{message.title}.", message.text, fields and f"({fields})", message.link) if part
    )


def _webhook(url: SecretStr, message: Message, timeout_seconds: float) -> "DiscordWebhook":
    from discord_webhook import DiscordWebhook

    webhook = DiscordWebhook(url.get_secret_value(), timeout=timeout_seconds)
    webhook.add_embed(_embed(message))
    return webhook


def _embed(message: Message) -> "DiscordEmbed":
    from discord_webhook import DiscordEmbed

    # The link is part of the text: Discord refuses a message whose link field names a host such as localhost.
    link = f"\n{message.link}" if message.link else ""
    title = _cut(message.title, MAX_TITLE)
    text = _cut(message.text, MAX_TEXT - len(link)) + link
    embed = DiscordEmbed(title, text, color=COLOURS[message.severity])
    left = MAX_TOTAL - len(title) - len(text)
    for name, value in list(message.fields.items())[:MAX_FIELDS]:
        short = _cut(name, MAX_NAME)
        left -= len(short)
        if left < 1:
            break
        shown = _cut(value.strip() or UNKNOWN, min(MAX_VALUE, left))
        left -= len(shown)
        embed.add_embed_field(short, shown, inline=len(shown) <= MAX_INLINE)
    return embed


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def _send_in_time(webhook: "DiscordWebhook", timeout_seconds: float) -> str | None:
    """Send a message and return why it did not arrive, or None if it did.

    A separate thread sends it, for two reasons: it can be abandoned if the answer is too slow, and its name identifies
    the log lines of the libraries, which are dropped.
    """
    _drop_lines_of_thread()
    problems: list[str | None] = []
    thread = threading.Thread(
        target=lambda: problems.append(_try_twice(webhook, timeout_seconds)), name=THREAD, daemon=True
    )
    thread.start()
    thread.join(timeout_seconds + MAX_WAIT_SECONDS)
    return problems[0] if problems else "it did not answer in time"


def _drop_lines_of_thread() -> None:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in LOGGING_PACKAGES and isinstance(logger, logging.Logger):
            logger.addFilter(_is_other_thread)


def _is_other_thread(_: logging.LogRecord) -> bool:
    return threading.current_thread().name != THREAD


def _try_twice(webhook: "DiscordWebhook", timeout_seconds: float) -> str | None:
    from requests import RequestException, Timeout

    deadline = time.monotonic() + timeout_seconds + MAX_WAIT_SECONDS
    # We do not call webhook.execute(): it parses any answer as JSON, logs it, and waits as long as Discord asks.
    try:
        response = webhook.api_post_request()
        wait = _requested_wait(response)
        if wait is not None and time.monotonic() + wait < deadline:
            time.sleep(wait)
            webhook.timeout = min(timeout_seconds, deadline - time.monotonic())
            response = webhook.api_post_request()
        return _refusal(response)
    except Timeout:
        return "it did not answer in time"
    except RequestException as error:
        return f"the connection failed with {type(error).__name__}"
    except Exception as error:  # Python would print a thread's exception, and the address with it.
        return f"it failed with {type(error).__name__}"


def _requested_wait(response: "Response") -> float | None:
    """Return the seconds to wait before the second try; None if there is to be none."""
    if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    try:
        seconds = float(response.json()["retry_after"])
    except (ValueError, TypeError, KeyError):
        return None
    return seconds if 0 <= seconds <= MAX_WAIT_SECONDS else None


def _refusal(response: "Response") -> str | None:
    """Return why Discord did not accept the message; None if it did."""
    status = response.status_code
    if status == HTTPStatus.NOT_FOUND:
        return "there is no such webhook (HTTP 404)"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "it accepts no more messages for now (HTTP 429)"
    if status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        return f"it answered HTTP {status}"
    if response.request.method != "POST":
        return "the webhook's address is redirected, and the message was lost on the way"
    if status == HTTPStatus.OK and not _is_json(response):
        return "the server is not Discord"
    return None


def _is_json(response: "Response") -> bool:
    try:
        return isinstance(response.json(), dict)
    except ValueError:
        return False
