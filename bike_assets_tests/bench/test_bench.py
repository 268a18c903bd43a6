"""The benchmark's own arithmetic and its scales: medians, ratios, verdicts, and that a child's figures are its own."""

import io
import json
from datetime import date

import pytest
from rich.console import Console

from bike_assets_tests.bench import children
from bike_assets_tests.bench.children import ChildFailedError, Sample, measure_child
from bike_assets_tests.bench.counts import Counts, find_counts
from bike_assets_tests.bench.families import FamilyFigures, Fitted, summarise_families
from bike_assets_tests.bench.figures import (
    BACKFILL,
    DAILY_WITH_DRIFT,
    DAILY_WITHOUT_DRIFT,
    EMPTY,
    FEATURES,
    TRAINING,
    Measurement,
    summarise,
)
from bike_assets_tests.bench.load import Load, LoadError, post, read_load
from bike_assets_tests.bench.measurements import IdlePassError, Measured, validate_pass
from bike_assets_tests.bench.report import print_tables, write_json
from bike_assets_tests.bench.results import Results
from bike_assets_tests.bench.scale import Scale, summarise_scale
from bike_assets_tests.bench.scrapes import ScrapeFigures, summarise_scrapes
from bike_assets_tests.bench.servers import ServerFailedError, started
from bike_assets_tests.bench.serving import CLIENTS, EMPTY_ROUTE, Case, ServerStart, ServingFigures, summarise_serving
from bike_assets_tests.bench.serving_work import API, CHAMPION, MLFLOW, RECORDS
from bike_assets_tests.programs import system_program

DAY = date(2026, 10, 1)


def measurement(name: str, *seconds: float, peak: float = 100.0) -> Measurement:
    return Measurement(name, name, tuple(Sample(each, each / 2, each, peak) for each in seconds))


def test_ratios_are_of_medians_and_a_missed_aim_is_reported():
    measured = [
        measurement(DAILY_WITHOUT_DRIFT, 9.0, 5.0, 6.0),
        measurement(DAILY_WITH_DRIFT, 8.0, 7.0, 50.0, peak=3000.0),
        measurement(EMPTY, 2.0, 2.0, 90.0),
    ]
    without, with_drift, _, _, peak = summarise(measured)
    assert (without.value, without.met) == (3.0, True)
    assert (with_drift.value, with_drift.met) == (4.0, False)
    assert (peak.value, peak.met) == (3000.0, False)


def fitted(name: str, cpu: float, rmse: float) -> Fitted:
    return Fitted(name, cpu, cpu / 2, 1000.0, 1.0, 1e6, rmse)


def test_the_best_and_the_dearest_family_are_compared_with_the_plain_forest():
    models = [
        fitted("plain_forest", 400.0, 60.0),
        fitted("random_forest", 60.0, 30.0),
        fitted("gradient_boosting", 30.0, 31.0),
        fitted("blend", 500.0, 27.0),
    ]
    found = summarise_families([FamilyFigures("synthetic", 905_000, models)], 4200.0)
    best, dearest, *errors, peak = found
    assert (best.name.split()[0], best.value, best.met) == ("random_forest", 0.15, False)
    assert (dearest.name.split()[0], dearest.value, dearest.met) == ("blend", 1.25, False)
    assert [each.value for each in errors] == [30 / 60, 31 / 60, 27 / 60]
    assert (peak.value, peak.met) == (4200.0, False)


def test_json_has_every_single_value_beside_the_median():
    assert measurement(EMPTY, 3.0, 1.0, 2.0).as_json()["seconds"] == {"median": 2.0, "values": [3.0, 1.0, 2.0]}


@pytest.fixture
def module_of(tmp_path, monkeypatch):
    """Puts a module of some source where children find their package."""

    def module_of(source: str) -> str:
        (tmp_path / "children_package").mkdir()
        (tmp_path / "children_package" / "child.py").write_text(source)
        monkeypatch.setattr(children, "ROOT", tmp_path)
        monkeypatch.setattr(children, "__package__", "children_package")
        return "child"

    return module_of


def test_a_childs_peak_counts_what_it_held(module_of, tmp_path):
    child = module_of("import sys; held = b'x' * (200 << 20); open(sys.argv[-1], 'w').write('{\"run_seconds\": 0}')")
    sample = measure_child(child, [], {}, tmp_path)
    assert sample.peak_mib > 200


def test_a_child_that_fails_is_quoted(module_of, tmp_path):
    with pytest.raises(ChildFailedError, match="no such day"):
        measure_child(module_of("raise SystemExit('no such day')"), [], {}, tmp_path)


