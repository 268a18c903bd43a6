"""`POST /predict` beside an empty FastAPI route and `mlflow models serve`, in turns, under the same load.

What is posted is made by `serving_work`, servers are started by `servers`, and the load is `load`'s. Every round starts
every server anew, so that start-up and memory are measured as often as speed.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bike_assets.core.families import FAMILIES
from bike_assets_tests.bench.children import run_bike, run_child
from bike_assets_tests.bench.figures import Aimed
from bike_assets_tests.bench.load import Load, post
from bike_assets_tests.bench.servers import Server, started
from bike_assets_tests.bench.serving_work import API, CHAMPION, MLFLOW, RECORDS, bodies_file

EMPTY_ROUTE = "empty route"
CLIENTS = (1, 8)
SECONDS = 2
FORECAST_TOLERANCE = 1e-3
"""Forecasts of both servers may differ by this share, or by so many bikes: they are computed in float32."""
API_COMMAND = ["bike_assets.cli", "serve", "--workers", "1"]
EMPTY_COMMAND = ["uvicorn", f"{__package__}.empty_route:app", "--no-access-log", "--no-server-header"]
EMPTY_COMMAND += ["--timeout-keep-alive", "30", "--workers", "1"]
PATHS = {API: "/predict", EMPTY_ROUTE: "/predict", MLFLOW: "/invocations"}
NO_WRK = "wrk is not installed (Debian: apt-get install wrk), so serving is not measured."
NOTE = (
    "The API computes the forecasts of every possible hour once, when a version or the counts change: a request "
    "only picks rows. `mlflow models serve` runs the model at every request, on features that its caller has to "
    "make: that work is in none of its figures. Each server is one process and shares the machine with the "
    "load generator."
)
AIM_MLFLOW = {1: 15.0, 1000: 4.0}
AIM_EMPTY = 0.5
AIM_TAIL = 5.0
AIM_START_SECONDS = 5.0
AIM_RESIDENT_MB = 400.0


@dataclass(frozen=True)
class Case:
    """One kind of load.

    Attributes:
        server: API, mlflow, or the empty route.
        model: the family that is asked, or the champion; empty for the empty route.
        records: records in a request.
        clients: connections at once.
    """

    server: str
    model: str
    records: int
    clients: int

    @property
    def title(self) -> str:
        """What it is, for people, beside the number of records and clients."""
        return f"{self.server}, {self.model}" if self.model else self.server


@dataclass(frozen=True)
class ServerStart:
    """One start of a server.

    Attributes:
        start_seconds: from before its start to its first answer that it is ready.
        ready_mb: resident set then.
        loaded_mb: resident set after all load.
    """

    start_seconds: float
    ready_mb: float
    loaded_mb: float


@dataclass(frozen=True)
class ServingFigures:
    """All that was measured.

    Attributes:
        label: "real" or "synthetic".
        counters: counters of the city.
        forecasts: pairs of counter and hour that the API can be asked for.
        champion: the champion's family.
        loads: by case, one a round.
        starts: by server, with its model where a process has but one, one a round.
    """

    label: str
    counters: int
    forecasts: int
    champion: str
    loads: dict[Case, list[Load]]
    starts: dict[str, list[ServerStart]]

    def median(self, case: Case, figure: str) -> float:
        """Return the median of one figure over the rounds."""
        return median(getattr(load, figure) for load in self.loads[case])

    def rate(self, case: Case) -> float:
        """Return the median of requests a second."""
        return self.median(case, "requests_per_second")

    def tail(self, case: Case) -> float:
        """Return how many times its median the 99 % percentile is."""
        return self.median(case, "p99_ms") / self.median(case, "p50_ms")

    def ratio_to_mlflow(self, case: Case) -> float:
        """Return how many times as many requests a second as by `mlflow models serve` of the same version.

        The empty route, which has no version, is held against the champion's.
        """
        model = self.champion if case.model in (CHAMPION, "") else case.model
        return self.rate(case) / self.rate(Case(MLFLOW, model, case.records, case.clients))

    def share_of_empty_route(self, case: Case) -> float:
        """Return the share of the empty route's requests a second."""
        return self.rate(case) / self.rate(Case(EMPTY_ROUTE, "", case.records, case.clients))

    def of_api(self, records: int, clients: int) -> list[Case]:
        """Return the API's cases with so many records and clients."""
        return [c for c in self.loads if (c.server, c.records, c.clients) == (API, records, clients)]

    def as_json(self) -> dict[str, Any]:
        """Return every single value beside the medians."""
        loads = [
            {
                **vars(case),
                **{figure: _with_median([getattr(load, figure) for load in loads]) for figure in vars(loads[0])},
            }
            for case, loads in self.loads.items()
        ]
        starts = [
            {"server": name, **{figure: _with_median([getattr(s, figure) for s in all_]) for figure in vars(all_[0])}}
            for name, all_ in self.starts.items()
        ]
        about = {name: getattr(self, name) for name in ("label", "counters", "forecasts", "champion")}
        return {"note": NOTE, **about, "seconds_a_load": SECONDS, "loads": loads, "starts": starts}


