"""The checks of single days: green at their bound, red just beyond it, and they name the bad day and only it."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest

from bike_assets.build import build_defs
from bike_assets.checks.raw_counts_checks import DAY_CHECKS, SHOWN_DAYS
from bike_assets.core.local_time import days_between
from bike_assets.core.splits import Span
from bike_assets.ingestion.counts import Ingestion
from bike_assets.settings import Settings
from bike_assets_tests.conftest import FIRST_DAY, City
from bike_assets_tests.stub_source import StubSource, on

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
CHECKS = {check.name: check for check in DAY_CHECKS}
SEVERITIES = {
    "days_are_read_whole": ERROR,
    "keys_are_unique": ERROR,
    "hours_are_over": ERROR,
    "counts_are_not_negative": ERROR,
    "rows_are_readable": ERROR,
    "rows_name_their_counter": ERROR,
    "days_have_all_their_hours": WARN,
    "rows_fit_the_counters_of_the_week": WARN,
    "counts_are_plausible": WARN,
    "rows_are_published_once": WARN,
}
SPRING, AUTUMN = date(2025, 3, 30), date(2025, 10, 26)
GOOD = {
    "unread": None, "rows_reported": 1000, "rows_read": 1000, "rows_kept": 240, "rows_without_counter": 0,
    "rows_negative": 0, "rows_in_future": 0, "rows_unreadable": 0, "rows_duplicated": 0, "outliers": 0, "hours": 24,
    "counters": 10, "counters_before": 10, "double_keys": 0,
}  # fmt: skip


def audit(*days: dict, first: date = date(2025, 6, 2)) -> pd.DataFrame:
    """Audit rows of days in a row, good ones but for what is given."""
    rows = [{"day": pd.Timestamp(first + timedelta(days=n)), **GOOD, **day} for n, day in enumerate(days)]
    return pd.DataFrame(rows, columns=["day", *GOOD])


def judge(name: str, *days: dict, **changes) -> dg.AssetCheckResult:
    first = changes.pop("first", date(2025, 6, 2))
    return CHECKS[name].judge(audit(*days, first=first), Settings(**changes))


def test_errors_block_later_assets_and_warnings_do_not():
    specs = {check.name: check.spec for check in DAY_CHECKS}
    assert {name: spec.blocking for name, spec in specs.items()} == {
        name: severity is ERROR for name, severity in SEVERITIES.items()
    }
    assert {name: judge(name, {}).severity for name in SEVERITIES} == SEVERITIES
    assert all(spec.description for spec in specs.values())


@pytest.mark.parametrize("name", SEVERITIES)
def test_a_good_day_passes_and_so_does_a_run_without_days(name):
    for result in (judge(name, {}, {}), judge(name)):
        assert result.passed
        assert result.description is None
        assert result.metadata["bad_days"].value == 0


BOUNDS = [
    ("days_are_read_whole", {}, {"unread": "the portal broke off"}, "the portal broke off"),
    ("days_are_read_whole", {"rows_read": 1000}, {"rows_read": 999}, "999 of 1000 rows"),
    ("keys_are_unique", {"double_keys": 0}, {"double_keys": 1}, "1 hours of counters occur twice"),
    ("hours_are_over", {"rows_in_future": 0}, {"rows_in_future": 1}, "1 rows in the future"),
    ("counts_are_not_negative", {"rows_negative": 0}, {"rows_negative": 1}, "1 negative counts"),
    ("rows_are_readable", {"rows_unreadable": 0}, {"rows_unreadable": 1}, "1 unreadable rows"),
    ("rows_name_their_counter", {"rows_without_counter": 100}, {"rows_without_counter": 101}, "101 of 1000 rows"),
    ("days_have_all_their_hours", {"hours": 24}, {"hours": 23}, "23 hours"),
    ("days_have_all_their_hours", {"hours": 24}, {"hours": 25}, "25 hours"),
    ("rows_fit_the_counters_of_the_week", {"rows_kept": 192}, {"rows_kept": 191}, "191 rows, with 10 counters"),
    ("rows_fit_the_counters_of_the_week", {"rows_kept": 288}, {"rows_kept": 289}, "289 rows, with 10 counters"),
    ("counts_are_plausible", {"outliers": 0}, {"outliers": 1}, "1 outliers"),
    ("rows_are_published_once", {"rows_duplicated": 0}, {"rows_duplicated": 1}, "1 rows more than once"),
]


@pytest.mark.parametrize(("name", "good", "bad", "message"), BOUNDS)
def test_a_day_at_the_bound_passes_and_one_just_beyond_is_named_alone(name, good, bad, message):
    assert judge(name, good).passed
    result = judge(name, {}, good, bad, {})
    assert not result.passed
    assert result.severity is SEVERITIES[name]
    assert result.description.startswith(f"2025-06-04: {message}")
    assert ";" not in result.description
    assert result.metadata["bad_days"].value == 1
    assert result.metadata["days"].value == 4


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (SPRING - timedelta(days=1), 24)])
def test_a_day_has_its_own_number_of_hours(day, hours):
    assert judge("days_have_all_their_hours", {"hours": hours}, first=day).passed
    for wrong in {23, 24, 25} - {hours}:
        assert not judge("days_have_all_their_hours", {"hours": wrong}, first=day).passed


@pytest.mark.parametrize(("day", "rows"), [(SPRING, 230), (AUTUMN, 250)])
def test_the_rows_of_a_day_are_measured_by_its_own_hours(day, rows):
    for share, passes in ((0.8, True), (0.79, False), (1.2, True), (1.21, False)):
        result = judge("rows_fit_the_counters_of_the_week", {"rows_kept": round(rows * share)}, first=day)
        assert result.passed == passes, share


def test_a_home_of_another_zone_changes_its_clocks_on_its_own_days():
    new_york = date(2025, 3, 9)
    assert not judge("days_have_all_their_hours", {"hours": 23}, first=new_york).passed
    assert judge("days_have_all_their_hours", {"hours": 23}, first=new_york, timezone="America/New_York").passed


def test_the_first_day_has_no_week_before_it_to_be_measured_by():
    assert judge("rows_fit_the_counters_of_the_week", {"counters_before": 0, "rows_kept": 5}).passed


def test_the_share_of_rows_without_a_counter_is_a_setting():
    rows = {"rows_without_counter": 40}
    assert judge("rows_name_their_counter", rows, max_share_incomplete=0.04).passed
    assert not judge("rows_name_their_counter", rows, max_share_incomplete=0.039).passed
    assert judge("rows_name_their_counter", {"rows_without_counter": 0, "rows_read": 0}, max_share_incomplete=0).passed


def test_many_bad_days_are_counted_and_the_first_ones_named():
    result = judge("counts_are_plausible", *[{"outliers": 2}] * (SHOWN_DAYS + 5))
    assert result.metadata["bad_days"].value == SHOWN_DAYS + 5
    assert result.description.count("outliers") == SHOWN_DAYS
    assert result.metadata["which"].value.startswith("2025-06-02: 2 outliers\n2025-06-03: ")


FIRST, LAST = FIRST_DAY + timedelta(days=7), FIRST_DAY + timedelta(days=11)
BAD = FIRST + timedelta(days=2)


def noon(day: date) -> pd.Timestamp:
    return pd.Timestamp(f"{day}T12:00Z")


def with_more(day: date, number: int, **values):
    """Publishes rows of a day once more, with other values."""
    return lambda rows: pd.concat([rows, rows[on(rows, day)].head(number).assign(**values)])


def negative(day: date):
    return with_more(day, 1, bike_count=-1)


def unreadable(day: date):
    return with_more(day, 1, counted_at=noon(day) + pd.Timedelta(minutes=30))


def nameless(day: date):
    return with_more(day, 20, counter_id=None)


def published_twice(day: date):
    return with_more(day, 1, bike_count=7)


def without_noon(day: date):
    return lambda rows: rows[rows["counted_at"] != noon(day)]


def without_a_third(day: date):
    return lambda rows: rows[~on(rows, day) | (rows.index % 3 > 0)]


def all_of(*changes):
    """Publishes what several changes leave."""

    def change(rows):
        for each in changes:
            rows = each(rows).reset_index(drop=True)
        return rows

    return change


def run(city: City, source: StubSource, job: str = "ingest", first: date = FIRST, last: date = LAST):
    """Run a job over some days, with a source of our own."""
    defs = build_defs(settings=city.settings, resource_overrides={"counts_source": source})
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return defs.resolve_job_def(job).execute_in_process(instance=city.instance, tags=tags, raise_on_error=False)


def evaluations_of_counts(result) -> list[dg.AssetCheckEvaluation]:
    """The evaluations of the checks of raw_counts."""
    return [each for each in result.get_asset_check_evaluations() if each.asset_key == dg.AssetKey("raw_counts")]


def failed(result) -> dict[str, str]:
    """The checks of raw_counts that failed, with their messages."""
    return {each.check_name: each.description for each in evaluations_of_counts(result) if not each.passed}


def materialized(result) -> set[str]:
    return {key.to_user_string() for each in result.get_asset_materialization_events() if (key := each.asset_key)}


def ingested(city: City) -> list[date]:
    days = city.query("SELECT DISTINCT day FROM bike_traffic_raw.comptage_velo ORDER BY day")
    return [day.date() for day in days["day"]]


def ingest(city: City, first: date, last: date) -> None:
    """Have the good counts of some days in the warehouse, without a run."""
    ingestion = Ingestion(
        StubSource(), city.resource("warehouse"), city.settings.published_form, city.settings.outlier_rule, "before"
    )
    ingestion.ingest(Span(first, last))


@pytest.fixture
def young(tmp_path, open_city) -> City:
    """A home that holds its first week."""
    city = open_city(tmp_path)
    ingest(city, FIRST_DAY, FIRST - timedelta(days=1))
    return city


def test_good_days_pass_every_check_and_have_their_features(young):
    result = run(young, StubSource())
    assert result.success
    assert failed(result) == {}
    assert materialized(result) == {"raw_counts", "counters", "weather", "hourly_features"}
    names = [each.check_name for each in evaluations_of_counts(result)]
    assert sorted(names) == sorted(SEVERITIES), "each check once a run, however many days it has"


def test_errors_name_their_days_and_block_later_assets_and_the_good_days_are_ingested(young):
    change = all_of(negative(FIRST), unreadable(BAD), nameless(LAST))
    result = run(young, StubSource(change))
    assert not result.success
    failures = failed(result)
    assert failures.keys() == {"counts_are_not_negative", "rows_are_readable", "rows_name_their_counter"}
    assert failures["counts_are_not_negative"] == f"{FIRST}: 1 negative counts, left out"
    assert failures["rows_are_readable"] == f"{BAD}: 1 unreadable rows, left out"
    assert failures["rows_name_their_counter"].startswith(f"{LAST}: 20 of ")
    assert ";" not in failures["rows_name_their_counter"]
    assert materialized(result) == {"raw_counts", "weather"}
    assert ingested(young) == days_between(FIRST_DAY, LAST)
    again = run(young, StubSource())
    assert again.success
    assert failed(again) == {}, "what was put right is green"


def test_warnings_name_their_days_and_block_nothing(young):
    result = run(young, StubSource(all_of(without_noon(FIRST), without_a_third(BAD), published_twice(LAST))))
    assert result.success
    failures = failed(result)
    assert failures["days_have_all_their_hours"] == f"{FIRST}: 23 hours"
    assert failures["rows_fit_the_counters_of_the_week"].startswith(f"{BAD}: ")
    assert ";" not in failures["rows_fit_the_counters_of_the_week"]
    assert failures["rows_are_published_once"] == f"{LAST}: 1 rows more than once"
    assert len(failures) == 3
    assert materialized(result) == {"raw_counts", "counters", "weather", "hourly_features"}


def test_hours_that_had_not_begun_when_the_source_was_read_are_an_error(young):
    source = StubSource(read_at=datetime(BAD.year, BAD.month, BAD.day, 10, 30, tzinfo=UTC))
    result = run(young, source, last=BAD)
    assert not result.success
    assert failed(result)["hours_are_over"].startswith(f"{BAD}: ")
    assert ";" not in failed(result)["hours_are_over"]
    hours = young.query("SELECT MAX(counted_at) AS last FROM bike_traffic_raw.comptage_velo")
    assert hours["last"].item() == pd.Timestamp(f"{BAD}T10:00Z")


def test_one_day_that_cannot_be_read_is_named_and_the_others_are_ingested(young):
    source = StubSource()
    source.unreliable = {BAD}
    result = run(young, source)
    assert not result.success
    assert list(failed(result)) == ["days_are_read_whole"]
    assert failed(result)["days_are_read_whole"].startswith(f"{BAD}: The stub cannot be believed")
    judged = {each.check_name: each.metadata["days"].value for each in evaluations_of_counts(result)}
    assert judged == {**dict.fromkeys(SEVERITIES, 4), "days_are_read_whole": 5}, "rows not read are not judged"
    assert "hourly_features" not in materialized(result)
    assert ingested(young) == [day for day in days_between(FIRST_DAY, LAST) if day != BAD]
    source.unreliable.clear()
    assert run(young, source).success
    assert BAD in ingested(young)


def test_an_outlier_is_a_warning_of_its_day(young):
    def change(rows):
        rows.loc[on(rows, last) & (rows["counted_at"].dt.hour == 9), "bike_count"] = 9_000
        return rows

    last = FIRST + timedelta(days=10)
    ingest(young, FIRST, last - timedelta(days=1))
    result = run(young, StubSource(change), first=last - timedelta(days=1), last=last)
    assert result.success
    assert failed(result)["counts_are_plausible"] == f"{last}: 6 outliers"


def test_the_daily_job_stops_before_its_forecast_where_its_day_is_bad(young):
    result = run(young, StubSource(negative(BAD)), "daily", BAD, BAD)
    assert not result.success
    assert materialized(result) == {"raw_counts", "weather"}
    assert list(failed(result)) == ["counts_are_not_negative"]
