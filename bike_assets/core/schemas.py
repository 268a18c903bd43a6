"""The tables of the warehouse: names, columns, keys. Filling them belongs to `assets`, engines to `resources`.

Types are BigQuery's. `day`, or the column that `partition` names, is a local day and selects the file or partition.
"""

from dataclasses import dataclass

from bike_assets.core.features import FEATURES


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        dataset: warehouse dataset.
        name: table name.
        columns: BigQuery type by column name, in order.
        key: columns that identify a row.
        description: one sentence.
        partition: the DATE column that partitions it, if any; every query has to filter by it.
        write_once: existing rows never change.
        entity: columns that identify what a row describes, for an append-only table; its newest row is the valid one.
        ignored: columns that do not count as a change when only they differ.
        single_precision: the FLOAT64 columns hold float32 values; an engine may store them as float32.
    """

    dataset: str
    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    description: str
    partition: str | None = None
    write_once: bool = False
    entity: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    single_precision: bool = False

    @property
    def full_name(self) -> str:
        """Dataset and name, as SQL writes them."""
        return f"{self.dataset}.{self.name}"

    @property
    def newest_name(self) -> str:
        """Name of the view of the newest row of each entity, for an append-only table."""
        return f"{self.dataset}.newest_{self.name}"

    @property
    def newest_sql(self) -> str:
        """The query of that view: for each entity, the row that was recorded last."""
        return (
            f"SELECT * FROM {self.full_name} "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(self.entity)} ORDER BY recorded_at DESC) = 1"
        )


def _columns(**types: str) -> dict[str, str]:
    return types


_COUNTER = _columns(
    counter_id="STRING",
    counter_name="STRING",
    site_id="STRING",
    site_name="STRING",
    latitude="FLOAT64",
    longitude="FLOAT64",
)
_ORIGIN = _columns(
    recorded_at="TIMESTAMP", run_id="STRING", code_version="STRING", thresholds="STRING", data_versions="STRING"
)
"""The origin of an audit row: time, Dagster run, code version, settings and data versions. The last two are JSON
objects."""
_SCORES = _columns(r2="FLOAT64", rmse="FLOAT64", mae="FLOAT64", n="INT64")

COMPTAGE_VELO = Table(
    "bike_traffic_raw",
    "comptage_velo",
    {
        **_COUNTER,
        **_columns(counted_at="TIMESTAMP", bike_count="INT64", ingested_at="TIMESTAMP", day="DATE", is_outlier="BOOL"),
    },
    ("counter_id", "counted_at"),
    "Hourly counts as last published; counted_at is the start of the hour in UTC, day the local day. Outliers are "
    "far beyond the counter's own history: real rows, kept out of training.",
    partition="day",
    ignored=("ingested_at",),
)
REJECTED_COUNTS = Table(
    "bike_traffic_raw",
    "rejected_counts",
    _columns(
        day="DATE",
        position="INT64",
        problem="STRING",
        counter_id="STRING",
        counter_name="STRING",
        counted_at="TIMESTAMP",
        bike_count="FLOAT64",
        ingested_at="TIMESTAMP",
    ),
    ("day", "position"),
    "Published rows that are not in comptage_velo, each with the reason, as of the last reading of their day.",
    ignored=("ingested_at",),
)
COUNTERS = Table(
    "bike_traffic_raw",
    "counters",
    {
        **_COUNTER,
        **_columns(first_day="DATE", last_day="DATE", state="STRING", hours="INT64", mean_count="FLOAT64"),
    },
    ("counter_id",),
    "One row a counter: its place, the first and last local day with counts, and its state on the "
    "newest day: active, new, silent or gone.",
)
WEATHER = Table(
    "bike_traffic_raw",
    "weather",
    _columns(
        at="TIMESTAMP",
        day="DATE",
        lead_days="INT64",
        temperature="FLOAT64",
        rain="FLOAT64",
        wind="FLOAT64",
        cloud="FLOAT64",
        source="STRING",
        ingested_at="TIMESTAMP",
    ),
    ("at", "lead_days"),
    "Hourly weather: temperature in °C, rain in mm, wind in m/s, cloud in %; at is the start of the hour in UTC, day "
    "the local day. lead_days is 0 for what was observed, else a forecast that was made after day - lead_days.",
    partition="day",
    ignored=("ingested_at",),
)
PREDICTIONS = Table(
    "bike_traffic_predictions",
    "predictions",
    _columns(
        issued_on="DATE",
        counter_id="STRING",
        counted_at="TIMESTAMP",
        day="DATE",
        horizon_days="INT64",
        predicted_count="FLOAT64",
        naive_count="FLOAT64",
        known_counter="BOOL",
        kind="STRING",
        model_version="INT64",
        family="STRING",
    ),
    ("issued_on", "counter_id", "counted_at", "model_version"),
    "Forecasts from the counts up to day issued_on: kind is issued (never changed) or hindcast.",
    partition="issued_on",
    write_once=True,
)
INGESTIONS = Table(
    "monitoring_audit",
    "ingestions",
    _columns(
        day="DATE",
        ingested_at="TIMESTAMP",
        source="STRING",
        run_id="STRING",
        unread="STRING",
        rows_reported="INT64",
        rows_read="INT64",
        rows_kept="INT64",
        rows_without_counter="INT64",
        rows_negative="INT64",
        rows_in_future="INT64",
        rows_unreadable="INT64",
        rows_duplicated="INT64",
        rows_summed="INT64",
        rows_added="INT64",
        rows_changed="INT64",
        rows_withdrawn="INT64",
        outliers="INT64",
        hours="INT64",
        counters="INT64",
        counters_before="INT64",
    ),
    ("day", "ingested_at"),
    "Every reading of a local day: the rows of the source, the rejected rows and why, the changes. unread says why the "
    "day was not changed; counters_before is the number of counters with rows in the seven days before it.",
)
SPLITS = Table(
    "monitoring_audit",
    "splits",
    _columns(name="STRING", first_day="DATE", last_day="DATE", cut_on="DATE", rows="INT64", content_hash="STRING"),
    ("name", "cut_on"),
    "Bounds and content of every training and test set; cut_on is the newest whole day when it was cut.",
)
TRAINING_RUNS = Table(
    "monitoring_audit",
    "training_runs",
    {
        **_columns(
            trained_on="DATE",
            family="STRING",
            trigger="STRING",
            cause="STRING",
            status="STRING",
            error="STRING",
            model_version="INT64",
            mlflow_run_id="STRING",
            seconds="FLOAT64",
            rows_seen="INT64",
            r2_baseline="FLOAT64",
            rmse_baseline="FLOAT64",
            r2_current="FLOAT64",
            rmse_current="FLOAT64",
        ),
        **_ORIGIN,
    },
    ("run_id", "family"),
    "Every training of a family: status is trained, known (a version with the same data and parameters exists), "
    "trial (in seconds, nothing registered) or failed; trigger and cause say what launched it. A rejected "
    "challenger has the status trained.",
    ignored=("recorded_at", "seconds"),
)
EVALUATIONS = Table(
    "monitoring_audit",
    "evaluations",
    {
        **_columns(
            decided_on="DATE",
            challenger_version="INT64",
            challenger_family="STRING",
            champion_version="INT64",
            decision="STRING",
            reason="STRING",
            trigger="STRING",
            cause="STRING",
            r2_baseline="FLOAT64",
            rmse_baseline="FLOAT64",
            r2_current="FLOAT64",
            rmse_current="FLOAT64",
            champion_r2_baseline="FLOAT64",
            champion_rmse_baseline="FLOAT64",
            champion_r2_current="FLOAT64",
            champion_rmse_current="FLOAT64",
            naive_r2_baseline="FLOAT64",
            naive_rmse_baseline="FLOAT64",
            naive_r2_current="FLOAT64",
            naive_rmse_current="FLOAT64",
            gain="FLOAT64",
            gain_low="FLOAT64",
            gain_high="FLOAT64",
            gain_residual_share="FLOAT64",
            rows_baseline="INT64",
            rows_current="INT64",
        ),
        **_ORIGIN,
    },
    ("challenger_version", "champion_version", "run_id"),
    "Every double evaluation with its figures at horizon 1, whatever it decided; champion_version 0 means none. The "
    "gain is R2 on test_current minus the champion's, with its 95 % interval, and as a share of the champion's 1 - R2.",
    ignored=("recorded_at",),
)
DEPLOYMENTS = Table(
    "monitoring_audit",
    "deployments",
    {
        **_columns(
            deployed_on="DATE",
            version="INT64",
            family="STRING",
            replaced_version="INT64",
            decided_by="STRING",
            reason="STRING",
        ),
        **_ORIGIN,
    },
    ("version", "run_id"),
    "Every change of the champion: decided_by is evaluation, or the person who promoted it; replaced_version 0: none.",
    ignored=("recorded_at",),
)
PERFORMANCE = Table(
    "monitoring_audit",
    "performance_metrics",
    {
        **_columns(day="DATE", role="STRING", horizon_days="INT64", model_version="INT64"),
        **_SCORES,
        **_ORIGIN,
    },
    ("day", "role", "horizon_days", "run_id"),
    "Scores over the 7 days to day; role is champion, issued, seasonal_naive or first_champion.",
    entity=("day", "role", "horizon_days"),
    ignored=("recorded_at",),
)
DRIFT = Table(
    "monitoring_audit",
    "drift_metrics",
    {
        **_columns(
            day="DATE",
            drift_share="FLOAT64",
            drifted_columns="STRING",
            columns_checked="INT64",
            reference="STRING",
            rows_current="INT64",
            rows_reference="INT64",
            new_counters="STRING",
            vanished_counters="STRING",
            model_version="INT64",
        ),
        **_ORIGIN,
    },
    ("day", "run_id"),
    "Drift of the 7 days to day against the reference; the share is null where there is not enough data.",
    entity=("day",),
    ignored=("recorded_at",),
)
RETRAIN_DECISIONS = Table(
    "monitoring_audit",
    "retrain_decisions",
    {
        **_columns(
            day="DATE",
            decision="STRING",
            reason="STRING",
            r2="FLOAT64",
            rmse="FLOAT64",
            rows="INT64",
            drift_share="FLOAT64",
            days_behind_naive="INT64",
            champion_version="INT64",
            held_until="DATE",
            acts="BOOL",
        ),
        **_ORIGIN,
    },
    ("day", "run_id"),
    "The retrain matrix day by day; held_until is the day on which the cooldown ends. acts is false for the "
    "days of the bootstrap: they start no retrain.",
    entity=("day",),
    ignored=("recorded_at",),
)

HOURLY_FEATURES = Table(
    "bike_traffic_raw",
    "hourly_features",
    {
        **_columns(counter_id="STRING", counted_at="TIMESTAMP", day="DATE", bike_count="INT64", base="FLOAT64"),
        **{name: "INT64" if name == "horizon_days" else "FLOAT64" for name in FEATURES},
    },
    ("counter_id", "counted_at", "horizon_days"),
    "Features of each counted hour at each horizon, made by the one feature function.",
    partition="day",
    single_precision=True,
)

TABLES = (
    COMPTAGE_VELO,
    REJECTED_COUNTS,
    COUNTERS,
    WEATHER,
    HOURLY_FEATURES,
    PREDICTIONS,
    INGESTIONS,
    SPLITS,
    TRAINING_RUNS,
    EVALUATIONS,
    DEPLOYMENTS,
    PERFORMANCE,
    DRIFT,
    RETRAIN_DECISIONS,
)
