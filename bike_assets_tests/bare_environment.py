"""An environment without any setting, for the tests of settings."""

import os

import pytest


@pytest.fixture
def environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("BIKE_")]:
        monkeypatch.delenv(name)
    return monkeypatch
