"""Promotions under load: no request fails, and every answer is by the version that it names."""

import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from bike_assets.core.forecasting import forecast
from bike_assets.core.splits import Span
from bike_assets.resources.local_registry import LocalRegistry
from bike_assets.resources.queries.counts import read_cube
from bike_assets.resources.queries.weather import read_weather_cube
from bike_assets_tests.conftest import LAST_DAY, City, poll
from bike_assets_tests.serving.processes import ServedApi

pytestmark = pytest.mark.slow
CLIENTS = 4
SWAP_SECONDS = 5


@dataclass
class Load:
    """Clients that send the same records again and again, and their answers.

    Attributes:
        address: of the API.
        records: the records of each request.
        expected: predictions by version.
        answers: how many there were, by version.
        wrong: answers other than 200, or with forecasts that the named version does not make.
    """

    address: str
    records: list[dict]
    expected: dict[int, np.ndarray]
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self.clients = [threading.Thread(target=self._request) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for client in self.clients:
            client.join(120)

    @property
    def total(self) -> int:
        """How many answers there were."""
        return self.answers.total() + len(self.wrong)

    def _request(self) -> None:
        with httpx.Client(base_url=self.address, timeout=60) as client:
            while not self.stopped.is_set():
                try:
                    answer = client.post("/predict", json={"records": self.records})
                    self._check(answer)
                except httpx.TransportError as error:
                    self.wrong.append(repr(error))

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self.wrong.append(f"{answer.status_code}: {answer.text}")
            return
        body = answer.json()
        version = body["model_metadata"]["version"]
        if np.allclose(body["predictions"], self.expected[version], rtol=1e-5):
            self.answers[version] += 1
        else:
            self.wrong.append(f"version {version} cannot have forecast {body['predictions']}")


@pytest.fixture
def load(city: City) -> Iterator[Load]:
    """Load on the API of a home: three counters at noon of the next day."""
    noon = f"{LAST_DAY + timedelta(days=1)}T12:00:00+02:00"
    counters = sorted(city.query("SELECT counter_id FROM bike_traffic_raw.counters")["counter_id"])[:3]
    records, expected = [{"counter_id": each, "at": noon} for each in counters], expected_of(city, counters)
    with ServedApi(city.home.folder) as served, Load(served.address, records, expected) as load:
        yield load


def expected_of(city: City, counters: list[str]) -> dict[int, np.ndarray]:
    """Return what each version forecasts for noon of the next day, made as the graph makes it."""
    warehouse, registry = city.resource("warehouse"), city.resource("registry")
    cube = read_cube(warehouse, Span(LAST_DAY, LAST_DAY), city.home.timezone)
    weather = read_weather_cube(warehouse, Span(LAST_DAY, LAST_DAY + timedelta(days=3)), city.home.timezone)
    found = {}
    for entry in registry.read().models:
        rows = forecast(cube, LAST_DAY, registry.load(entry), city.settings.place, weather)
        noon = rows[(rows["horizon_days"] == 1) & (rows["counted_at"].dt.hour == 10)].set_index("counter_id")
        found[entry.version] = noon.loc[counters, "predicted_count"].to_numpy()
    return found


def promote_and_await(city: City, load: Load, version: int) -> None:
    """Promote a version and wait until it answers."""
    answered = load.answers[version]
    city.resource("registry").promote(version, LAST_DAY.isoformat())
    poll(lambda: load.answers[version] > answered or load.wrong, SWAP_SECONDS, f"an answer of version {version}")


def break_and_restore(city: City, load: Load) -> None:
    """Break the registry in several ways, each until the API reports it, and restore it."""
    summary = city.home.registry / "summary.json"
    whole = summary.read_bytes()
    models = city.home.registry / "models"
    for broken in (lambda: summary.write_bytes(whole[:100]), summary.unlink, lambda: summary.write_bytes(b"")):
        broken()
        poll(lambda: is_degraded(load, True), SWAP_SECONDS, "the trouble")
        summary.write_bytes(whole)
        poll(lambda: is_degraded(load, False), SWAP_SECONDS, "its end")
    shutil.move(models, models.with_name("away"))
    summary.write_bytes(whole + b"\n")
    poll(lambda: is_degraded(load, True), SWAP_SECONDS, "the missing files")
    shutil.move(models.with_name("away"), models)
    poll(lambda: is_degraded(load, False), SWAP_SECONDS, "their return")


def is_degraded(load: Load, expected: bool) -> bool:
    """Return whether the status of the API is `degraded`, as expected."""
    return (httpx.get(f"{load.address}/readyz", timeout=60).json()["status"] == "degraded") == expected


def swap_back_and_forth(city: City, load: Load, times: int) -> None:
    """Promote every version in turn, so many times."""
    versions = [entry.version for entry in LocalRegistry(city.home.registry).read().models]
    now = next(entry.version for entry in LocalRegistry(city.home.registry).read().models if entry.is_champion)
    order = [version for version in versions if version != now] + [now]
    for turn in range(times):
        promote_and_await(city, load, order[turn % len(order)])


def test_promotions_rollbacks_and_a_broken_registry_fail_no_request(city: City, load: Load):
    swap_back_and_forth(city, load, 3)
    break_and_restore(city, load)
    assert not load.wrong
    assert len(load.answers) >= 3


@pytest.mark.verify
def test_twenty_promotions_under_twenty_thousand_requests_fail_none(city: City, load: Load):
    swap_back_and_forth(city, load, 20)
    break_and_restore(city, load)
    poll(lambda: load.total >= 20_000, 300, "20,000 requests")
    print(f"{load.total:,} requests during 20 promotions: {dict(load.answers)}")
    assert not load.wrong


def test_metrics_are_sums_over_two_workers_and_survive_the_death_of_one(city: City):
    with ServedApi(city.home.folder, "--workers", "2") as served:
        before = workers_of(served)
        assert len(before) == 2
        for _ in range(40):
            assert httpx.get(f"{served.address}/champion", timeout=60).is_success
        requests = 'fastapi_requests_total{endpoint="/champion",method="GET",status_code="200"} 40.0'
        assert requests in metrics_of(served, lambda text: text.count("bike_api_champion_version{") == 2)
        dead = min(before)
        os.kill(dead, signal.SIGKILL)
        [new] = poll(lambda: workers_of(served) - before, 30, "a worker in its place")
        text = metrics_of(served, lambda text: f'pid="{new}"' in text)
        assert f'pid="{dead}"' not in text
        assert requests in text


def workers_of(served: ServedApi) -> set[int]:
    """Return the processes that answer."""
    children = psutil.Process(served.process.pid).children()
    alive = [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
    return {each.pid for each in alive if "spawn_main" in " ".join(each.cmdline())}


def metrics_of(served: ServedApi, are_there: Callable[[str], bool]) -> str:
    """Return the metrics once they are as expected."""
    poll(lambda: are_there(httpx.get(f"{served.address}/metrics", timeout=60).text), 30, "the metrics")
    return httpx.get(f"{served.address}/metrics", timeout=60).text


def test_a_stopped_api_leaves_no_files_behind(city: City, tmp_path: Path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    with ServedApi(city.home.folder, TMPDIR=str(folder)) as served:
        assert list(folder.glob("bike-api-*"))
        assert served.stop() == 0
    assert not list(folder.glob("bike-api-*"))
