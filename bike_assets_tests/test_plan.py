"""What a pass leaves, and what it finds to do on a home that was left half-way."""

from datetime import timedelta

import dagster as dg
import pytest

from bike_assets.core.local_time import as_date
from bike_assets.full_pass import run_full_pass
from bike_assets.plan import STEP_TAG, Plan, end_abandoned_runs
from bike_assets.status import busiest_forecasts, collect_status
from bike_assets_tests.conftest import FIRST_DAY, LAST_DAY, City


def test_a_first_pass_leaves_a_champion_hindcasts_and_fourteen_decisions(city: City):
    status = collect_status(city.settings)
    assert status["raw_counts"]["days"] == (LAST_DAY - FIRST_DAY).days + 1
    assert status["champion"]["family"] == "gradient_boosting"
    assert status["predictions"]["last_issued_on"] == LAST_DAY.isoformat()
    decisions = city.query("SELECT day, acts FROM monitoring_audit.retrain_decisions ORDER BY day")
    assert [as_date(day) for day in decisions["day"]] == [LAST_DAY - timedelta(days=13 - n) for n in range(14)]
    assert not decisions["acts"].any()


def test_only_the_newest_forecast_of_a_first_pass_counts_as_issued(city: City):
    kinds = city.query("SELECT issued_on, kind FROM bike_traffic_predictions.predictions GROUP BY issued_on, kind")
    issued = kinds.loc[kinds["kind"] == "issued", "issued_on"]
    assert [as_date(day) for day in issued] == [LAST_DAY]
    assert (kinds["kind"] == "hindcast").sum() >= 28


def test_hindcasts_lie_after_everything_that_was_trained_on(city: City):
    champion = city.resource("registry").read().champion
    first = city.query("SELECT MIN(day) AS day FROM bike_traffic_predictions.predictions")["day"].iloc[0]
    assert str(as_date(first)) > champion.trained_until


def test_a_second_pass_has_nothing_to_do(city: City):
    assert not list(Plan(city.defs, city.instance, city.home, city.settings, LAST_DAY).steps())


def test_the_next_day_is_one_daily_run_whose_decision_may_act(city: City):
    next_day = LAST_DAY + timedelta(days=1)
    steps = list(Plan(city.defs, city.instance, city.home, city.settings, next_day).steps())
    assert [(step.job, step.span.first) for step in steps] == [("daily", next_day)]
    Plan(city.defs, city.instance, city.home, city.settings, next_day).run(steps[0])
    newest = city.query("SELECT * FROM monitoring_audit.retrain_decisions ORDER BY day DESC LIMIT 1").iloc[0]
    assert as_date(newest["day"]) == next_day
    assert newest["acts"]
    kinds = city.query(
        "SELECT DISTINCT kind FROM bike_traffic_predictions.predictions WHERE issued_on = @day", day=next_day
    )
    assert list(kinds["kind"]) == ["issued"]


def test_a_step_without_its_event_is_done_again_and_changes_nothing(city: City):
    before = collect_status(city.settings)
    city.instance.wipe_assets([dg.AssetKey("champion"), dg.AssetKey("predictions")])
    plan = Plan(city.defs, city.instance, city.home, city.settings, LAST_DAY)
    done = []
    for step in plan.steps():
        plan.run(step)
        done.append(step.job)
    assert done == ["retrain", "bootstrap"]
    assert collect_status(city.settings) == before


def test_runs_that_died_with_their_process_are_ended_and_others_left_alone(city: City):
    died = city.instance.create_run_for_job(city.defs.resolve_job_def("daily"), tags={STEP_TAG: "a day"})
    alive = city.instance.create_run_for_job(city.defs.resolve_job_def("daily"))
    for run in (died, alive):
        city.instance.report_run_starting(run) if hasattr(city.instance, "report_run_starting") else None
        city.instance.handle_run_event(
            run.run_id, dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="daily", message="")
        )
    assert end_abandoned_runs(city.instance, only_steps=True) == 1
    assert city.instance.get_run_by_id(died.run_id).status == dg.DagsterRunStatus.FAILURE
    assert city.instance.get_run_by_id(alive.run_id).status == dg.DagsterRunStatus.STARTED


def test_too_few_days_are_ingested_and_said_so(tmp_path, open_city, capsys):
    young = open_city(tmp_path)
    run_full_pass(young.settings, FIRST_DAY + timedelta(days=9))
    assert "10 whole days of counts are not enough" in capsys.readouterr().out.replace("\n", " ")
    status = collect_status(young.settings)
    assert (status["raw_counts"]["days"], status["champion"], status["decision"]) == (10, None, None)


def test_the_summary_names_the_busiest_counters_of_the_day_ahead(city: City):
    forecast = busiest_forecasts(city.settings)
    assert forecast["day"] == LAST_DAY + timedelta(days=1)
    bikes = [row["bikes"] for row in forecast["rows"]]
    assert len(bikes) == 3
    assert bikes == sorted(bikes, reverse=True)


@pytest.mark.parametrize("quick", [True, False])
def test_training_again_on_the_same_data_is_the_same_version(city: City, quick):
    assert city.run("retrain").success
    assert [entry.version for entry in city.resource("registry").read().models] == [1]
