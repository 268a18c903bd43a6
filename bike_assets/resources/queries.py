"""Warehouse queries that several modules share. What the results mean belongs to the callers."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pandas as pd

from bike_assets.core.features import CountCube, build_cube, history_start
from bike_assets.core.local_time import as_date, days_between, hours_in_days
from bike_assets.core.schemas import HOURLY_FEATURES
from bike_assets.core.splits import Baseline, Span
from bike_assets.core.weather_cube import BASE_WEEKS, OBSERVED, WEATHER_COLUMNS, WeatherCube, build_weather
from bike_assets.home.record import Home
from bike_assets.resources.table_rows import frame, one_row, plain_rows
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

TRAIN_BASELINE, TEST_BASELINE = "train_baseline", "test_baseline"
TRAIN_CURRENT, TEST_CURRENT = "train_current", "test_current"
SORTED_DAYS = 31
"""Days of features that one statement sorts: BigQuery sorts a result on a single machine."""
_DRAWN = "AND SUBSTR(TO_HEX(MD5(CONCAT(counter_id, FORMAT_TIMESTAMP('%Y%m%d%H', counted_at)))), 1, 8) < @below "
NEWEST_READINGS = (
    "SELECT * FROM monitoring_audit.ingestions WHERE day BETWEEN @first AND @last "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY ingested_at DESC) = 1 ORDER BY day"
)
NEWEST_SUCCESSFUL_READINGS = (
    "SELECT * FROM monitoring_audit.ingestions WHERE unread IS NULL "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY ingested_at DESC) = 1 ORDER BY day"
)


def read_counts(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return counter_id, counted_at (UTC), day and bike_count of some local days, without outliers."""
    return warehouse.query(
        "SELECT counter_id, counted_at, day, bike_count FROM bike_traffic_raw.comptage_velo "
        "WHERE day BETWEEN @first AND @last AND NOT is_outlier",
        first=span.first,
        last=span.last,
    )


def read_cube(warehouse: Warehouse, span: Span, timezone: str) -> CountCube:
    """Return the counts of a span's days and of all earlier days that their features depend on."""
    return build_cube(read_counts(warehouse, Span(history_start(span.first), span.last)), timezone)


def known_weather(warehouse: Warehouse, span: Span) -> pd.DataFrame:
    """Return the hours of some local days that have weather in the warehouse.

    Returns:
        at (UTC, start of the hour), day, lead_days, issued_on (for a forecast the newest whole day at its issue, else
        the day itself), and known: how many of the four columns have a value.
    """
    return warehouse.query(
        "SELECT `at`, day, lead_days, DATE_SUB(day, INTERVAL lead_days DAY) AS issued_on, "
        "IF(temperature IS NULL, 0, 1) + IF(rain IS NULL, 0, 1) + IF(wind IS NULL, 0, 1) + IF(cloud IS NULL, 0, 1) "
        "AS known "
        "FROM bike_traffic_raw.weather WHERE day BETWEEN @first AND @last",
        first=span.first,
        last=span.last,
    )


def days_without_weather(warehouse: Warehouse, span: Span, timezone: str) -> list[date]:
    """Return the days of a span whose observed weather lacks an hour or a value, oldest first."""
    known = known_weather(warehouse, span)
    whole = known[(known["lead_days"] == OBSERVED) & (known["known"] == len(WEATHER_COLUMNS))]
    days = pd.Series(pd.to_datetime(days_between(span.first, span.last)))
    hours = days.map(whole.groupby("day").size()).fillna(0)
    return [as_date(day) for day in days[hours.to_numpy() < hours_in_days(days, timezone)]]


def read_weather_cube(warehouse: Warehouse, span: Span, timezone: str) -> WeatherCube | None:
    """Return the weather of a span's days and of the weeks before them that the features need."""
    rows = warehouse.query(
        "SELECT `at`, lead_days, temperature, rain, wind, cloud FROM bike_traffic_raw.weather "
        "WHERE day BETWEEN @first AND @last ORDER BY `at`, lead_days",
        first=span.first - timedelta(weeks=max(BASE_WEEKS)),
        last=span.last,
    )
    return build_weather(rows, timezone)


def read_features(
    warehouse: Warehouse,
    spans: Iterable[Span],
    left_out: Sequence[str],
    horizon: int | None = None,
    share: float = 1.0,
) -> pd.DataFrame:
    """Return the feature rows of some spans, without the counters that the settings exclude.

    Args:
        warehouse: where the features are stored.
        spans: local days.
        left_out: ids of excluded counters.
        horizon: days ahead; every horizon by default.
        share: share of the counted hours to read. A hash of counter and hour selects them: the same hours each time,
            on every engine.
    """
    drawn = _DRAWN if share < 1 else ""
    below = {"below": f"{round(share * 16**8):08x}"} if drawn else {}
    parts = [
        warehouse.query(
            "SELECT * FROM bike_traffic_raw.hourly_features "
            "WHERE day BETWEEN @first AND @last AND (@horizon = 0 OR horizon_days = @horizon) "
            f"AND STRPOS(@left_out, CONCAT(',', counter_id, ',')) = 0 {drawn}"
            "ORDER BY counted_at, counter_id, horizon_days",
            first=span.first,
            last=span.last,
            horizon=horizon or 0,
            left_out=as_list(left_out),
            **below,
        )
        for whole in spans
        for span in whole.chunks(SORTED_DAYS)
    ]
    return pd.concat(parts, ignore_index=True) if parts else frame(HOURLY_FEATURES, [])


