"""A registry in a bucket when the service fails: the registry retries what it can, and reports the rest."""

import time

import pytest

from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources import gcs as client
from bike_assets.resources.gcs import BucketFolder
from bike_assets.resources.gcs_registry import GcsRegistry
from bike_assets.resources.registry import SUMMARY
from bike_assets_tests.resources.storages import InBucket
from bike_assets_tests.resources.test_registry import entry, registered, with_versions

DAY = "2025-03-31"


@pytest.fixture
def storage(gcs) -> InBucket:
    return InBucket(gcs.make_bucket(), gcs.endpoint)


@pytest.fixture
def registry(storage) -> GcsRegistry:
    """A registry with two versions, of which the first is the champion."""
    registry = storage.registry()
    with_versions(registry, 2).promote(1, DAY)
    return registry


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Try for a second alone."""
    monkeypatch.setattr(client, "RETRY_SECONDS", 1.0)


def everything(registry: GcsRegistry) -> dict:
    """What one can ask of a registry."""
    return {
        "read": registry.read,
        "state": registry.state,
        "add": lambda: registry.add(entry(3)),
        "promote": lambda: registry.promote(2, DAY),
        "load": lambda: registry.load(entry(1)),
        "trained": lambda: registry.trained(entry(1)),
        "write_model": lambda: registry.write_model("blend", b"model", "f" * 64),
    }


ASKED = ["read", "state", "add", "promote", "load", "trained", "write_model"]


def test_answers_of_503_are_retried(gcs, registry):
    with gcs.fault(503, times=2):
        assert registry.read().champion.version == 1
    with gcs.fault(503, times=1, method="POST"):
        registry.promote(2, DAY)
    assert registry.read().champion.version == 2


def test_a_change_whose_answer_got_lost_is_stored_once(registry, monkeypatch):
    # The client repeats a write whose answer did not arrive, and finds the generation that it made itself.
    replaced, lost = BucketFolder.replace, []

    def replace_and_lose(objects, name, content, generation):
        replaced(objects, name, content, generation)
        if not lost:
            lost.append(generation)
            replaced(objects, name, content, generation)

    monkeypatch.setattr(BucketFolder, "replace", replace_and_lose)
    registry.add(entry(3))
    assert [each.version for each in registry.read().models] == [1, 2, 3]
    assert lost


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("asked", ASKED)
def test_a_lasting_failure_is_reported_and_nothing_is_written(gcs, storage, registry, asked):
    before = storage.names(), storage.read(SUMMARY)
    with gcs.fault(503, message="Backend Error"), pytest.raises(StepFailedError) as failure:
        everything(registry)[asked]()
    assert str(storage) in str(failure.value)
    assert "503 Backend Error" in str(failure.value)
    assert (storage.names(), storage.read(SUMMARY)) == before


@pytest.mark.parametrize("asked", ASKED)
def test_a_missing_permission_is_reported_at_once_with_the_needed_role(gcs, storage, registry, asked):
    before, began = (storage.names(), storage.read(SUMMARY)), time.monotonic()
    with gcs.fault(403, message="robot@example.org has no storage.objects.get"), pytest.raises(BikeError) as failure:
        everything(registry)[asked]()
    assert str(storage) in str(failure.value)
    assert "robot@example.org has no storage.objects.get" in str(failure.value)
    assert "roles/storage.objectUser" in str(failure.value)
    assert not isinstance(failure.value, StepFailedError)
    assert time.monotonic() - began < client.FIRST_WAIT_SECONDS
    assert (storage.names(), storage.read(SUMMARY)) == before


@pytest.mark.parametrize("asked", [each for each in ASKED if each != "state"])
def test_a_missing_bucket_is_named_with_its_setting(gcs, asked):
    registry = InBucket("bikes-missing", gcs.endpoint).registry()
    with pytest.raises(BikeError, match=r"gs://bikes-missing does not exist.*BIKE_GCP__BUCKET"):
        everything(registry)[asked]()


def test_a_change_that_other_writers_always_overtake_fails(gcs, storage, registry):
    hasty, before = GcsRegistry(storage.objects(), contention_seconds=1), storage.read(SUMMARY)
    with (
        gcs.fault(412, method="POST"),
        pytest.raises(StepFailedError, match=r"replaced by other writers .* try again later"),
    ):
        hasty.add(entry(3))
    assert storage.read(SUMMARY) == before
    with gcs.fault(412, times=3, method="POST"):
        registry.add(entry(3))
    assert registry.read().entry(3)


@pytest.mark.parametrize(
    ("of", "step"), [(GcsRegistry, "read"), (BucketFolder, "generation")], ids=["after reading", "before reading"]
)
def test_a_concurrent_change_is_kept(storage, registry, monkeypatch, of, step):
    ours, others = getattr(of, step), [entry(7)]

    def slowly(*arguments: object) -> object:
        found = ours(*arguments)
        while others:
            storage.registry().add(others.pop())
        return found

    monkeypatch.setattr(of, step, slowly)
    registry.add(entry(3))
    assert [each.version for each in registry.read().models] == [1, 2, 7, 3]


def test_a_service_without_generations_is_never_written_to(storage, registry, monkeypatch):
    from google.cloud.storage import Blob

    before = storage.read(SUMMARY)
    with monkeypatch.context() as patch:
        patch.setattr(Blob, "generation", None)
        with pytest.raises(BikeError, match="returns no generation"):
            registry.add(entry(3))
    assert storage.read(SUMMARY) == before


def test_a_model_that_another_process_stores_meanwhile_is_no_error(storage, registry, trained, monkeypatch):
    monkeypatch.setattr(BucketFolder, "generation", lambda *_: None)
    for _ in range(2):
        made = registry.write_model("gradient_boosting", trained.onnx, trained.sha256)
    assert storage.read(made) == trained.onnx


def test_a_large_model_is_stored_once_as_well(storage, registry):
    content = bytes(9_000_000)
    made = registry.write_model("random_forest", content, "a" * 64)
    assert storage.read(made) == content
    with pytest.raises(client.ObjectChangedError):
        storage.objects().replace(made, b"another", generation=0)
    assert storage.read(made) == content


def test_the_state_is_one_request_and_changes_with_every_summary(storage, registry, monkeypatch):
    states = [registry.state()]
    registry.promote(2, DAY)
    states.append(registry.state())
    monkeypatch.setattr(BucketFolder, "read", lambda *_: pytest.fail("the state needs no reading"))
    assert len({*states, registry.state()}) == 2
    assert all(states)


def test_a_model_of_a_bucket_serves(storage, registry, trained, rows, served):
    made = registered(storage.registry(), trained, version=3, fingerprint="its own")
    assert (storage.registry().load(made).predict(rows) == served.predict(rows)).all()
