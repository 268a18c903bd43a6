"""What a pass leaves, and what it finds to do on a home that was left half-way."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pytest

from bike_assets.build import build_defs
from bike_assets.commands.materialize import full_pass
from bike_assets.commands.materialize.full_pass import run_full_pass
from bike_assets.commands.materialize.plan import Plan
from bike_assets.commands.status import busiest_forecasts, collect_status
from bike_assets.core.families import FAMILIES
from bike_assets.core.local_time import as_date, days_between
from bike_assets.core.schemas import INGESTIONS
from bike_assets.core.splits import Span, spans_of
from bike_assets.errors import BadDaysError
from bike_assets.instance.materialized import new_days
from bike_assets.instance.runs import STEP_TAG, fail_abandoned_runs
from bike_assets.resources.queries.counts import days_to_read_again
from bike_assets.resources.table_rows import frame
from bike_assets_tests.conftest import FIRST_DAY, LAST_DAY, City
from bike_assets_tests.stub_source import StubSource, on

OPEN_SOURCE = "bike_assets.commands.materialize.plan.open_source"
WEEK = Span(LAST_DAY - timedelta(days=6), LAST_DAY)


def test_a_first_pass_leaves_a_champion_hindcasts_and_fourteen_decisions(city: City):
    status = collect_status(city.settings)
    assert status["raw_counts"]["days"] == (LAST_DAY - FIRST_DAY).days + 1
    assert status["champion"]["family"] in FAMILIES
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
    plan = Plan(city.defs, city.instance, city.home, city.settings, next_day)
    steps = list(plan.steps())
    assert [(step.job, step.span) for step in steps] == [("ingest", WEEK), ("daily", Span(next_day, next_day))]
    plan.run(steps[1])
    newest = city.query("SELECT * FROM monitoring_audit.retrain_decisions ORDER BY day DESC LIMIT 1").iloc[0]
    assert as_date(newest["day"]) == next_day
    assert newest["acts"]
    kinds = city.query(
        "SELECT DISTINCT kind FROM bike_traffic_predictions.predictions WHERE issued_on = @day", day=next_day
    )
    assert list(kinds["kind"]) == ["issued"]


def pass_with(city: City, source: StubSource, until: date, monkeypatch) -> None:
    """Do a full pass on counts of our own."""

    def definitions(settings):
        return build_defs(settings=settings, resource_overrides={"counts_source": source})

    monkeypatch.setattr(full_pass, "load_definitions", definitions)
    run_full_pass(city.settings, until)


def days_of(city: City, table: str) -> list[date]:
    return [as_date(day) for day in city.query(f"SELECT DISTINCT day FROM {table} ORDER BY day")["day"]]


def test_the_week_before_new_days_is_read_again_for_late_and_corrected_rows(city: City, monkeypatch):
    def change(rows):
        rows.loc[on(rows, WEEK.first) & (rows["counted_at"].dt.hour == 9), "bike_count"] = 77
        return rows

    source = StubSource(change)
    pass_with(city, source, LAST_DAY + timedelta(days=1), monkeypatch)
    assert source.requests == [(WEEK.first, WEEK.last), (LAST_DAY + timedelta(days=1),) * 2]
    corrected = city.query(
        "SELECT bike_count FROM bike_traffic_raw.comptage_velo WHERE day = @day AND EXTRACT(HOUR FROM counted_at) = 9",
        day=WEEK.first,
    )
    assert set(corrected["bike_count"]) == {77}
    features = city.query(
        "SELECT bike_count FROM bike_traffic_raw.hourly_features "
        "WHERE day = @day AND horizon_days = 1 AND EXTRACT(HOUR FROM counted_at) = 9",
        day=WEEK.first,
    )
    assert set(features["bike_count"]) == {77}, "what is trained on is what was corrected"


def test_a_bad_day_does_not_stop_the_others_and_the_next_pass_reads_it_again(city: City, monkeypatch, capsys):
    bad, good = (LAST_DAY + timedelta(days=days) for days in (1, 2))
    source = StubSource()
    source.unreliable = {bad}
    with pytest.raises(BadDaysError, match=rf"the day {bad}.*days_are_read_whole: {bad}: The stub cannot be believed"):
        pass_with(city, source, good, monkeypatch)
    assert good in days_of(city, "monitoring_audit.retrain_decisions")
    assert bad not in days_of(city, "monitoring_audit.retrain_decisions")
    assert bad not in days_of(city, "bike_traffic_raw.comptage_velo")
    source.unreliable.clear()
    pass_with(city, source, good, monkeypatch)
    assert bad in days_of(city, "monitoring_audit.retrain_decisions")
    source.requests.clear()
    pass_with(city, source, good, monkeypatch)
    assert not source.requests
    assert "Nothing to do" in capsys.readouterr().out


def test_a_bad_day_of_long_ago_is_read_again_by_every_pass_until_it_can_be(city: City):
    long_ago = LAST_DAY - timedelta(days=40)
    unreadable(city, long_ago)
    plan = Plan(city.defs, city.instance, city.home, city.settings, LAST_DAY)
    steps = list(plan.steps())
    assert [(step.job, step.span) for step in steps] == [("ingest", Span(long_ago, long_ago))]
    assert {"raw_counts", "hourly_features"} <= set(steps[0].assets)
    plan.run(steps[0])
    assert not list(plan.steps())


def test_bad_days_and_the_week_before_new_days_are_read_in_as_few_runs_as_can_be(city: City):
    unreadable(city, LAST_DAY - timedelta(days=40), LAST_DAY - timedelta(days=39), WEEK.first - timedelta(days=1))
    plan = Plan(city.defs, city.instance, city.home, city.settings, LAST_DAY + timedelta(days=1))
    spans = [step.span for step in plan.steps() if step.job == "ingest"]
    assert spans == [
        Span(LAST_DAY - timedelta(days=40), LAST_DAY - timedelta(days=39)),
        Span(WEEK.first - timedelta(days=1), LAST_DAY),
    ]


def unreadable(city: City, *days: date) -> None:
    """Have the newest readings of some days be ones that could not be believed."""
    now = pd.Timestamp.now(tz="UTC")
    rows = [{"day": day, "ingested_at": now, "unread": "the portal broke off"} for day in days]
    city.resource("warehouse").merge(INGESTIONS, frame(INGESTIONS, rows))


def test_new_days_are_those_without_a_decision_and_those_that_could_not_be_read(city: City):
    long_ago = LAST_DAY - timedelta(days=40)
    warehouse = city.resource("warehouse")
    until = LAST_DAY + timedelta(days=2)
    assert days_to_read_again(warehouse, city.home, city.settings, LAST_DAY) == []
    assert new_days(city.instance, warehouse, LAST_DAY) == []
    unreadable(city, long_ago)
    assert new_days(city.instance, warehouse, until) == [LAST_DAY + timedelta(days=1), until]
    assert days_to_read_again(warehouse, city.home, city.settings, until) == [long_ago]


def test_a_home_before_its_first_pass_has_no_new_days(tmp_path, open_city):
    young = open_city(tmp_path)
    warehouse = young.resource("warehouse")
    assert days_to_read_again(warehouse, young.home, young.settings, LAST_DAY) == []
    assert new_days(young.instance, warehouse, LAST_DAY) == []


def test_a_bad_day_of_a_young_home_is_reported_at_the_end_and_read_again(tmp_path, open_city, monkeypatch):
    young, until, bad = open_city(tmp_path), FIRST_DAY + timedelta(days=9), FIRST_DAY + timedelta(days=4)
    source = StubSource()
    source.unreliable = {bad}
    with pytest.raises(BadDaysError, match=f"days_are_read_whole: {bad}"):
        pass_with(young, source, until, monkeypatch)
    assert days_of(young, "bike_traffic_raw.comptage_velo") == [d for d in days_between(FIRST_DAY, until) if d != bad]
    source.unreliable.clear()
    source.requests.clear()
    pass_with(young, source, until, monkeypatch)
    assert source.requests == [(bad, bad)]
    assert days_of(young, "bike_traffic_raw.comptage_velo") == days_between(FIRST_DAY, until)


def test_a_pass_prints_what_became_of_every_row(tmp_path, open_city, monkeypatch, capsys):
    def change(rows):
        return pd.concat([rows, rows.head(7).assign(counter_id=None)])

    pass_with(open_city(tmp_path), StubSource(change), FIRST_DAY, monkeypatch)
    printed = " ".join(capsys.readouterr().out.split())
    assert "7 rejected (no counter)" in printed
    assert "rejected_counts lists each rejected row" in printed


def test_a_source_that_has_published_nothing_leaves_nothing_to_do(tmp_path, open_city, monkeypatch):
    young = open_city(tmp_path)
    monkeypatch.setattr(OPEN_SOURCE, lambda *_: StubSource(newest=None))
    assert not list(Plan(young.defs, young.instance, young.home, young.settings, None).steps())


def test_a_pass_ends_with_the_last_published_day(tmp_path, open_city, monkeypatch):
    young = open_city(tmp_path)
    monkeypatch.setattr(OPEN_SOURCE, lambda *_: StubSource(newest=FIRST_DAY + timedelta(days=3)))
    first = next(Plan(young.defs, young.instance, young.home, young.settings, None).steps())
    assert first.span == Span(FIRST_DAY, FIRST_DAY + timedelta(days=3))


def test_days_without_a_gap_are_one_span():
    days = [
        date(2024, 2, 28),
        date(2024, 2, 29),
        date(2024, 3, 1),
        date(2024, 3, 3),
        date(2024, 12, 31),
        date(2025, 1, 1),
    ]
    assert spans_of(reversed(days)) == [Span(days[0], days[2]), Span(days[3], days[3]), Span(days[4], days[5])]
    assert spans_of([]) == []


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


def test_only_runs_whose_process_died_are_marked_as_failed(city: City):
    died = city.instance.create_run_for_job(city.defs.resolve_job_def("daily"), tags={STEP_TAG: "a day"})
    alive = city.instance.create_run_for_job(city.defs.resolve_job_def("daily"))
    for run in (died, alive):
        city.instance.report_run_starting(run) if hasattr(city.instance, "report_run_starting") else None
        city.instance.handle_run_event(
            run.run_id, dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="daily", message="")
        )
    assert fail_abandoned_runs(city.instance, only_steps=True) == 1
    assert city.instance.get_run_by_id(died.run_id).status == dg.DagsterRunStatus.FAILURE
    assert city.instance.get_run_by_id(alive.run_id).status == dg.DagsterRunStatus.STARTED


@pytest.mark.slow
def test_too_few_days_are_ingested_and_the_pass_reports_it(tmp_path, open_city, capsys):
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
    versions = [entry.version for entry in city.resource("registry").read().models]
    assert versions == list(range(1, len(FAMILIES) + 1))


def test_a_source_whose_clock_is_ahead_is_read_up_to_yesterday(city: City, monkeypatch):
    from bike_assets.resources.home_source import yesterday

    monkeypatch.setattr(OPEN_SOURCE, lambda *_: StubSource(newest=date(2099, 12, 31)))
    assert Plan(city.defs, city.instance, city.home, city.settings, None).last <= yesterday("Europe/Paris")
