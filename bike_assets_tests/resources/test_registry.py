"""summary.json in a folder and in a bucket: one champion, nothing removed, never half-written; only its files serve."""

import json
import multiprocessing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bike_assets.core.families.base import Trained
from bike_assets.core.summary import ModelEntry, Summary, champion_card
from bike_assets.errors import BikeError
from bike_assets.resources.registry import SUMMARY, Registry
from bike_assets_tests.resources.storages import Storage

DEADLINE_SECONDS = 300


@pytest.fixture
def registry(storage) -> Registry:
    return storage.registry()


def entry(version: int, **changes) -> ModelEntry:
    values = {
        "version": version,
        "family": "gradient_boosting",
        "run_id": f"run-{version}",
        "fingerprint": f"fingerprint-{version}",
        "trained_until": "2025-03-01",
        "registered_on": "2025-03-31",
        "scores": {
            "test_baseline": {"r2": 0.8, "rmse": 20.0, "mae": 10.0, "n": 1000},
            "test_current": {"r2": 0.7, "rmse": 25.0, "mae": 12.0, "n": 900},
        },
        "parity": 1e-6,
        "model_file": f"models/{version}.onnx",
        "sha256": "0" * 64,
        "counters": ["a", "b"],
    }
    return ModelEntry(**values | changes)


def with_versions(registry: Registry, count: int) -> Registry:
    for version in range(1, count + 1):
        registry.add(entry(version))
    return registry


def test_a_new_registry_is_empty_and_reading_writes_nothing(storage, registry):
    summary = registry.read()
    assert (summary.models, summary.champion, summary.first_champion) == ([], None, None)
    assert registry.state() == ()
    assert storage.names() == []


def test_an_entry_comes_back_as_it_was_added(storage, registry):
    registry.add(entry(1))
    registry.add(entry(2, family="blend"))
    summary = storage.registry().read()
    assert summary.models == [entry(1), entry(2, family="blend")]
    assert summary.entry(2).family == "blend"
    assert summary.latest("gradient_boosting").version == 1
    assert summary.latest("random_forest") is None
    assert summary.champion is None


def test_the_newest_version_of_a_family_is_its_highest_number(registry):
    for version in (2, 10, 9):
        registry.add(entry(version))
    assert registry.read().latest("gradient_boosting").version == 10


def test_the_same_training_is_added_once(storage, registry):
    registry.add(entry(1))
    registry.promote(1, "2025-03-31")
    before = storage.read(SUMMARY)
    registry.add(entry(2, fingerprint="fingerprint-1"))
    assert storage.read(SUMMARY) == before
    assert registry.read().by_fingerprint("fingerprint-1").version == 1


def test_promoting_replaces_the_champion_and_remembers_the_first(registry):
    with_versions(registry, 3)
    registry.promote(2, "2025-03-31")
    registry.promote(3, "2025-04-30")
    summary = registry.read()
    assert [each.is_champion for each in summary.models] == [False, False, True]
    assert summary.champion.promoted_on == "2025-04-30"
    assert summary.first_champion.version == 2
    assert summary.entry(2).promoted_on == "2025-03-31"


def test_promoting_the_champion_again_changes_nothing(registry):
    with_versions(registry, 2).promote(1, "2025-03-31")
    before = registry.state()
    registry.promote(1, "2025-05-31")
    assert registry.state() == before
    assert registry.read().champion.promoted_on == "2025-03-31"


def test_a_champion_that_comes_back_serves_again_from_that_day(registry):
    with_versions(registry, 2)
    for version, day in ((1, "2025-03-31"), (2, "2025-04-30"), (1, "2025-05-31")):
        registry.promote(version, day)
    champion = registry.read().champion
    assert (champion.version, champion.promoted_on) == (1, "2025-05-31")


def test_the_first_champion_stays_first_when_it_returns(registry):
    with_versions(registry, 3)
    for day, version in enumerate((1, 2, 1, 3), start=1):
        registry.promote(version, f"2025-03-{day:02}")
        assert [each.version for each in registry.read().models if each.first_champion] == [1]
    assert registry.read().champion.version == 3
    assert registry.read().first_champion.promoted_on == "2025-03-03"


def test_a_version_number_of_another_training_is_refused_and_nothing_changes(storage, registry):
    with_versions(registry, 2).promote(2, "2025-03-31")
    before = storage.read(SUMMARY)
    with pytest.raises(BikeError, match=r"another version 2 already") as refusal:
        registry.add(entry(2, fingerprint="of a database that was started over"))
    assert str(storage) in str(refusal.value)
    assert storage.read(SUMMARY) == before


def test_an_unknown_version_is_refused_and_the_champion_stays(registry):
    with_versions(registry, 2).promote(1, "2025-03-31")
    with pytest.raises(BikeError, match="no version 7"):
        registry.promote(7, "2025-04-30")
    assert registry.read().champion.version == 1


