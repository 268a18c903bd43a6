"""docs/settings.md: it is current, every setting has a description, and no machine or secret shows in it."""

import pytest

from bike_assets.settings import Settings
from bike_assets_tests import settings_page
from bike_assets_tests.settings_page import COMMAND, FIELDS, PAGE, ROOT

SECRETS = {"API_KEYS": "alice:pass-word-of-alice", "DISCORD_WEBHOOK_URL": "https://example.org/pass-word"}


def test_the_page_is_current():
    current = PAGE.read_text(encoding="utf-8") == settings_page.settings_page()
    assert current, f"docs/settings.md differs from the settings. Rewrite it: {COMMAND}"


@pytest.mark.parametrize("name", ["gcp", *FIELDS])
def test_every_setting_has_a_description_in_sentences(name):
    field = Settings.model_fields["gcp"] if name == "gcp" else FIELDS[name]
    assert field.description, f"{name} has no description"
    assert field.description.endswith("."), field.description
    assert "|" not in field.description, "a pipe would break the table"


def test_the_page_is_the_same_in_any_environment_and_shows_no_secret_and_no_path_of_this_machine(monkeypatch, tmp_path):
    page = settings_page.settings_page()
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": tmp_path, "SEED": 7, "GCP__PROJECT": "mine", **SECRETS}.items():
        monkeypatch.setenv(f"BIKE_{name}", str(value))
    assert settings_page.settings_page() == page
    assert "pass-word" not in page
    assert str(ROOT) not in page


def test_a_setting_without_a_group_is_refused_by_its_name(monkeypatch):
    monkeypatch.setitem(FIELDS, "bell", FIELDS["seed"])
    with pytest.raises(ValueError, match=r"^bell: put each setting into exactly one group"):
        settings_page.settings_page()