def test_without_an_export_the_simulator_is_measured_with_a_remark(tmp_path, monkeypatch):
    monkeypatch.setenv("BIKE_COUNTS_FILE", str(tmp_path / "none.parquet"))
    counts = find_counts()
    assert (counts.label, counts.environment) == ("synthetic", {"BIKE_SOURCE": "simulator"})
    assert "none.parquet" in counts.remark


def test_a_pass_without_results_is_an_error():
    results = {"forecasts": 3744, "scores": 12, "drift_shares": 0}
    validate_pass(DAILY_WITHOUT_DRIFT, results)
    with pytest.raises(IdlePassError, match="without drift_shares"):
        validate_pass(DAILY_WITH_DRIFT, results)


WRK = """Running 2s test @ http://127.0.0.1:8000/predict
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.51ms    3.20ms  51.02ms   95.50%
    Req/Sec     4.08k   512.33     4.90k    70.00%
  Latency Distribution
     50%  {p50}
     75%    2.40ms
     90%    3.90ms
     99%  {p99}
  8123 requests in 2.00s, 3.49MB read
{failures}Requests/sec:   4061.52
Transfer/sec:      1.74MB
"""


def wrk_output(p50: str = "1.94ms", p99: str = "9.10ms", failures: str = "") -> str:
    return WRK.format(p50=p50, p99=p99, failures=failures)


@pytest.mark.parametrize(
    ("p50", "p99", "milliseconds"),
    [("194.00us", "1.94ms", (0.194, 1.94)), ("812.50ms", "1.21s", (812.5, 1210.0)), ("2.00s", "1.50m", (2000, 90_000))],
)
def test_percentiles_of_any_unit_are_milliseconds(p50, p99, milliseconds):
    load = read_load(wrk_output(p50, p99))
    assert load.requests_per_second == 4061.52
    assert (load.p50_ms, load.p99_ms) == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    "failure", ["Non-2xx or 3xx responses: 17", "Socket errors: connect 0, read 3, write 0, timeout 0"]
)
def test_a_load_with_refused_or_missing_answers_is_an_error(failure):
    with pytest.raises(LoadError, match=failure):
        read_load(wrk_output(failures=f"  {failure}\n"))


def test_a_load_without_answers_is_an_error():
    with pytest.raises(LoadError, match="no answers"):
        read_load(wrk_output().replace("4061.52", "0.00"))


def loads(*rates: float, p50: float = 1.0, p99: float = 4.0) -> list[Load]:
    return [Load(rate, p50, p99) for rate in rates]


@pytest.fixture
def figures() -> ServingFigures:
    """Two families, of which the API answers twenty times as fast as MLflow, but one load of the forest only three."""
    found = {}
    for records in RECORDS:
        for clients in CLIENTS:
            found[Case(EMPTY_ROUTE, "", records, clients)] = loads(8000, 9000, 100)
            for model in ("random_forest", "blend", CHAMPION):
                found[Case(API, model, records, clients)] = loads(5000, 4000, 100)
            for model in ("random_forest", "blend"):
                found[Case(MLFLOW, model, records, clients)] = loads(300, 200, 1)
    found[Case(API, "random_forest", 1000, 8)] = loads(600, 600, 600, p50=2.0, p99=16.0)
    starts = {API: [ServerStart(2.0, 180.0, 200.0), ServerStart(9.0, 190.0, 420.0), ServerStart(3.0, 170.0, 210.0)]}
    return ServingFigures("synthetic", 64, 15_000, "blend", found, starts)


def test_the_api_is_compared_with_mlflow_and_the_empty_route_in_its_worst_case(figures):
    aims = {each.name: (each.value, each.met) for each in summarise_serving(figures)}
    assert aims["API / mlflow, requests a second, 1 record, 8 clients (random_forest)"] == (20.0, True)
    assert aims["API / mlflow, requests a second, 1,000 records, 1 client (random_forest)"] == (20.0, True)
    assert aims["API / mlflow, requests a second, 1,000 records, 8 clients (random_forest)"] == (3.0, False)
    assert aims["API / empty route, requests a second, 1 record, 1 client (random_forest)"] == (0.5, True)
    assert aims["empty route / mlflow, requests a second, 1 record, 1 client (champion)"] == (40.0, None)
    assert aims["API's p99 / p50, 1 record, 8 clients (random_forest)"] == (4.0, True)
    assert aims["API's p99 / p50, 1,000 records, 8 clients (random_forest)"] == (8.0, False)
    assert aims["API's start-up to ready, seconds"] == (3.0, True)
    assert aims["API's resident memory after load, MB"] == (420.0, False)


