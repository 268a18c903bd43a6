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
from bike_assets_tests.whole.retrained import HomeReader

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


def is_started(reader: HomeReader, first: int) -> bool:
    return any(run.status == STARTED for run in reader.retrains())


def is_refreshing(reader: HomeReader, first: int) -> bool:
    return any(run.status == STARTED for run in reader.runs("refresh"))


POINTS: dict[str, Callable[[HomeReader, int], bool]] = {
    "queued": lambda reader, first: bool(reader.retrains()),
    "started": is_started,
    "in training": lambda reader, first: reader.made(*FAMILIES),
    "evaluated": lambda reader, first: reader.made("double_evaluation"),
    "promoted": lambda reader, first: reader.champion() != first,
    "materialized": lambda reader, first: reader.made("champion"),
    "refreshing": is_refreshing,
}


@dataclass
class Ending:
    """What became of a home after a kill.

    Attributes:
        killed: who was killed, by their ids.
        hit: the state right after the kill: the retrain's status, whether the champion was changed and materialized.
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


def wait_for(point: str, reader: HomeReader, first: int, seconds: float) -> None:
    """Wait for a point, asking as fast as can be: what follows it may take milliseconds."""
    reader.wait_for(lambda: POINTS[point](reader, first), seconds, point, TIGHT_SECONDS)


def kill_at(point: str, victim: str, running: Running, reader: HomeReader, first: int) -> Ending:
    """Kill a victim at a point."""
    if point == "queued":
        wait_for(point, reader, first, 240)
        return _killed(VICTIMS[victim](running), reader, first)
    wait_for("refreshing" if point == "refreshing" else "started", reader, first, 240)
    victims = poll(lambda: VICTIMS[victim](running), 60, victim)
    wait_for(point, reader, first, 240)
    return _killed(victims, reader, first)


def _killed(victims: list[psutil.Process], reader: HomeReader, first: int) -> Ending:
    ids = kill(victims)
    runs = ", ".join(f"{run.job_name} {run.status.value}" for run in reader.unfinished()) or "nothing is unfinished"
    changed = "changed" if reader.champion() != first else "not changed"
    return Ending(
        ids, f"{runs}; champion {changed}, {'materialized' if reader.materialized() != first else 'not materialized'}"
    )


def faults_of(reader: HomeReader, first: int) -> list[str]:
    """Return what is not as it has to be once a home is quiet whose champion was to be retrained."""
    retrains, champion = reader.retrains(), reader.champion()
    asked_for = [run for run in retrains if run.tags.get("dagster/run_key", "").startswith("retrain-")]
    asked_for = [run for run in asked_for if run.parent_run_id is None]
    ended_well = [run for run in retrains if run.status == dg.DagsterRunStatus.SUCCESS]
    deployed = reader.deployments(first)
    rules = {
        f"one retrain for the decision, not {len(asked_for)}": len(asked_for) == 1,
        f"at most one that ended well, not {len(ended_well)}": len(ended_well) <= 1,
        f"nothing is unfinished: {[run.job_name for run in reader.unfinished()]}": not reader.unfinished(),
        "a new champion": champion != first,
        f"one champion, not {reader.champions()}": reader.champions() == 1,
        f"MLflow's alias {reader.alias()} is version {champion}": reader.alias() == champion,
        f"the newest materialization {reader.materialized()} is of {champion}": reader.materialized() == champion,
        f"one deployment, not {deployed}": deployed == [champion],
        f"forecasts and scores of {champion}, not {reader.scored_version()}": reader.newest_forecasts_of(champion),
    }
    return [rule for rule, holds in rules.items() if not holds]
