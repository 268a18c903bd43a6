"""What only BigQuery has: a service that fails, bills, limits, and can be of another version; leases; large answers."""

import threading

import numpy as np
import pandas as pd
import pytest
from google.api_core.exceptions import RetryError, ServiceUnavailable
from google.cloud import bigquery as google
from google.oauth2.credentials import Credentials

from bike_assets.build import build_defs
from bike_assets.core.schemas import COMPTAGE_VELO, COUNTERS, HOURLY_FEATURES, TABLES
from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources import bigquery_errors, bigquery_lease
from bike_assets.resources.bigquery_warehouse import BigQueryWarehouse
from bike_assets.resources.table_rows import frame
from bike_assets.resources.warehouse import LocalWarehouse
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim, poll
from bike_assets_tests.resources.engines import states
from bike_assets_tests.resources.merged_counts import ALL_COUNTS, DAYS, counts, figures

MIN_BYTES_BILLED = 10 * 2**20
HOW_MANY = "SELECT COUNT(*) AS n FROM bike_traffic_raw.comptage_velo"


@pytest.fixture
def warehouse(bigquery) -> BigQueryWarehouse:
    return bigquery.new_warehouse()


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Give up soon."""
    monkeypatch.setattr(bigquery_errors, "RETRY_SECONDS", 0.5)


def test_the_profile_decides_which_warehouse_a_code_location_has(warehouse, tmp_path):
    kinds = {}
    for profile in ("local", "gcp"):
        settings = Settings(home=claim(tmp_path / profile).folder, profile=profile, gcp=warehouse.settings)
        kinds[profile] = build_defs(settings=settings).resources["warehouse"]
        assert kinds[profile].query(HOW_MANY)["n"].tolist() == [0]
    assert isinstance(kinds["local"], LocalWarehouse)
    assert isinstance(kinds["gcp"], BigQueryWarehouse)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(503, "backendError"), (500, "internalError"), (429, "rateLimitExceeded"), (403, "rateLimitExceeded")],
)
def test_a_request_to_a_briefly_busy_service_is_retried(bigquery, warehouse, status, reason):
    with bigquery.fault(status, reason, times=2):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts())) == (len(counts()), 0, 0)
    with bigquery.fault(status, reason, times=1, text="/upload/"):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts(bikes=8))) == (0, len(counts()), 0)
    with bigquery.fault(status, reason, times=1, text="MERGE"):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts(bikes=9))) == (0, len(counts()), 0)
    assert warehouse.query(HOW_MANY)["n"].tolist() == [len(counts())]


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (503, "backendError", "BigQuery failed despite retries for 0 s .* injected fault"),
        (429, "rateLimitExceeded", "A quota of BigQuery is used up .* injected fault: try later"),
        (403, "rateLimitExceeded", "A quota of BigQuery is used up .* injected fault: try later"),
    ],
)
def test_a_service_that_stays_busy_is_reported_and_nothing_is_written(
    bigquery, warehouse, impatient, status, reason, message
):
    warehouse.merge(COMPTAGE_VELO, counts())
    before = states(warehouse)
    with (
        bigquery.fault(status, reason, text="MERGE"),
        pytest.raises(StepFailedError, match=message) as failure,
    ):
        warehouse.merge(COMPTAGE_VELO, counts(bikes=8))
    assert "(writing bike_traffic_raw.comptage_velo)" in str(failure.value)
    assert "http" not in str(failure.value)
    assert states(warehouse) == before
    assert staged(warehouse) == []
    assert figures(warehouse.merge(COMPTAGE_VELO, counts(bikes=8))) == (0, len(counts()), 0)


@pytest.mark.parametrize(
    ("status", "reason", "error", "message"),
    [
        (403, "quotaExceeded", StepFailedError, "A quota of BigQuery is used up"),
        (403, "accessDenied", BikeError, "BigQuery does not permit it .* injected fault: the account needs the roles"),
    ],
)
def test_an_error_that_a_retry_cannot_fix_is_not_retried(bigquery, warehouse, status, reason, error, message):
    with bigquery.fault(status, reason, times=1), pytest.raises(error, match=message):
        warehouse.merge(COMPTAGE_VELO, counts())
    assert figures(warehouse.merge(COMPTAGE_VELO, counts())) == (len(counts()), 0, 0)


def test_expired_credentials_are_reported(bigquery, warehouse, monkeypatch):
    expired = Credentials(
        "old",
        refresh_token="old",
        token_uri=f"{warehouse.settings.bigquery_endpoint}/token",
        client_id="a",
        client_secret="b",
    )
    monkeypatch.setattr("bike_assets.resources.bigquery.AnonymousCredentials", lambda: expired)
    message = r"Google did not accept the credentials \(comparing .*gcloud auth application-default login"
    again = BigQueryWarehouse(warehouse.settings)
    again.state(COMPTAGE_VELO)
    with bigquery.fault(401, "authError", text="LEFT JOIN"), pytest.raises(BikeError, match=message):
        again.merge(COMPTAGE_VELO, counts())
    assert staged(warehouse) == []


def test_a_statement_is_restarted_after_a_concurrent_update(bigquery, warehouse):
    message = "Could not serialize access to table bikes:x.comptage_velo due to concurrent update"
    with bigquery.fault(400, "invalidQuery", times=2, message=message, text="MERGE"):
        assert figures(warehouse.merge(COMPTAGE_VELO, counts())) == (len(counts()), 0, 0)
    assert warehouse.query(HOW_MANY)["n"].tolist() == [len(counts())]


def test_a_job_that_failed_while_its_rows_were_read_is_restarted(warehouse, monkeypatch):
    ended = {"state": "DONE", "errorResult": {"reason": "jobBackendError", "message": "Job failed; try again."}}
    tries = []

    def fails_once(job: google.QueryJob, **_: object) -> object:
        tries.append(job.job_id)
        if len(tries) > 1:
            return result(job)
        job._result_set = False  # The emulator has run it by now; BigQuery would still be at it.
        raise RetryError("asked again and again", ServiceUnavailable("injected fault"))

    result = google.QueryJob.result
    monkeypatch.setattr(google.QueryJob, "result", fails_once)
    monkeypatch.setattr(
        google.QueryJob, "reload", lambda job, **_: job._set_properties({**job._properties, "status": ended})
    )
    assert warehouse.query(HOW_MANY)["n"].tolist() == [0]
    assert len(set(tries)) == 2


def test_a_statement_that_times_out_is_cancelled(warehouse, monkeypatch):
    def never_ends(_: google.QueryJob, **__: object) -> None:
        raise TimeoutError

    cancelled = []
    monkeypatch.setattr(google.QueryJob, "result", never_ends)
    monkeypatch.setattr(google.QueryJob, "cancel", lambda job, **_: cancelled.append(job.job_id))
    with pytest.raises(StepFailedError, match="BigQuery failed"):
        warehouse.query(HOW_MANY)
    assert len(cancelled) == 1


def test_an_unreachable_bigquery_is_reported(bigquery, impatient, deaf_address):
    alone = BigQueryWarehouse(bigquery.settings(bigquery_endpoint=deaf_address))
    with pytest.raises(StepFailedError, match="BigQuery failed despite retries for 0 s"):
        alone.query(HOW_MANY)


def test_missing_credentials_are_reported_with_a_remedy(bigquery, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    real = BigQueryWarehouse(bigquery.settings(bigquery_endpoint=None))
    with pytest.raises(BikeError, match=r"find no credentials .*gcloud auth application-default login"):
        real.query(HOW_MANY)


def test_a_missing_dataset_or_table_names_the_command_that_creates_it(bigquery, warehouse):
    nowhere = BigQueryWarehouse(bigquery.settings())
    for ask in (
        lambda: nowhere.query(HOW_MANY),
        lambda: nowhere.merge(COMPTAGE_VELO, counts()),
        lambda: nowhere.state(COMPTAGE_VELO),
        lambda: nowhere.write_lock(COMPTAGE_VELO).__enter__(),
    ):
        with pytest.raises(BikeError, match=r"bike warehouse init"):
            ask()
    with warehouse.jobs.connection.get_client() as client:
        client.delete_table(warehouse.tables.name(COMPTAGE_VELO))
    with pytest.raises(StepFailedError, match=r"BigQuery did not find it \(reading .*bike warehouse init"):
        warehouse.query(HOW_MANY)


def test_a_table_of_an_older_version_is_named_with_its_missing_columns(bigquery):
    from dataclasses import replace

    warehouse = BigQueryWarehouse(bigquery.settings())
    older = replace(COUNTERS, columns={name: kind for name, kind in COUNTERS.columns.items() if name != "state"})
    with warehouse.jobs.connection.get_client() as client:
        client.create_dataset(warehouse.tables.dataset("bike_traffic_raw"))
        client.create_table(google.Table(warehouse.tables.name(older), schema=warehouse.tables.schema(older)))
    lacks = r"counters is of an older version: it has no state\. Type bike warehouse init"
    with pytest.raises(StepFailedError, match=lacks):
        warehouse.query("SELECT state FROM bike_traffic_raw.counters")
    with pytest.raises(StepFailedError, match=lacks):
        warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a"}]))
    for change in warehouse.tables.missing():
        change.make()
    warehouse.merge(COUNTERS, frame(COUNTERS, [{"counter_id": "a", "state": "new"}]))
    assert warehouse.query("SELECT state FROM bike_traffic_raw.counters")["state"].tolist() == ["new"]


def test_invalid_sql_is_refused_with_bigquerys_message(warehouse):
    with pytest.raises(StepFailedError, match=r"BigQuery refused it \(reading bike_traffic_raw\.comptage_velo\)"):
        warehouse.query("SELECT no_such_column FROM bike_traffic_raw.comptage_velo")


def test_billed_bytes_are_counted_and_a_bill_above_the_limit_is_refused(bigquery, warehouse):
    warehouse = BigQueryWarehouse(warehouse.settings)
    warehouse.query(HOW_MANY)
    warehouse.query(HOW_MANY)
    assert (warehouse.bill.statements, warehouse.bill.bytes_billed) == (2, 2 * MIN_BYTES_BILLED)
    thrifty = BigQueryWarehouse(warehouse.settings.model_copy(update={"max_bytes_billed": MIN_BYTES_BILLED - 1}))
    with pytest.raises(StepFailedError, match=r"refused to bill it .*BIKE_GCP__MAX_BYTES_BILLED is the limit"):
        thrifty.query(HOW_MANY)
    assert thrifty.bill.statements == 0


def test_an_estimate_runs_nothing(warehouse):
    warehouse = BigQueryWarehouse(warehouse.settings)
    assert warehouse.estimate(f"{ALL_COUNTS} WHERE day > @day", day=DAYS[0]) == 0
    assert warehouse.bill.statements == 0
    with pytest.raises(StepFailedError, match="estimating"):
        warehouse.estimate("SELECT no_such_column FROM bike_traffic_raw.comptage_velo")


def test_rows_have_the_same_types_as_those_of_the_embedded_engine(warehouse, tmp_path):
    embedded = LocalWarehouse(tmp_path)
    features = frame(
        HOURLY_FEATURES,
        [
            {
                **dict.fromkeys(HOURLY_FEATURES.columns, 0.1),
                **{"counter_id": "a", "counted_at": at, "day": DAYS[0], "bike_count": 3, "horizon_days": 1},
            }
            for at in pd.date_range("2025-03-29", periods=3, freq="h", tz="UTC")
        ],
    )
    for each in (warehouse, embedded):
        each.merge(COMPTAGE_VELO, counts())
        each.merge(HOURLY_FEATURES, features)
    for sql in (
        f"{ALL_COUNTS} ORDER BY counted_at, counter_id",
        "SELECT * FROM bike_traffic_raw.hourly_features ORDER BY counted_at",
        "SELECT base, AVG(base) AS mean FROM bike_traffic_raw.hourly_features GROUP BY base",
        "SELECT MIN(day) AS day, MAX(counted_at) AS last, COUNT(*) AS n, AVG(bike_count) AS mean, MAX(bike_count) AS "
        "most, LOGICAL_OR(is_outlier) AS any_odd, SUM(bike_count) AS `all`, COUNTIF(bike_count > 0) AS some, "
        "SUM(IF(bike_count < 0, bike_count, NULL)) AS none FROM bike_traffic_raw.comptage_velo",
        "SELECT CAST(NULL AS INT64) AS n, DATE_SUB(day, INTERVAL 1 DAY) AS before, EXTRACT(HOUR FROM counted_at) AS "
        "hour FROM bike_traffic_raw.comptage_velo ORDER BY counted_at, counter_id LIMIT 3",
        *(f"SELECT * FROM {table.full_name} WHERE FALSE" for table in TABLES),
    ):
        pd.testing.assert_frame_equal(warehouse.query(sql), embedded.query(sql))


def test_parameters_have_the_types_of_their_values(warehouse):
    noon = pd.Timestamp("2025-03-29T12:00Z")
    sql = "SELECT @whole + 1 AS a, @part / 2 AS b, @yes AND TRUE AS c, CONCAT(@text, '!') AS d, @day AS e, @at AS f"
    row = warehouse.query(
        sql, whole=np.int64(1), part=1.0, yes=True, text="a'b", day=DAYS[0], at=noon.tz_convert("Europe/Paris")
    ).iloc[0]
    assert row.tolist() == [2, 0.5, True, "a'b!", pd.Timestamp(DAYS[0]), noon]
    among = "SELECT 2 IN UNNEST(@numbers) AS a, @day IN UNNEST(@days) AS b, @none IS NULL AS c"
    row = warehouse.query(among, numbers=[1, 2.0], day=DAYS[0], days=list(DAYS[1:]), none=None).iloc[0]
    assert row.tolist() == [True, False, True]
    for unfit in ({"numbers": [1, "a"]}, {"numbers": {1: 2}}):
        with pytest.raises(TypeError, match="@numbers"):
            warehouse.query("SELECT @numbers", **unfit)


def test_a_large_result_is_read_completely_over_storage_read(bigquery, warehouse, impatient):
    counters = tuple(f"counter-{number:04}" for number in range(2000))
    rows = counts(counters=counters)
    assert figures(warehouse.merge(COMPTAGE_VELO, rows, complete_days=DAYS)) == (len(rows), 0, 0)
    with bigquery.fault(503, "backendError", text="fields=jobReference"):
        stored = warehouse.query(f"{ALL_COUNTS} ORDER BY counted_at, counter_id")
    assert len(stored) == len(rows)
    assert stored["bike_count"].sum() == rows["bike_count"].sum()


def test_a_lease_is_renewed_while_its_holder_works(warehouse, monkeypatch):
    monkeypatch.setattr(bigquery_lease, "LEASE_SECONDS", 2)
    monkeypatch.setattr(bigquery_lease, "POLL_SECONDS", 0.05)
    first_end = expiry(warehouse)
    with warehouse.write_lock(COMPTAGE_VELO):
        first_end = expiry(warehouse)
        poll(lambda: expiry(warehouse) > first_end, 10, "the lease is renewed")


def test_a_writer_that_lost_its_lease_to_another_fails(warehouse, monkeypatch):
    monkeypatch.setattr(bigquery_lease, "LEASE_SECONDS", 120)
    with (
        pytest.raises(StepFailedError, match=r"The lease on bike_traffic_raw\.comptage_velo was lost .*it ran out"),
        warehouse.write_lock(COMPTAGE_VELO),
    ):
        warehouse.jobs.change(f"UPDATE {leases(warehouse)} SET holder = 'another' WHERE TRUE", {}, "taking it away")


def test_a_writer_that_could_not_renew_its_lease_fails_with_the_reason(bigquery, warehouse, monkeypatch, impatient):
    monkeypatch.setattr(bigquery_lease, "LEASE_SECONDS", 1)

    def write_without_renewal() -> None:
        with warehouse.write_lock(COMPTAGE_VELO):
            renewal = next(each for each in threading.enumerate() if each.name.startswith("lease of"))
            with bigquery.fault(503, "backendError", text="UPDATE"):
                poll(lambda: not renewal.is_alive(), 20, "the renewal gives up")

    with pytest.raises(StepFailedError, match=r"was lost while it was written \(BigQuery failed"):
        write_without_renewal()


def leases(warehouse: BigQueryWarehouse) -> str:
    return warehouse.tables.in_sql(bigquery_lease.LEASES)


def expiry(warehouse: BigQueryWarehouse) -> pd.Timestamp:
    """When the lease on the counts runs out."""
    sql = f"SELECT expires_at FROM {leases(warehouse)} WHERE table_name = @name"
    [row] = warehouse.jobs.rows(sql, {"name": COMPTAGE_VELO.full_name}, "looking").to_pylist()
    return row["expires_at"]


def staged(warehouse: BigQueryWarehouse) -> list[str]:
    """What staging tables there are."""
    with warehouse.jobs.connection.get_client() as client:
        found = client.list_tables(warehouse.tables.dataset(COMPTAGE_VELO.dataset))
        return [table.table_id for table in found if "staging" in table.table_id]