def test_the_champion_is_compared_with_its_own_familys_version(figures):
    figures.loads[Case(MLFLOW, "blend", 1, 1)] = loads(50)
    assert figures.ratio_to_mlflow(Case(API, CHAMPION, 1, 1)) == 80.0


def test_the_report_of_serving_alone_explains_the_comparison(figures, tmp_path):
    console = Console(width=200, record=True, file=io.StringIO())
    machine = {"cores": 2, "memory_gib": 8, "system": "Linux", "python": "3.11", "load_at_start": 0.1, "versions": {}}
    results = Results(Counts("real", None), machine, serving=figures)
    print_tables(console, results)
    shown = " ".join(console.export_text().split())
    assert "features that its caller has to make:" in shown
    assert "POST /predict, 1,000 records, 8 clients" in shown
    assert "Counts:" not in shown
    assert shown.count("not met") == 3
    write_json(tmp_path / "bench.json", results)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert "features that its caller has to make:" in written["serving"]["note"]
    assert set(written) == {"machine", "serving", "aims"}
    first = written["serving"]["loads"][0]
    assert first["server"] == EMPTY_ROUTE
    assert first["requests_per_second"] == {"median": 8000, "values": [8000, 9000, 100]}


def test_the_median_scrape_is_compared_with_the_aim_and_the_slowest_is_reported():
    measured = ScrapeFigures({}, unchanged=[50.0, 60.0, 900.0], after_a_day=[150.0, 210.0, 260.0], resident_mb=[300.0])
    unchanged, slowest, after, _ = summarise_scrapes(measured)
    assert (unchanged.value, unchanged.met) == (60.0, True)
    assert (slowest.value, slowest.met) == (900.0, None)
    assert (after.value, after.met) == (210.0, False)


def test_ten_times_the_counters_may_take_as_many_times_as_there_are_rows():
    def size(rows: int, *seconds: float, peak: float) -> Measured:
        parts = zip((BACKFILL, FEATURES, DAILY_WITH_DRIFT, TRAINING), seconds, strict=True)
        return Measured([measurement(name, each, peak=peak) for name, each in parts], DAY, DAY, rows)

    scale = Scale((size(1000, 10, 20, 5, 30, peak=500), size(9500, 60, 200, 10, 40, peak=5000)))
    found = {each.name: (each.value, each.met) for each in summarise_scale(scale)}
    assert found["ten times Paris / Paris, backfill, run"] == (6.0, True)
    assert found["ten times Paris / Paris, features, run"] == (10.0, False)
    assert found["ten times Paris, daily_with_drift, peak MiB"] == (5000.0, False)
    assert found["ten times Paris, training, peak MiB"] == (5000.0, None)


def test_a_server_that_does_not_start_is_quoted(tmp_path):
    with (
        pytest.raises(ServerFailedError, match="no_such_module"),
        started(["uvicorn", "no_such_module:app"], "/", {}, tmp_path),
    ):
        pass


def test_a_server_ends_with_its_block_and_its_memory_is_that_of_the_listener(tmp_path):
    command = ["uvicorn", "bike_assets_tests.bench.empty_route:app", "--no-access-log"]
    with started(command, "/readyz", {}, tmp_path) as server:
        assert server.post("/predict", b"{}") == {"predictions": [0.0]}
        assert 20 < server.resident_mb() < 200
    assert not server.process.is_running()


def test_wrk_posts_every_line_of_a_file_and_a_refusal_is_an_error(tmp_path):
    wrk = system_program("wrk")
    bodies = tmp_path / "bodies.txt"
    bodies.write_text('{"known": true}\n' * 9)
    (tmp_path / "picky.py").write_text(PICKY)
    command = ["uvicorn", "picky:app", "--app-dir", str(tmp_path), "--no-access-log"]
    with started(command, "/", {}, tmp_path) as server:
        load = post(wrk, f"{server.address}/", bodies, clients=2, seconds=1)
        assert load.requests_per_second > 10
        assert load.p50_ms <= load.p99_ms
        bodies.write_text('{"known": true}\n' * 9 + '{"known": false}\n')
        with pytest.raises(LoadError, match="Non-2xx"):
            post(wrk, f"{server.address}/", bodies, clients=2, seconds=1)


PICKY = """
from fastapi import FastAPI, Request, Response

app = FastAPI()

@app.get("/")
async def ready() -> Response:
    return Response()

@app.post("/")
async def answer(request: Request) -> Response:
    return Response(status_code=200 if (await request.json())["known"] else 422)
"""
