"""Who can be killed while a decision is acted on, when, and how the home has to end whatever was killed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import dagster as dg
import psutil

from bike_assets.commands.run.everything import MARK
from bike_assets.core.families import FAMILIES
from bike_assets_tests.conftest import poll
from bike_assets_tests.whole.conftest import Running
from bike_assets_tests.whole.retrained import Told

STARTED = dg.DagsterRunStatus.STARTED
TIGHT_SECONDS = 0.002


def of_home(running: Running) -> list[psutil.Process]:
    """Return the processes that carry a home's mark."""
    return [process for process in psutil.process_iter() if _mark(process) == str(running.home)]


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _command(process: psutil.Process) -> str:
    """A process's command line; that of one which has just ended has nothing in it."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def named(running: Running, name: str) -> list[psutil.Process]:
    """Return the processes of a home whose command line has a name."""
    return [process for process in of_home(running) if name in _command(process)]


def daemon_of(running: Running) -> list[psutil.Process]:
    return named(running, "dagster-daemon")


def webserver_of(running: Running) -> list[psutil.Process]:
    return named(running, "dagster-webserver")


def daemon_and_all_below(running: Running) -> list[psutil.Process]:
    daemons = daemon_of(running)
    return [*daemons, *(child for daemon in daemons for child in daemon.children(recursive=True))]


def run_process_of(running: Running) -> list[psutil.Process]:
    """The processes of runs: what the daemon's code server has spawned."""
    return [process for process in daemon_and_all_below(running) if "--multiprocessing-fork" in _command(process)]


def code_server_and_run_of(running: Running) -> list[psutil.Process]:
    return daemon_and_all_below(running)[1:]


def bike_run_of(running: Running) -> list[psutil.Process]:
    return [psutil.Process(running.process.pid)]


def everything_of(running: Running) -> list[psutil.Process]:
    return [*bike_run_of(running), *of_home(running)]


VICTIMS: dict[str, Callable[[Running], list[psutil.Process]]] = {
    "run": run_process_of,
    "daemon": daemon_of,
    "code server and run": code_server_and_run_of,
    "daemon and all below": daemon_and_all_below,
    "webserver": webserver_of,
    "bike run": bike_run_of,
    "everything": everything_of,
}


def is_started(told: Told, first: int) -> bool:
    return any(run.status == STARTED for run in told.retrains())


def is_refreshing(told: Told, first: int) -> bool:
    return any(run.status == STARTED for run in told.runs("refresh"))


POINTS: dict[str, Callable[[Told, int], bool]] = {
    "queued": lambda told, first: bool(told.retrains()),
    "started": is_started,
    "in training": lambda told, first: told.made(*FAMILIES),
    "evaluated": lambda told, first: told.made("double_evaluation"),
    "promoted": lambda told, first: told.champion() != first,
    "told": lambda told, first: told.made("champion"),
    "refreshing": is_refreshing,
}


@dataclass
class Ending:
    """What became of a home after a kill.

    Attributes:
        killed: who was killed, by their ids.
        hit: what was true at once after the kill: the retrain's status, whether the champion had changed and was told.
        seconds: from the kill to quiet.
        faults: what is not as it has to be; empty where all is well.
    """

    killed: list[int]
    hit: str
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def kill(victims: list[psutil.Process]) -> list[int]:
    """End processes at once, without a chance to clean up; return their ids."""
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    return [victim.pid for victim in victims]


def wait_for(point: str, told: Told, first: int, seconds: float) -> None:
    """Wait for a point, asking as fast as can be: what follows it may take milliseconds."""
    told.wait_for(lambda: POINTS[point](told, first), seconds, point, TIGHT_SECONDS)


def kill_at(point: str, victim: str, running: Running, told: Told, first: int) -> Ending:
    """Kill somebody at a point."""
    if point == "queued":
        wait_for(point, told, first, 240)
        return _killed(VICTIMS[victim](running), told, first)
    wait_for("refreshing" if point == "refreshing" else "started", told, first, 240)
    victims = poll(lambda: VICTIMS[victim](running), 60, victim)
    wait_for(point, told, first, 240)
    return _killed(victims, told, first)


def _killed(victims: list[psutil.Process], told: Told, first: int) -> Ending:
    ids = kill(victims)
    runs = ", ".join(f"{run.job_name} {run.status.value}" for run in told.under_way()) or "nothing under way"
    changed = "changed" if told.champion() != first else "not changed"
    return Ending(ids, f"{runs}; champion {changed}, {'told' if told.told_champion() != first else 'not told'}")


def faults_of(told: Told, first: int) -> list[str]:
    """Return what is not as it has to be once a home is quiet whose champion was to be retrained."""
    retrains, champion = told.retrains(), told.champion()
    asked_for = [run for run in retrains if run.tags.get("dagster/run_key", "").startswith("retrain-")]
    asked_for = [run for run in asked_for if run.parent_run_id is None]
    ended_well = [run for run in retrains if run.status == dg.DagsterRunStatus.SUCCESS]
    deployed = told.deployments(first)
    rules = {
        f"one retrain for the decision, not {len(asked_for)}": len(asked_for) == 1,
        f"at most one that ended well, not {len(ended_well)}": len(ended_well) <= 1,
        f"nothing under way: {[run.job_name for run in told.under_way()]}": not told.under_way(),
        "a new champion": champion != first,
        f"one champion, not {told.champions()}": told.champions() == 1,
        f"MLflow's alias {told.alias()} is version {champion}": told.alias() == champion,
        f"the newest materialization {told.told_champion()} is of version {champion}": told.told_champion() == champion,
        f"one deployment, not {deployed}": deployed == [champion],
        f"forecasts and scores of version {champion}, not {told.scored_version()}": told.newest_forecasts_of(champion),
    }
    return [rule for rule, holds in rules.items() if not holds]
