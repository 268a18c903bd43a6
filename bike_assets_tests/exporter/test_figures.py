"""The figures of a home, as Prometheus would read them: those of registry, audit tables, warehouse and Dagster."""

import subprocess
from datetime import UTC, date, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bike_assets.core.families import FAMILIES
from bike_assets.core.local_time import utc_bounds
from bike_assets.core.schemas import DRIFT, EVALUATIONS, RETRAIN_DECISIONS
from bike_assets.exporter.names import METRICS
from bike_assets.exporter.server import metrics_of
from bike_assets.settings import Settings
from bike_assets_tests.conftest import LAST_DAY, City, recorded

pytestmark = pytest.mark.dated

END = utc_bounds(LAST_DAY, "Europe/Paris")[1].timestamp()


class Scraped:
    """The exporter of a home; each call is a scrape."""

    def __init__(self, settings: Settings) -> None:
        self._registry = metrics_of(settings)

    def text(self) -> str:
        """The text of a scrape."""
        return generate_latest(self._registry).decode()

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric, by the values of its labels in their order."""
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {tuple(sample.labels[label] for label in METRICS[name].labels): sample.value for sample in samples}


@pytest.fixture
def scraped(city: City) -> Scraped:
    return Scraped(city.settings)


def test_live_scores_are_those_of_the_newest_day_by_role_and_horizon(city: City, scraped):
    rows = city.query("SELECT * FROM monitoring_audit.newest_performance_metrics WHERE day = @day", day=LAST_DAY)
    for name in ("r2", "rmse", "mae"):
        live = {key: value for key, value in scraped.of(f"bike_model_{name}").items() if key[1] == "live"}
        expected = {
            (row.role, "live", str(row.horizon_days)): pytest.approx(getattr(row, name)) for row in rows.itertuples()
        }
        assert live == expected
    assert len(live) == 9
    assert scraped.of("bike_performance_end_timestamp_seconds") == {(): END}


def test_scores_on_the_test_sets_are_those_of_the_evaluation(city: City, scraped):
    [row] = city.query("SELECT * FROM monitoring_audit.evaluations").to_dict("records")
    champion = city.resource("registry").read().champion
    r2 = scraped.of("bike_model_r2")
    for dataset in ("baseline", "current"):
        assert r2["champion", dataset, "1"] == row[f"r2_{dataset}"] == champion.scores[f"test_{dataset}"]["r2"]
        assert r2["seasonal_naive", dataset, "1"] == row[f"naive_r2_{dataset}"]
        assert r2["challenger", dataset, "1"] == row[f"r2_{dataset}"]
    assert ("first_champion", "current", "1") not in r2
    info = scraped.of("bike_model_info")
    roles = ("champion", "challenger", "first_champion")
    assert info == {(role, champion.family, str(champion.version)): 1 for role in roles}
    assert scraped.of("bike_champion_version") == {(): champion.version}
    assert set(scraped.of("bike_model_family_r2")) == {(f, s) for f in FAMILIES for s in ("baseline", "current")}


def test_after_a_later_evaluation_challenger_and_champion_are_scored_on_the_same_rows(city: City, scraped):
    summary = city.resource("registry").read()
    other = next(entry for entry in summary.models if not entry.is_champion)
    before = scraped.of("bike_model_r2")["champion", "current", "1"]
    row = {
        "decided_on": LAST_DAY,
        "challenger_version": other.version,
        "challenger_family": other.family,
        "champion_version": summary.champion.version,
        "decision": "REJECT",
        "r2_baseline": 0.5,
        "r2_current": 0.6,
        "champion_r2_baseline": 0.7,
        "champion_r2_current": 0.8,
        "gain": -0.2,
        "gain_low": -0.3,
        "gain_high": -0.1,
    }
    append(city, EVALUATIONS, row)
    r2 = scraped.of("bike_model_r2")
    assert (r2["challenger", "baseline", "1"], r2["challenger", "current", "1"]) == (0.5, 0.6)
    assert r2["champion", "current", "1"] == 0.8 != before
    assert scraped.of("bike_gain_r2") == {("estimate",): -0.2, ("low",): -0.3, ("high",): -0.1}
    assert scraped.of("bike_evaluations_total")[("REJECT",)] == 1
    version = summary.champion.version
    append(city, EVALUATIONS, {**row, "challenger_version": version, "decision": "SKIP", "gain": 0.0}, 1)
    assert scraped.of("bike_gain_r2")[("estimate",)] == -0.2  # A champion that meets itself is no challenger.
    assert ("challenger", other.family, str(other.version)) in scraped.of("bike_model_info")


def append(city: City, table, row: dict, minutes: int = 0) -> None:
    from bike_assets.resources.table_rows import frame

    at = datetime.now(UTC) + timedelta(minutes=1 + minutes)
    city.resource("warehouse").merge(table, frame(table, [{**recorded(row, minutes), "recorded_at": at}]))


def test_drift_is_that_of_the_newest_day_and_unknown_drift_has_no_figure(city: City, scraped):
    day = LAST_DAY + timedelta(days=1)
    row = {"day": day, "rows_current": 2000, "rows_reference": 20000, "columns_checked": 6, "new_counters": "a, b"}
    append(city, DRIFT, {**row, "drift_share": 0.5, "drifted_columns": "x, y, z"})
    assert scraped.of("bike_drift_share") == {(): 0.5}
    assert scraped.of("bike_drift_column_drifted") == {("x",): 1, ("y",): 1, ("z",): 1}
    assert scraped.of("bike_drift_detected") == {(): 1}
    assert scraped.of("bike_drift_new_counters") == {(): 2}
    assert scraped.of("bike_drift_end_timestamp_seconds") == {(): END + 86400}
    append(city, DRIFT, row, 1)
    assert scraped.of("bike_drift_enough_data") == {(): 0}
    assert scraped.of("bike_drift_share") == {}
    assert scraped.of("bike_drift_detected") == {}


def test_decisions_are_counted_by_day_and_the_newest_is_shown(city: City, scraped):
    before = scraped.of("bike_retrain_decisions_total")
    day = LAST_DAY + timedelta(days=1)
    row = {"day": day, "decision": "RETRAIN_REACTIVE", "days_behind_naive": 4, "held_until": date(2021, 10, 12)}
    append(city, RETRAIN_DECISIONS, row)
    append(city, RETRAIN_DECISIONS, row, 1)
    after = scraped.of("bike_retrain_decisions_total")
    assert after == {**before, ("RETRAIN_REACTIVE",): before[("RETRAIN_REACTIVE",)] + 1}
    assert {key for key, value in scraped.of("bike_retrain_decision").items() if value} == {("RETRAIN_REACTIVE",)}
    assert scraped.of("bike_behind_naive_streak") == {(): 4}
    until = scraped.of("bike_retrain_held_until_timestamp_seconds")[()]
    assert datetime.fromtimestamp(until, UTC) == datetime(2021, 10, 11, 22, tzinfo=UTC)


def test_trainings_and_deployments_are_counted(city: City, scraped):
    trainings = scraped.of("bike_training_runs_total")
    assert trainings == {(family, "trained", "BOOTSTRAP"): 1 for family in FAMILIES}
    assert scraped.of("bike_deployments_total") == {("evaluation",): 1, ("person",): 0}
    assert scraped.of("bike_evaluations_total")[("DEPLOY",)] == 1
    assert scraped.of("bike_threshold")[("r2_critical",)] == city.settings.r2_critical


def test_rows_days_and_counters_are_those_of_the_warehouse(city: City, scraped):
    [rows] = city.query("SELECT COUNT(*) AS n FROM bike_traffic_raw.comptage_velo")["n"]
    assert scraped.of("bike_rows_ingested_total") == {(): rows}
    assert sum(scraped.of("bike_counters").values()) == 6
    ends = scraped.of("bike_data_end_timestamp_seconds")
    assert ends[("counts",)] == ends[("forecasts",)] == END


def test_bikes_of_a_day_are_counted_and_forecast_by_counter(city: City, scraped):
    sql = "SELECT counter_id, SUM(bike_count) AS n FROM bike_traffic_raw.comptage_velo WHERE day = @day GROUP BY 1"
    counted = dict(city.query(sql, day=LAST_DAY).itertuples(index=False))
    shown = scraped.of("bike_day_bikes")
    assert {key[0]: value for key, value in shown.items() if key[2] == "counted"} == counted
    assert len(shown) == 18
    ahead = scraped.of("bike_next_day_bikes")
    sql = (
        "SELECT counter_id, SUM(predicted_count) AS n FROM bike_traffic_predictions.predictions "
        "WHERE issued_on = @day AND horizon_days = 1 GROUP BY 1"
    )
    expected = dict(city.query(sql, day=LAST_DAY).itertuples(index=False))
    assert {key[0]: value for key, value in ahead.items()} == pytest.approx(expected)


def test_runs_checks_and_assets_are_those_of_dagster(city: City, scraped):
    before = scraped.of("bike_runs_total")[("evaluate", "success")]
    assert city.run("evaluate").success
    assert scraped.of("bike_runs_total")[("evaluate", "success")] == before + 1
    assert scraped.of("bike_run_last_duration_seconds")[("evaluate",)] > 0
    checks = scraped.of("bike_asset_check_passed")
    assert checks[("double_evaluation", "baseline_is_not_regressed", "error")] == 1
    made = scraped.of("bike_asset_materialized_timestamp_seconds")
    assert made[("double_evaluation",)] > made[("train_baseline",)]


def test_figures_are_read_again_only_after_a_change(city: City, scraped, monkeypatch):
    scraped.text()
    queries = []
    query = type(city.resource("warehouse")).query
    monkeypatch.setattr(
        "bike_assets.resources.warehouse.LocalWarehouse.query",
        lambda self, sql, **parameters: queries.append(sql) or query(self, sql, **parameters),
    )
    scraped.text()
    assert not queries
    append(city, DRIFT, {"day": LAST_DAY, "rows_current": 1, "rows_reference": 1, "columns_checked": 1})
    scraped.text()
    assert len(queries) == 1


def test_names_and_helps_follow_prometheus_conventions(scraped, promtool):
    checked = subprocess.run([promtool, "check", "metrics"], input=scraped.text(), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_every_metric_is_described_and_a_young_home_exposes_its_own(scraped):
    exposed = {family.name for family in text_string_to_metric_families(scraped.text())}
    described = {name.removesuffix("_total") for name in METRICS}
    assert exposed <= described
    later = ("bike_drift", "bike_gain", "bike_instigator", "bike_daemon", "bike_retrain_held_until")
    assert {name for name in described - exposed if not name.startswith(later)} == set()
