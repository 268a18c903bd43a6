"""Checks of published counts, day by day. They read the audit rows of the days of a run.

An error stops the downstream assets of the run. A warning does not: publishers have gaps. A check names the bad days;
the good days are ingested all the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from bike_assets.assets.raw_counts import raw_counts
from bike_assets.core.local_time import as_date, hours_in_days
from bike_assets.core.plausibility import WEEK
from bike_assets.core.splits import Span
from bike_assets.partitions import days_of
from bike_assets.resources.queries.counts import NEWEST_READINGS, duplicate_keys
from bike_assets.resources.warehouse import Warehouse
from bike_assets.settings import Settings

ROWS_BAND = (0.8, 1.2)
READ_WHOLE = "days_are_read_whole"
SHOWN_DAYS = 50
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class DayCheck:
    """A check of single days.

    Attributes:
        name: a statement that is true when the check passes.
        severity: ERROR blocks downstream assets.
        description: what holds when the check passes.
        is_bad: returns for each audit row whether the day is bad.
        describe: returns what is wrong with a bad day.
    """

    name: str
    severity: dg.AssetCheckSeverity
    description: str
    is_bad: Callable[[pd.DataFrame, Settings], "pd.Series[bool]"]
    describe: Callable[[pd.Series], str]

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check's spec for Dagster."""
        return dg.AssetCheckSpec(
            self.name, asset=raw_counts, blocking=self.severity is ERROR, description=self.description
        )

    def judge(self, audit: pd.DataFrame, settings: Settings) -> dg.AssetCheckResult:
        """Judge the days of a run, and name the bad ones."""
        bad = audit[self.is_bad(audit, settings)] if len(audit) else audit
        descriptions = [f"{as_date(row['day'])}: {self.describe(row)}" for _, row in bad.head(SHOWN_DAYS).iterrows()]
        return dg.AssetCheckResult(
            check_name=self.name,
            passed=bad.empty,
            severity=self.severity,
            description="; ".join(descriptions) or None,
            metadata={"days": len(audit), "bad_days": len(bad), "which": "\n".join(descriptions)},
        )


DAY_CHECKS = (
    DayCheck(
        READ_WHOLE,
        ERROR,
        "Every day has as many rows as the source reports for it. Another day keeps its old rows.",
        lambda audit, _: audit["unread"].notna() | (audit["rows_read"] < audit["rows_reported"]),
        lambda row: row["unread"] or f"{row['rows_read']:.0f} of {row['rows_reported']:.0f} rows",
    ),
    DayCheck(
        "keys_are_unique",
        ERROR,
        "No counter has two rows for one hour.",
        lambda audit, _: audit["double_keys"] > 0,
        lambda row: f"{row['double_keys']:.0f} hours of counters occur twice",
    ),
    DayCheck(
        "hours_are_over",
        ERROR,
        "Every row is of an hour that had begun when it was read.",
        lambda audit, _: audit["rows_in_future"] > 0,
        lambda row: f"{row['rows_in_future']:.0f} rows in the future, left out",
    ),
    DayCheck(
        "counts_are_not_negative",
        ERROR,
        "No count is below zero.",
        lambda audit, _: audit["rows_negative"] > 0,
        lambda row: f"{row['rows_negative']:.0f} negative counts, left out",
    ),
    DayCheck(
        "rows_are_readable",
        ERROR,
        "Every row has a time at the start of an hour and a whole number of bikes.",
        lambda audit, _: audit["rows_unreadable"] > 0,
        lambda row: f"{row['rows_unreadable']:.0f} unreadable rows, left out",
    ),
    DayCheck(
        "rows_name_their_counter",
        ERROR,
        "The share of rows without a counter, a count or a time stays under BIKE_MAX_SHARE_INCOMPLETE.",
        lambda audit, settings: (
            audit["rows_without_counter"] > settings.max_share_incomplete * audit["rows_read"].clip(lower=1)
        ),
        lambda row: f"{row['rows_without_counter']:.0f} of {row['rows_read']:.0f} rows, left out",
    ),
    DayCheck(
        "days_have_all_their_hours",
        WARN,
        "Every local day has its 23, 24 or 25 hours; the first and last day of an export often have fewer.",
        lambda audit, settings: audit["hours"] != hours_in_days(audit["day"], settings.timezone),
        lambda row: f"{row['hours']:.0f} hours",
    ),
    DayCheck(
        "rows_fit_the_counters_of_the_week",
        WARN,
        "A day has 0.8 to 1.2 times the rows expected from the counters of the seven days before it.",
        lambda audit, settings: (
            (audit["counters_before"] > 0) & ~_share_of_expected(audit, settings).between(*ROWS_BAND)
        ),
        lambda row: (
            f"{row['rows_kept']:.0f} rows, with {row['counters_before']:.0f} counters in the {WEEK} days before"
        ),
    ),
    DayCheck(
        "counts_are_plausible",
        WARN,
        "No count is far beyond its counter's own history; outliers are kept, flagged and excluded from training.",
        lambda audit, _: audit["outliers"] > 0,
        lambda row: f"{row['outliers']:.0f} outliers",
    ),
    DayCheck(
        "rows_are_published_once",
        WARN,
        "The source has one row for a counter and hour, or rows to add up; no row stands for others.",
        lambda audit, _: audit["rows_duplicated"] > 0,
        lambda row: f"{row['rows_duplicated']:.0f} rows more than once",
    ),
)


@dg.multi_asset_check(name="raw_counts_checks", specs=[check.spec for check in DAY_CHECKS])
def raw_counts_checks(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate all checks with one query of the newest audit rows of the run's days."""
    days = days_of(context)
    audit = warehouse.query(NEWEST_READINGS, first=days[0], last=days[-1])
    doubles = duplicate_keys(warehouse, Span(days[0], days[-1]))
    audit["double_keys"] = audit["day"].map(doubles.set_index("day")["double_keys"]).fillna(0)
    read = audit[audit["unread"].isna()]
    for check in DAY_CHECKS:
        yield check.judge(audit if check.name == READ_WHOLE else read, settings)


def _share_of_expected(audit: pd.DataFrame, settings: Settings) -> "pd.Series[float]":
    return audit["rows_kept"] / (audit["counters_before"] * hours_in_days(audit["day"], settings.timezone))
