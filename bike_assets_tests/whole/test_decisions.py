"""A decision under the real daemon: the retrain that it starts, what follows, and that no kill loses or doubles it."""

import shutil
import time
from pathlib import Path

import httpx
import pytest

from bike_assets_tests.whole.conftest import Running
from bike_assets_tests.whole.kills import Ending, faults_of, kill_at
from bike_assets_tests.whole.retrained import (
    ANY_GAIN_AND_NEVER_GOOD,
    REACTIVE,
    HomeReader,
    materialize,
    prepare_weak_champion,
    reading,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
WEAK, DECIDED = "weak", "decided"
DIE_WITH_BIKE_RUN = ("bike run", "everything")
TWICE = [("in training", "run"), ("promoted", "run")]
ALONE = [
    ("in training", "run"),
    ("promoted", "run"),
    ("in training", "everything"),
    ("queued", "daemon"),
    ("started", "run"),
    ("in training", "daemon"),
    ("in training", "webserver"),
    ("in training", "bike run"),
    ("in training", "code server and run"),
    ("in training", "daemon and all below"),
    ("evaluated", "run"),
    ("promoted", "daemon and all below"),
    ("materialized", "everything"),
    ("refreshing", "run"),
]


class Kept:
    """A home that is put back as it was, at the same place: MLflow's database holds absolute paths."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"

    def keep(self, name: str) -> None:
        """Keep the home as it is now."""
        shutil.copytree(self.home, self.folder / name)

    def put_back(self, name: str) -> Path:
        """Return the home as it was kept."""
        shutil.rmtree(self.home)
        shutil.copytree(self.folder / name, self.home)
        return self.home


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A home whose champion is weak, as it is the day before yesterday."""
    kept = Kept(tmp_path_factory.mktemp("kept"))
    prepare_weak_champion(kept.home)
    kept.keep(WEAK)
    return kept


@pytest.fixture(scope="module")
def decided(kept: Kept) -> Kept:
    """The same home a day later, when a retrain is decided and no daemon has seen it yet."""
    kept.put_back(WEAK)
    materialize(kept.home)
    kept.keep(DECIDED)
    return kept


def test_a_critical_day_ends_in_a_new_champion_without_a_click(kept, channel):
    home = kept.put_back(WEAK)
    webhook = f"{channel.address}/api/webhooks/1/x"
    running = Running(home, BIKE_DISCORD_WEBHOOK_URL=webhook, **ANY_GAIN_AND_NEVER_GOOD)
    try:
        running.until("Ctrl-C ends everything")
        with reading(home) as reader:
            first = reader.champion()
            reader.wait_for(lambda: reader.champion() != first, 240, "a new champion")
            reader.wait_until_quiet(240)
            assert_audit_is_complete(reader, first)
            assert not faults_of(reader, first)
            family = reader.query("SELECT family FROM monitoring_audit.deployments ORDER BY recorded_at DESC LIMIT 1")
            news = f"New champion: {family['family'].iloc[0]} version {reader.champion()}"
            assert channel.titles.count("Performance is critical") == 1
            assert channel.titles.count(news) == 1
            assert not [title for title in channel.titles if title.startswith("Run failed")]
            assert httpx.get(f"{running.api}/champion", timeout=60).json()["version"] == reader.champion()
    finally:
        assert running.interrupt() == 130


def assert_audit_is_complete(reader: HomeReader, first: int) -> None:
    [retrain] = reader.retrains()
    decision = reader.query("SELECT * FROM monitoring_audit.newest_retrain_decisions ORDER BY day DESC LIMIT 1").iloc[0]
    assert (decision["decision"], decision["champion_version"], bool(decision["acts"])) == (REACTIVE, first, True)
    assert retrain.tags["dagster/run_key"] == f"retrain-{decision['day']:%Y-%m-%d}-{REACTIVE}-{first}"
    trained = reader.query("SELECT * FROM monitoring_audit.training_runs WHERE `trigger` = @trigger", trigger=REACTIVE)
    assert set(trained["run_id"]) == {retrain.run_id}
    assert set(trained["status"]) == {"trained"}
    assert set(trained["cause"]) == {decision["reason"]}
    evaluated = reader.query("SELECT * FROM monitoring_audit.evaluations WHERE `trigger` = @trigger", trigger=REACTIVE)
    [evaluation] = evaluated.to_dict("records")
    assert (evaluation["run_id"], evaluation["decision"]) == (retrain.run_id, "DEPLOY")
    assert (evaluation["champion_version"], evaluation["challenger_version"]) == (first, reader.champion())
    assert evaluation["gain"] > 0
    deployed = reader.query("SELECT * FROM monitoring_audit.deployments WHERE replaced_version = @first", first=first)
    [deployment] = deployed.to_dict("records")
    assert (deployment["version"], deployment["run_id"]) == (reader.champion(), retrain.run_id)
    assert (deployment["decided_by"], deployment["reason"]) == ("evaluation", evaluation["reason"])


def killed(decided: Kept, *kills: tuple[str, str]) -> list[Ending]:
    """Kill one victim, or one after the other, while the decision is acted on, and wait for quiet.

    Where `bike run` dies with them it is started again.
    """
    home, endings = decided.put_back(DECIDED), []
    started = [Running(home, **ANY_GAIN_AND_NEVER_GOOD)]
    try:
        with reading(home) as reader:
            first = reader.champion()
            for point, victim in kills:
                endings.append(kill_at(point, victim, started[-1], reader, first))
                began = time.monotonic()
                if victim in DIE_WITH_BIKE_RUN:
                    started[-1].process.wait(120)
                    started.append(Running(home, **ANY_GAIN_AND_NEVER_GOOD))
            reader.wait_until_quiet(400)
            endings[-1].seconds = time.monotonic() - began
            endings[-1].faults = faults_of(reader, first)
            return endings
    finally:
        for each in started:
            if each.process.poll() is None:
                each.interrupt()


def test_a_retrain_that_is_killed_twice_is_neither_lost_nor_doubled(decided):
    endings = killed(decided, *TWICE)
    assert all(ending.killed for ending in endings)
    assert not endings[-1].faults, endings


@pytest.mark.verify
@pytest.mark.timeout(7200)
def test_any_process_killed_at_any_point_leaves_one_champion(decided, capsys):
    endings = {}
    for point, victim in ALONE:
        [ending] = killed(decided, (point, victim))
        endings[point, victim] = ending
        with capsys.disabled():
            print(f"\n{point:<12} {victim:<22} {ending.seconds:>5.0f} s  {ending.hit}; {ending.faults or 'all well'}")
    assert not {where: ending.faults for where, ending in endings.items() if ending.faults}
