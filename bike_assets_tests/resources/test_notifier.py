"""Messages over real HTTP: what arrives, that no answer harms anybody, and that the address is seen nowhere."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from pydantic import SecretStr

from bike_assets.build import default_resources
from bike_assets.core.messages import Message, Severity, failed_run
from bike_assets.resources.notifier import Notifier
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim
from bike_assets_tests.fake_discord import ACCEPTED, Answer, answer

SECRETS = ("webhooks", "112233445566", "pass-word")
PATH = "/api/webhooks/112233445566/pass-word"
TIMEOUT = 1.0
MAX_SECONDS = TIMEOUT + 2
"""Timeout and longest wait: no message takes longer, but for what a busy machine adds."""
GENEROUS = MAX_SECONDS + 2
MESSAGE = failed_run("daily", "raw_counts", "BikeError: the portal is silent", "http://localhost:3000/runs/1")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """An answer that never ends, and never is silent for as long as the timeout."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(int(GENEROUS * 2 / 0.2)):
        handler.wfile.write(b" ")
        time.sleep(0.2)


def be_slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(GENEROUS)
    ACCEPTED(handler)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


GONE = answer(404, {"message": "Unknown Webhook", "code": 10015})


def wait(seconds: float | str) -> Answer:
    return answer(429, {"message": "You are being rate limited.", "retry_after": seconds, "global": False})


@pytest.fixture
def notifier(channel) -> Notifier:
    return Notifier(SecretStr(channel.address + PATH), TIMEOUT)


@pytest.fixture(autouse=True)
def _address_stays_secret(caplog, capfd):
    """Neither at the lowest level of any logger nor on a stream, in any of these tests."""
    for name in ("", "urllib3", "urllib3.connectionpool", "requests", "discord_webhook"):
        caplog.set_level(logging.DEBUG, name)
    yield
    lines = [logging.Formatter().format(record) for record in caplog.get_records("call")]
    seen = "\n".join([*lines, *capfd.readouterr()])
    assert not [secret for secret in SECRETS if secret in seen], seen


def warnings_in(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bike_assets.resources.notifier"]


def test_a_message_arrives_as_an_embed(channel, notifier, caplog):
    assert notifier.send(MESSAGE) is True
    [(method, path, _)] = channel.requests
    assert (method, urlsplit(path).path, parse_qs(urlsplit(path).query)) == ("POST", PATH, {"wait": ["True"]})
    assert channel.embed["title"] == "Run failed: daily"
    assert channel.embed["description"] == f"{MESSAGE.text}\nhttp://localhost:3000/runs/1"
    assert [(each["name"], each["value"]) for each in channel.embed["fields"]] == list(MESSAGE.fields.items())
    assert warnings_in(caplog) == []


def test_what_is_sent_holds_no_address(channel, notifier):
    """Neither Discord's answers nor the sent messages contain the address."""
    notifier.send(MESSAGE)
    assert not [secret for secret in SECRETS if secret in json.dumps(channel.requests[0][2])]


def test_the_severity_decides_the_colour(channel, notifier):
    for severity in Severity:
        notifier.send(Message("title", "text", severity))
    colours = [body["embeds"][0]["color"] for _, _, body in channel.requests]
    assert len(set(colours)) == len(Severity)
    assert all(colours)


def test_a_message_with_a_link_that_discord_refuses_is_sent(channel, notifier):
    notifier.send(MESSAGE)
    assert not channel.embed.get("url")


def test_nothing_in_a_message_is_longer_than_discord_allows(channel, notifier):
    fields = {f"{number:02}{'n' * 300}": "v" * 2000 for number in range(40)}
    notifier.send(Message("t" * 300, "x" * 5000, Severity.INFO, fields, link="http://localhost/1"))
    embed = channel.embed
    assert embed["title"] == "t" * 255 + "…"
    assert len(embed["description"]) == 4096
    assert embed["description"].endswith("x…\nhttp://localhost/1")
    assert embed["fields"][0]["name"] == "00" + "n" * 253 + "…"
    assert embed["fields"][0]["value"] == "v" * 1023 + "…"
    texts = [each[part] for each in embed["fields"] for part in ("name", "value")]
    assert all(texts)
    assert sum(map(len, [embed["title"], embed["description"], *texts])) <= 6000


def test_no_more_than_25_fields_are_sent_and_the_first_ones_are(channel, notifier):
    notifier.send(Message("title", "text", Severity.INFO, {str(number): "value" for number in range(30)}))
    assert [each["name"] for each in channel.embed["fields"]] == [str(number) for number in range(25)]


def test_texts_at_the_limit_are_sent_as_they_are(channel, notifier):
    notifier.send(Message("t" * 256, "x" * 4096, Severity.INFO, {"n" * 256: "v" * 1024}))
    embed = channel.embed
    [only] = embed["fields"]
    lengths = [len(text) for text in (embed["title"], embed["description"], only["name"], only["value"])]
    assert lengths == [256, 4096, 256, 1024]
    assert "…" not in json.dumps(embed, ensure_ascii=False)


def test_an_empty_value_is_a_dash_since_discord_refuses_it(channel, notifier):
    notifier.send(Message("title", "text", Severity.INFO, {"step": " "}))
    assert channel.embed["fields"][0]["value"] == "-"


def test_an_answer_without_content_is_a_success(channel, notifier):
    channel.answers = [answer(204, b"")]
    assert notifier.send(MESSAGE) is True


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (GONE, "no such webhook (HTTP 404)"),
        (answer(404, PATH.encode()), "no such webhook (HTTP 404)"),
        (answer(400, {"embeds": ["0"]}), "HTTP 400"),
        (answer(401, {"message": f"Invalid Webhook Token {PATH}"}), "HTTP 401"),
        (answer(500, b"<html>Internal Server Error"), "HTTP 500"),
        (answer(503, b"\xff\xfe"), "HTTP 503"),
        (answer(200, b"<html>Log in to this network"), "is not Discord"),
        (answer(200, b'{"id": "1"'), "is not Discord"),
        (answer(200, b"\xff\xfe\x00"), "is not Discord"),
        (answer(200, b"[]"), "is not Discord"),
        (answer(200, b"{}", **{"Content-Length": "100"}), "connection failed"),
        (hang_up, "connection failed"),
    ],
)
def test_a_refused_message_is_one_warning(channel, notifier, caplog, reply, reason):
    channel.answers = [reply]
    assert notifier.send(MESSAGE) is False
    [line] = warnings_in(caplog)
    assert reason in line
    assert "Run failed: daily" in line
    assert "\n" not in line
    assert len(channel.requests) == 1