def count_features(warehouse: Warehouse, spans: Iterable[Span], left_out: Sequence[str]) -> int:
    """Return how many rows `read_features` would return for every horizon and a share of 1."""
    counted = [
        warehouse.query(
            "SELECT COUNT(*) AS n FROM bike_traffic_raw.hourly_features "
            "WHERE day BETWEEN @first AND @last AND STRPOS(@left_out, CONCAT(',', counter_id, ',')) = 0",
            first=span.first,
            last=span.last,
            left_out=as_list(left_out),
        )
        for span in spans
        if span.days
    ]
    return sum(int(each["n"].iloc[0]) for each in counted)


def as_list(names: Sequence[str]) -> str:
    """Return names as one string parameter, with commas around each name so that STRPOS can find it."""
    return f",{','.join(names)},"


def whole_days(warehouse: Warehouse, timezone: str) -> Span | None:
    """Return the span from the first to the last local day with a published count in every hour."""
    days = warehouse.query(NEWEST_SUCCESSFUL_READINGS)
    days["whole"] = days["hours"].to_numpy() == hours_in_days(days["day"], timezone)
    whole = days.loc[days["whole"], "day"]
    return Span(as_date(whole.iloc[0]), as_date(whole.iloc[-1])) if len(whole) else None


def days_tried(warehouse: Warehouse, span: Span) -> set[date]:
    """Return the days of a span that were read at least once, successfully or not."""
    readings = warehouse.query(NEWEST_READINGS, first=span.first, last=span.last)
    return {as_date(day) for day in readings["day"]}


def unread_days(warehouse: Warehouse, span: Span) -> dict[date, str]:
    """Return the days of a span whose newest reading failed, each with the reason."""
    readings = warehouse.query(NEWEST_READINGS, first=span.first, last=span.last)
    bad = readings[readings["unread"].notna()]
    return {as_date(day): why for day, why in zip(bad["day"], bad["unread"], strict=True)}


def days_to_read_again(warehouse: Warehouse, home: Home, settings: Settings, last: date) -> list[date]:
    """Return the days up to `last` whose newest reading failed and that lie in the configured history, oldest first."""
    oldest = as_date(pd.Timestamp(last) - pd.DateOffset(months=settings.history_months))
    return sorted(unread_days(warehouse, Span(max(home.first_day, oldest), last)))


def decided_days(warehouse: Warehouse, span: Span) -> list[dict]:
    """Return the newest decision of each day of a span, with the R² of the seasonal naive and of the first champion.

    Returns:
        Oldest first: day, decision, reason, r2, drift_share, held_until, first_r2 and naive_r2 (both over 7 days, a
        day ahead).
    """
    return plain_rows(
        warehouse.query(
            "SELECT d.day, d.decision, d.reason, d.r2, d.drift_share, d.held_until, first.r2 AS first_r2, "
            "naive.r2 AS naive_r2 FROM monitoring_audit.newest_retrain_decisions AS d "
            "LEFT JOIN monitoring_audit.newest_performance_metrics AS first "
            "ON first.day = d.day AND first.horizon_days = 1 AND first.role = 'first_champion' "
            "LEFT JOIN monitoring_audit.newest_performance_metrics AS naive "
            "ON naive.day = d.day AND naive.horizon_days = 1 AND naive.role = 'seasonal_naive' "
            "WHERE d.day BETWEEN @first AND @last ORDER BY d.day",
            first=span.first,
            last=span.last,
        )
    )


def recorded_split(warehouse: Warehouse, name: str) -> dict | None:
    """Return the newest record of a training or test set, with its days as dates.

    The two baseline sets are cut one after the other. If a process dies in between, the old pair stays in force: a
    record of one counts only with a record of the other.
    """
    row = one_row(
        warehouse.query(
            "SELECT * FROM monitoring_audit.splits WHERE name = @name "
            "AND cut_on IN (SELECT cut_on FROM monitoring_audit.splits WHERE name = @other) "
            "ORDER BY cut_on DESC LIMIT 1",
            name=name,
            other={TRAIN_BASELINE: TEST_BASELINE, TEST_BASELINE: TRAIN_BASELINE}.get(name, name),
        )
    )
    return {**row, **{key: as_date(row[key]) for key in ("first_day", "last_day", "cut_on")}} if row else None


def bootstrapped_on(warehouse: Warehouse) -> date | None:
    """Return the newest whole local day at the time when the home's first sets were cut."""
    row = one_row(
        warehouse.query(
            "SELECT MIN(cut_on) AS cut_on FROM monitoring_audit.splits WHERE name = @name", name=TRAIN_BASELINE
        )
    )
    return as_date(row["cut_on"]) if row and row["cut_on"] else None


def recorded_span(warehouse: Warehouse, name: str) -> Span | None:
    """Return the days of the newest record of a training or test set."""
    row = recorded_split(warehouse, name)
    return Span(row["first_day"], row["last_day"]) if row else None


def recorded_baseline(warehouse: Warehouse) -> Baseline | None:
    """Return the frozen baseline split; None before it exists."""
    train, test = (recorded_span(warehouse, name) for name in (TRAIN_BASELINE, TEST_BASELINE))
    return Baseline(train, test) if train and test else None