@given(versions=st.lists(st.integers(1, 4), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_promotions_has_one_champion_and_loses_nothing(make_storage, versions):
    registry = with_versions(make_storage().registry(), 4)
    for day, version in enumerate(versions, start=1):
        registry.promote(version, f"2025-03-{day:02}")
        summary = registry.read()
        assert [each.version for each in summary.models if each.is_champion] == [version]
        assert [each.version for each in summary.models if each.first_champion] == [versions[0]]
        kept = [each.model_dump(exclude={"is_champion", "promoted_on", "first_champion"}) for each in summary.models]
        added = [entry(n).model_dump(exclude={"is_champion", "promoted_on", "first_champion"}) for n in range(1, 5)]
        assert kept == added


def read_until_stopped(storage: Storage, ready, stop, seen) -> None:
    """Read summary.json until it is stopped; send how often, or what was wrong."""
    champions: list[int] = []
    try:
        while not stop.is_set():
            found = json.loads(storage.read(SUMMARY))["models"]
            champions.append(sum(each["is_champion"] for each in found))
            assert len(found) >= 5, found
            ready.set()
    except Exception as error:
        seen.put(repr(error))
        ready.set()
        raise
    seen.put(champions)


def add_and_promote(storage: Storage, first: int) -> None:
    registry = storage.registry()
    for version in range(first, first + 50):
        registry.add(entry(version))
        if version % 10 == 0:
            registry.promote(version, "2025-04-01")


def test_a_reader_never_sees_a_broken_summary_while_it_is_replaced(storage, registry):
    with_versions(registry, 5).promote(1, "2025-03-31")
    spawn = multiprocessing.get_context("spawn")
    ready, stop, seen = spawn.Event(), spawn.Event(), spawn.Queue()
    reader = spawn.Process(target=read_until_stopped, args=(storage, ready, stop, seen))
    reader.start()
    try:
        assert ready.wait(DEADLINE_SECONDS)
        for number in range(50):
            registry.promote(number % 5 + 1, "2025-04-01")
        stop.set()
        champions = seen.get(timeout=DEADLINE_SECONDS)
        reader.join(DEADLINE_SECONDS)
    finally:
        if reader.is_alive():
            reader.kill()
    assert isinstance(champions, list), f"the reader failed: {champions}"
    assert set(champions) == {1}
    assert storage.names() == [SUMMARY]


@pytest.mark.slow
def test_four_processes_add_two_hundred_versions_and_lose_none(storage, registry):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=add_and_promote, args=(storage, first)) for first in (1, 101, 201, 301)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(DEADLINE_SECONDS)
    ended = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.kill()
    assert ended == [0, 0, 0, 0]
    summary = registry.read()
    assert sorted(each.version for each in summary.models) == [n + k for n in (1, 101, 201, 301) for k in range(50)]
    assert sum(each.is_champion for each in summary.models) == 1
    assert sum(each.first_champion for each in summary.models) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b'{"models": [', b"\xff\xfe", b'{"models": [{"version": 1}]}', b'{"models": [], "champion": 1}'],
    ids=["empty", "cut", "no text", "fields missing", "fields of another program"],
)
def test_an_invalid_summary_is_named_and_never_replaced(storage, registry, content):
    with_versions(registry, 1)
    storage.write(SUMMARY, content)
    for act in (registry.read, lambda: registry.add(entry(2)), lambda: registry.promote(1, "2025-03-31")):
        with pytest.raises(BikeError, match=r"summary\.json is not a registry summary") as refusal:
            act()
        assert "\n" not in str(refusal.value)
        assert str(storage) in str(refusal.value)
    assert storage.read(SUMMARY) == content


def test_the_summary_is_readable_json(storage, registry):
    with_versions(registry, 1).promote(1, "2025-03-31")
    text = storage.read(SUMMARY).decode()
    assert text.count("\n") > 10
    assert json.loads(text)["models"][0]["is_champion"] is True


def registered(registry: Registry, trained: Trained, version: int = 1, **changes) -> ModelEntry:
    storage = registry.write_model("gradient_boosting", trained.onnx, trained.sha256)
    made = entry(version, model_file=storage, sha256=trained.sha256, counters=trained.counters, **changes)
    registry.add(made)
    return made


def test_the_loaded_model_is_the_registered_one(storage, registry, trained, rows, served):
    made = registered(registry, trained)
    loaded = storage.registry().load(registry.read().entry(made.version))
    assert loaded.counters == trained.counters
    assert (loaded.predict(rows) == served.predict(rows)).all()


def test_the_same_file_is_stored_once(storage, registry, trained):
    first = registry.write_model("gradient_boosting", trained.onnx, trained.sha256)
    assert storage.read(first) == trained.onnx
    storage.write(first, b"changed")
    assert registry.write_model("gradient_boosting", trained.onnx, trained.sha256) == first
    assert storage.read(first) == b"changed"


def test_a_changed_model_file_is_not_served(storage, registry, trained):
    made = registered(registry, trained)
    storage.write(made.model_file, storage.read(made.model_file)[:-1] + b"!")
    with pytest.raises(BikeError, match=r"version 1 cannot be served from .*not what was registered"):
        registry.load(made)


def test_a_missing_file_is_named(storage, registry, trained):
    made = registered(registry, trained)
    storage.remove(made.model_file)
    with pytest.raises(BikeError, match=r"version 1 cannot be served from .*\.onnx"):
        registry.load(made)


def test_the_champions_card_has_what_status_and_api_show():
    assert champion_card(entry(3, is_champion=True, promoted_on="2025-03-31")) == {
        "family": "gradient_boosting",
        "version": 3,
        "run_id": "run-3",
        "r2_baseline": 0.8,
        "r2_current": 0.7,
        "promoted_on": "2025-03-31",
    }


def test_a_summary_cannot_be_changed_in_memory():
    summary = Summary(models=[entry(1)])
    with pytest.raises(ValueError, match="frozen"):
        summary.models[0].is_champion = True
