"""A home's schedules and sensors at simulated times: what they launch is kept as if these days had passed."""

import importlib
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from bike_assets.commands.replay.simulated_time import SimulatedDaemon, frozen_at, simulated_daemon
from bike_assets.core.messages import Message
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources.notifier import Notifier
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets_tests.conftest import LAST_DAY, City

pytestmark = pytest.mark.slow

MISSING = LAST_DAY + timedelta(days=1)
MORNING = datetime(2021, 10, 9, 10, 30, tzinfo=ZoneInfo("Europe/Paris"))
"""MISSING was over the night before, and its counts are published."""


@pytest.fixture
def daemon(city: City) -> Iterator[SimulatedDaemon]:
    with simulated_daemon(city.home, city.settings) as opened:
        yield opened


def state_of(city: City, name: str) -> InstigatorState:
    return next(state for state in city.instance.all_instigator_state() if state.instigator_name == name)


def ticks_of(city: City, name: str) -> list[InstigatorTick]:
    state = state_of(city, name)
    return list(city.instance.get_ticks(state.instigator_origin_id, state.selector_id))


def promote_another(city: City) -> None:
    other = next(entry for entry in city.resource("registry").read().models if not entry.is_champion)
    request = {"version": other.version, "by": "a test", "reason": "to see what follows"}
    assert city.run("promote", run_config={"ops": {"champion": {"config": request}}}).success


def test_modules_that_are_imported_while_days_are_replayed_stay_imported(city: City):
    sys.modules.pop("tabnanny", None)
    with simulated_daemon(city.home, city.settings):
        importlib.import_module("tabnanny")
    assert "tabnanny" in sys.modules


def test_the_missing_day_runs_once_and_is_stored_under_its_simulated_time(city: City, daemon: SimulatedDaemon, capfd):
    (run_id,) = daemon.tick_schedules(MORNING)

    record = city.instance.get_run_record_by_id(run_id)
    assert record.dagster_run.job_name == "daily"
    assert record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
    assert record.dagster_run.tags["dagster/partition"] == MISSING.isoformat()
    assert record.dagster_run.tags["dagster/schedule_name"] == "daily_refresh"
    assert record.start_time == record.end_time == MORNING.timestamp()
    assert record.create_timestamp == record.update_timestamp == MORNING
    assert {entry.timestamp for entry in city.instance.all_logs(run_id)} == {MORNING.timestamp()}
    (tick,) = ticks_of(city, "daily_refresh")
    assert (tick.status, tick.timestamp, tick.run_ids) == (TickStatus.SUCCESS, MORNING.timestamp(), [run_id])
    assert ticks_of(city, "daily_corrections") == []
    assert "dagster" not in capfd.readouterr().err.lower()

    assert daemon.tick_schedules(MORNING) == []
    assert len(ticks_of(city, "daily_refresh")) == 1


def test_only_the_newest_missed_tick_is_caught_up(city: City, daemon: SimulatedDaemon):
    assert len(daemon.tick_schedules(MORNING)) == 1
    assert daemon.tick_schedules(MORNING + timedelta(hours=4, minutes=10)) == []
    newest, first = ticks_of(city, "daily_refresh")
    assert newest.timestamp - first.timestamp == timedelta(hours=4).total_seconds()
    assert newest.status == TickStatus.SKIPPED


def test_a_promotion_is_followed_by_one_refresh(city: City, daemon: SimulatedDaemon):
    daemon.tick_sensors(MORNING)
    with frozen_at(MORNING + timedelta(minutes=1)):
        promote_another(city)
    end = daemon.settle(MORNING + timedelta(minutes=2))

    (run,) = city.instance.get_runs(dg.RunsFilter(job_name="refresh"))
    assert daemon.launched == [run.run_id]
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/sensor_name"] == "refresh_on_promotion"
    promotion = city.instance.fetch_materializations(dg.AssetKey("champion"), limit=1).records[0]
    assert promotion.timestamp == (MORNING + timedelta(minutes=1)).timestamp()
    assert state_of(city, "refresh_on_promotion").instigator_data.cursor == str(promotion.storage_id)
    assert timedelta(seconds=30) < end - (MORNING + timedelta(minutes=2)) < timedelta(minutes=2)
    assert daemon.settle(end) > end
    assert daemon.launched == [run.run_id]


def test_a_failed_run_raises_nothing_and_is_reported_once(city: City, daemon: SimulatedDaemon, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    def record_message(_: Notifier, message: Message) -> bool:
        heard.append(message)
        return True

    heard: list[Message] = []
    monkeypatch.setattr(Notifier, "send", record_message)
    with monkeypatch.context() as broken:
        broken.setattr(LocalWarehouse, "merge", breaks)
        (run_id,) = daemon.tick_schedules(MORNING)
    assert city.instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert ticks_of(city, "daily_refresh")[0].status == TickStatus.SUCCESS

    daemon.settle(daemon.settle(MORNING))
    (message,) = [message for message in heard if message.link.endswith(f"/runs/{run_id}")]
    assert message.fields["error"] == "RuntimeError: the disk is full"


def test_a_second_daemon_continues_where_the_first_ended_and_leaves_nothing_behind(city: City):
    before = {thread.name for thread in threading.enumerate()}
    with simulated_daemon(city.home, city.settings) as first:
        first.tick_schedules(MORNING)
        end = first.settle(MORNING)
    assert "grpc-server-registry-cleanup" not in {thread.name for thread in threading.enumerate()} - before

    with simulated_daemon(city.home, city.settings) as second:
        assert second.tick_schedules(MORNING) == []
        assert second.settle(MORNING) > end
        assert second.launched == []
        corrections, newest = second.tick_schedules(MORNING + timedelta(days=1))
    assert city.instance.get_run_by_id(corrections).job_name == "ingest"
    assert city.instance.get_run_by_id(newest).tags["dagster/partition"] == (MISSING + timedelta(days=1)).isoformat()


def test_a_time_before_the_last_tick_is_refused(daemon: SimulatedDaemon):
    daemon.tick_sensors(MORNING)
    with pytest.raises(BikeError, match="served this home until 2021-10-09"):
        daemon.tick_schedules(MORNING - timedelta(days=1))


def test_sensors_that_never_stop_requesting_runs_fail(daemon: SimulatedDaemon, monkeypatch):
    monkeypatch.setattr(SimulatedDaemon, "_sensors", lambda *_: ["one more run"])
    with pytest.raises(StepFailedError, match="still request runs"):
        daemon.settle(MORNING)
