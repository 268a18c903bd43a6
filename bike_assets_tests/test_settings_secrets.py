"""Settings that are secrets: they are read, and shown nowhere, least of all where they are refused."""

import traceback

import pytest
from pydantic import ValidationError

from bike_assets.errors import BikeError
from bike_assets.settings import Settings, load_settings
from bike_assets_tests import bare_environment

environment = bare_environment.environment


@pytest.mark.parametrize(
    "url",
    [
        "https://discord.com/api/webhooks/1122/pass-word",
        "https://discord.com/api/webhooks/1122/pass-word?thread_id=3",
        "http://127.0.0.1:8080/pass-word",
    ],
)
def test_the_address_of_a_webhook_is_read_and_not_shown(environment, url):
    environment.setenv("BIKE_DISCORD_WEBHOOK_URL", url)
    settings = load_settings()
    assert settings.discord_webhook_url.get_secret_value() == url
    assert "pass-word" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    [
        "discord.com/api/webhooks/1122/pass-word",
        "ftp://discord.com/pass-word",
        "https:///api/webhooks/1122/pass-word",
        "https://discord.com:pass-word/api",
        "https://discord.com/api/webhooks/1122/pass-word and more",
        "http://[pass-word",
        "pass-word",
    ],
)
def test_an_invalid_webhook_is_refused_without_being_shown(environment, url):
    environment.setenv("BIKE_DISCORD_WEBHOOK_URL", url)
    with pytest.raises(BikeError) as refusal:
        load_settings()
    assert str(refusal.value).startswith("BIKE_DISCORD_WEBHOOK_URL is not accepted: it has to be an address with http")
    assert "pass-word" not in "".join(traceback.format_exception(refusal.value))
    with pytest.raises(ValidationError) as invalid:
        Settings(discord_webhook_url=url)
    assert "pass-word" not in f"{invalid.value} {invalid.value!r}"


def test_a_secret_is_not_shown_when_other_settings_are_refused(environment):
    environment.setenv("BIKE_DISCORD_WEBHOOK_URL", "http://localhost/pass-word")
    environment.setenv("BIKE_R2_CRITICAL", "0.9")
    with pytest.raises(BikeError) as refusal:
        load_settings()
    with pytest.raises(ValidationError) as invalid:
        Settings(discord_webhook_url="http://localhost/pass-word", r2_critical=0.9)
    assert "pass-word" not in f"{refusal.value} {invalid.value} {invalid.value!r}"


@pytest.mark.parametrize("seconds", ["0", "-1", "31", "soon"])
def test_an_impossible_timeout_of_messages_is_refused(environment, seconds):
    environment.setenv("BIKE_DISCORD_TIMEOUT_SECONDS", seconds)
    with pytest.raises(BikeError, match=f"^BIKE_DISCORD_TIMEOUT_SECONDS='{seconds}' is not accepted: "):
        load_settings()


def test_keys_of_the_api_are_read_by_name_and_not_shown(environment):
    environment.setenv("BIKE_API_KEYS", "alice:pass-word-of-alice, bob:pass-word-of-bob-0")
    settings = load_settings()
    assert settings.keys_by_name == {"alice": "pass-word-of-alice", "bob": "pass-word-of-bob-0"}
    assert "pass-word" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert Settings().model_copy(update={"api_keys": None}).keys_by_name == {}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("pass-word-without-a-name", "part 1 has to be name:key"),
        (":pass-word-of-nobody", "part 1 has to be name:key"),
        ("alice:pass-word-of-alice,", "part 2 has to be name:key"),
        ("alice:pass-word", "the key of alice has to be 16 or more ASCII characters"),
        ("alice:pass-word-of-älice", "the key of alice has to be 16 or more ASCII characters"),
        ("alice:pass-word-of-alice,alice:pass-word-of-alice-too", "alice occurs twice"),
    ],
)
def test_invalid_keys_are_refused_without_being_shown(environment, keys, message):
    environment.setenv("BIKE_API_KEYS", keys)
    with pytest.raises(BikeError) as refusal:
        load_settings()
    assert str(refusal.value).startswith("BIKE_API_KEYS is not accepted: ")
    assert message in str(refusal.value)
    assert "pass-word" not in "".join(traceback.format_exception(refusal.value))