def _with_median(values: list[float]) -> dict[str, Any]:
    return {"median": round(median(values), 3), "values": [round(value, 3) for value in values]}


def measure_serving(
    wrk: str, home: Path | None, folder: Path, rounds: int, log: Callable[[str], None]
) -> ServingFigures:
    """Measure all servers in so many rounds.

    Args:
        wrk: the load generator.
        home: one that has its first pass behind it; a simulated one is made where it is None.
        folder: for homes, bodies and logs.
        rounds: how often each case is measured.
        log: writes a line about each step.

    Raises:
        ChildFailedError: there is no home to serve.
        LoadError, ServerFailedError: a server did not start, or did not answer.
        RuntimeError: the servers do not forecast the same.
    """
    if home is None:
        home = folder / "served"
        log("the first pass of a simulated home, full-size models: some minutes, not measured")
        run_bike("materialize", variables={"BIKE_HOME": str(home), "BIKE_SOURCE": "simulator"}, folder=folder)
    about = run_child("serving_work", ["bodies", str(folder)], {"BIKE_HOME": str(home)}, folder)
    bench = _Bench(wrk, home, folder, about, log)
    for number in range(1, rounds + 1):
        bench.round()
        log(f"serving, round {number}/{rounds}: {bench.newest()}")
    label = "synthetic" if about["source"] == "simulator" else "real"
    champion = about["families"][CHAMPION]
    return ServingFigures(label, about["counters"], about["forecasts"], champion, dict(bench.loads), dict(bench.starts))