def test_a_redirect_that_loses_the_message_is_reported(channel, notifier, caplog):
    channel.answers = [answer(301, b"", Location=f"{channel.address}{PATH}"), ACCEPTED]
    assert notifier.send(MESSAGE) is False
    assert [method for method, _, _ in channel.requests] == ["POST", "GET"]
    assert "redirected" in warnings_in(caplog)[0]


def test_the_message_is_sent_again_after_the_requested_wait(channel, notifier, caplog):
    channel.answers = [wait(0.3), ACCEPTED]
    started = time.monotonic()
    assert notifier.send(MESSAGE) is True
    assert time.monotonic() - started >= 0.3
    first, second = channel.requests
    assert first == second
    assert warnings_in(caplog) == []


def test_the_message_is_sent_again_only_once(channel, notifier, caplog):
    channel.answers = [wait(0.05)]
    assert notifier.send(MESSAGE) is False
    assert len(channel.requests) == 2
    assert "HTTP 429" in warnings_in(caplog)[0]


@pytest.mark.parametrize(
    "reply",
    [wait(600), wait(2.5), wait(-1), wait("soon"), wait(float("nan")), answer(429, {}), answer(429, b"[]"),
     answer(429, b"<html>error code: 1015")],
)  # fmt: skip
def test_the_message_is_not_sent_again_after_a_wait_that_is_too_long_or_unknown(channel, notifier, caplog, reply):
    channel.answers = [reply, ACCEPTED]
    started = time.monotonic()
    assert notifier.send(MESSAGE) is False
    assert time.monotonic() - started < TIMEOUT
    assert len(channel.requests) == 1
    assert "HTTP 429" in warnings_in(caplog)[0]


@pytest.mark.parametrize("answers", [[be_slow], [drip], [wait(1.9), be_slow], [wait(1.9), drip]])
def test_a_slow_answer_is_abandoned(channel, notifier, caplog, answers):
    channel.answers = answers
    started = time.monotonic()
    assert notifier.send(MESSAGE) is False
    assert time.monotonic() - started < GENEROUS
    assert "did not answer in time" in warnings_in(caplog)[0]
    assert len(channel.requests) == len(answers)


@pytest.mark.parametrize(
    "address", [None, "http://no-such-host.invalid", "http://127.0.0.1:99999", "http://[x", "http://a..b"]
)
def test_an_unreachable_address_is_one_warning(deaf_address, caplog, address):
    notifier = Notifier(SecretStr((address or deaf_address) + PATH), TIMEOUT)
    started = time.monotonic()
    assert notifier.send(MESSAGE) is False
    assert time.monotonic() - started < GENEROUS
    [line] = warnings_in(caplog)
    assert "failed with" in line


def test_a_thread_that_cannot_start_is_one_warning(channel, notifier, caplog, monkeypatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert notifier.send(MESSAGE) is False
    assert "RuntimeError" in warnings_in(caplog)[0]


def test_without_a_webhook_the_message_is_a_line_of_the_log(caplog):
    assert Notifier(None, TIMEOUT).send(MESSAGE) is False
    [record] = caplog.records
    assert (record.name.partition(".")[0], record.levelno) == ("bike_assets", logging.ERROR)
    for part in (MESSAGE.title, MESSAGE.text, *MESSAGE.fields.values(), MESSAGE.link):
        assert part in record.getMessage()


def test_a_message_without_fields_is_a_complete_line(caplog):
    Notifier(None, TIMEOUT).send(Message("100% done", "It runs.", Severity.INFO))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, "100% done. It runs.")
    ]


def test_log_lines_of_other_threads_stay(channel, notifier, caplog):
    """What is dropped belongs to the message: a request of anybody else is logged as before."""
    notifier.send(MESSAGE)
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]
    requests.post(f"{channel.address}/elsewhere", timeout=TIMEOUT)
    assert any("/elsewhere" in record.getMessage() for record in caplog.records)


def test_the_platform_has_the_notifier_of_its_settings_and_shows_no_address(tmp_path, channel):
    settings = Settings(home=tmp_path, discord_webhook_url=channel.address + PATH, discord_timeout_seconds=2)
    notifier = default_resources(claim(tmp_path), settings)["notifier"]
    assert notifier == Notifier(SecretStr(channel.address + PATH), 2)
    assert notifier.send(MESSAGE) is True
    for shown in (repr(notifier), str(notifier), repr(settings), str(settings), settings.model_dump_json()):
        assert not [secret for secret in SECRETS if secret in shown]