class _Bench:
    def __init__(self, wrk: str, home: Path, folder: Path, about: dict[str, Any], log: Callable[[str], None]) -> None:
        self._wrk, self._home, self._folder, self._about, self._log = wrk, home, folder, about, log
        self.loads: dict[Case, list[Load]] = defaultdict(list)
        self.starts: dict[str, list[ServerStart]] = defaultdict(list)

    def round(self) -> None:
        """Load every server once; what is compared follows one another, so that a busy moment meets both."""
        with self._server(EMPTY_ROUTE, EMPTY_COMMAND, "/readyz") as empty, self._api() as api:
            for family in FAMILIES:
                self._load_family(api, family)
            for records in RECORDS:
                self._load(empty, EMPTY_ROUTE, "", records)
                self._load(api, API, CHAMPION, records)

    def newest(self) -> str:
        """Return a few figures of the last round."""
        champion, empty = (Case(*named, 1, 1) for named in ((API, CHAMPION), (EMPTY_ROUTE, "")))
        rates = [f"{case.title} {self.loads[case][-1].requests_per_second:,.0f}" for case in (champion, empty)]
        return f"{', '.join(rates)} requests a second with 1 record and 1 client"

    def _load_family(self, api: Server, family: str) -> None:
        command = ["mlflow", "models", "serve", "-m", self._about["model_uris"][family], "--env-manager", "local"]
        variables = {"MLFLOW_TRACKING_URI": self._about["tracking_uri"]}
        with self._server(f"{MLFLOW}, {family}", [*command, "--workers", "1"], "/ping", variables) as mlflow:
            self._require_same_forecasts(api, mlflow, family)
            for records in RECORDS:
                self._load(mlflow, MLFLOW, family, records)
                self._load(api, API, family, records)

    def _load(self, server: Server, name: str, model: str, records: int) -> None:
        # The empty route is sent what the API is sent for the champion.
        bodies = bodies_file(self._folder, name if model else API, model or CHAMPION, records)
        for clients in CLIENTS:
            load = post(self._wrk, server.address + PATHS[name], bodies, clients, SECONDS)
            self.loads[Case(name, model, records, clients)].append(load)

    def _api(self) -> Any:
        return self._server(API, API_COMMAND, "/readyz", {"BIKE_HOME": str(self._home)})

    @contextmanager
    def _server(
        self, name: str, command: list[str], ready_path: str, variables: dict[str, str] | None = None
    ) -> Iterator[Server]:
        folder = self._folder / name.replace(", ", "-").replace(" ", "-")
        folder.mkdir(exist_ok=True)
        with started(command, ready_path, variables or {}, folder) as server:
            ready_mb = server.resident_mb()
            yield server
            self.starts[name].append(ServerStart(server.start_seconds, ready_mb, server.resident_mb()))

    def _require_same_forecasts(self, api: Server, mlflow: Server, family: str) -> None:
        forecasts = []
        for server, name in ((api, API), (mlflow, MLFLOW)):
            with bodies_file(self._folder, name, family, max(RECORDS)).open("rb") as bodies:
                forecasts.append(server.post(PATHS[name], bodies.readline())["predictions"])
        of_api, of_mlflow = forecasts[0], [row[0] for row in forecasts[1]["bike_count"]]
        pairs = zip(of_api, of_mlflow, strict=True)
        if not all(
            math.isclose(one, other, rel_tol=FORECAST_TOLERANCE, abs_tol=FORECAST_TOLERANCE) for one, other in pairs
        ):
            raise RuntimeError(f"{family}: the API and mlflow models serve return different forecasts")


def summarise_serving(figures: ServingFigures) -> list[Aimed]:
    """Return the API's worst ratio of each kind, and its start-up and memory."""
    found = []
    for records in RECORDS:
        for clients in CLIENTS:
            cases, load = figures.of_api(records, clients), load_title(records, clients)
            worst = min(cases, key=figures.ratio_to_mlflow)
            what = f"API / mlflow, requests a second, {load} ({worst.model})"
            found.append(Aimed(what, figures.ratio_to_mlflow(worst), AIM_MLFLOW[records], at_least=True))
            if records == 1:
                worst = min(cases, key=figures.share_of_empty_route)
                what = f"API / empty route, requests a second, {load} ({worst.model})"
                found.append(Aimed(what, figures.share_of_empty_route(worst), AIM_EMPTY, at_least=True))
                highest = figures.ratio_to_mlflow(Case(EMPTY_ROUTE, "", records, clients))
                found.append(Aimed(f"empty route / mlflow, requests a second, {load} (champion)", highest, None))
        worst = max(figures.of_api(records, CLIENTS[-1]), key=figures.tail)
        what = f"API's p99 / p50, {load_title(records, CLIENTS[-1])} ({worst.model})"
        found.append(Aimed(what, figures.tail(worst), AIM_TAIL))
    starts = figures.starts[API]
    return [
        *found,
        Aimed("API's start-up to ready, seconds", median(each.start_seconds for each in starts), AIM_START_SECONDS),
        Aimed("API's resident memory after load, MB", max(each.loaded_mb for each in starts), AIM_RESIDENT_MB),
    ]


def load_title(records: int, clients: int) -> str:
    """Return what a load is, for people."""
    return f"{records:,} record{'s' if records > 1 else ''}, {clients} client{'s' if clients > 1 else ''}"
