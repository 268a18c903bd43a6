"""Ingests counts: reads local days from a source, validates and merges them, and records each day in the audit table.

The asset `raw_counts` uses this. Validating rows belongs to `core.ingestion`, requests to a source to
`resources.counts_source`, merging to `resources.warehouse`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from bike_assets.core.ingestion import classify_rows, empty_days, rows_by_day, shrinkage_reasons
from bike_assets.core.local_time import as_date
from bike_assets.core.plausibility import HISTORY_DAYS, OutlierRule, concat_busiest
from bike_assets.core.published_form import PublishedForm
from bike_assets.core.repeated_rows import DifferingRowsError
from bike_assets.core.schemas import COMPTAGE_VELO, INGESTIONS, REJECTED_COUNTS
from bike_assets.core.splits import Span
from bike_assets.errors import SourceUnavailableError, UnreliableAnswerError
from bike_assets.resources.counts_source import CountsBatch, CountsSource
from bike_assets.resources.queries.counts import busiest_hours, stored_rows_by_day
from bike_assets.resources.warehouse import Warehouse

CHUNK_DAYS = 31
"""Days per request: few requests, and bounded memory."""
FAILED_DAYS_LIMIT = 3
"""If this many single days of a chunk fail and none succeeds, the source is at fault: the ingestion fails."""
NOT_PUBLISHED_YET = "the source has published nothing for this day yet"
Outcome = CountsBatch | UnreliableAnswerError


class Ingestion:
    """Ingests days from one source, oldest first.

    Args:
        source: the source of counts.
        warehouse: the warehouse to write to.
        form: the zone of the local days, and the rule for rows that share a counter and an hour.
        rule: the definition of an outlier.
        run_id: the run that the audit rows name.
    """

    def __init__(
        self, source: CountsSource, warehouse: Warehouse, form: PublishedForm, rule: OutlierRule, run_id: str
    ) -> None:
        self._source, self._warehouse, self._form, self._rule = source, warehouse, form, rule
        self._run_id = run_id
        self._history: pd.DataFrame | None = None
        self._rows_known = pd.Series(dtype="int64")

    def ingest(
        self, span: Span, report_progress: Callable[[int, date], None] = lambda done, last: None
    ) -> pd.DataFrame:
        """Make the table equal to the source for some days, and return the audit rows, one per day.

        A day that cannot be read completely keeps its old rows, and its audit row has the reason. The write lock covers
        reading and writing, so the newest reading of a day is the one that stays.

        Args:
            span: the local days; the next chunk of days is read while the one before is written.
            report_progress: called after each chunk with the number of days done and the last of them.

        Raises:
            SourceUnavailableError: the source did not answer or refused; the days before are ingested.
            DifferingRowsError: rows of one counter and hour differ, and the city's file has no rule for them; the
                chunks before are ingested.
            UnreliableAnswerError: the first three single days of a chunk could not be read; the chunks before are
                ingested.
        """
        audits: list[pd.DataFrame] = []
        chunks = span.chunks(CHUNK_DAYS)
        with self._warehouse.write_lock(COMPTAGE_VELO), ThreadPoolExecutor(1) as reader:
            self._rows_known = stored_rows_by_day(self._warehouse, span)
            ahead = reader.submit(self._source.read, chunks[0].first, chunks[0].last)
            for number, chunk in enumerate(chunks, start=1):
                outcome = _outcome(ahead)
                if number < len(chunks):
                    ahead = reader.submit(self._source.read, chunks[number].first, chunks[number].last)
                audits.append(self._store_chunk(chunk, outcome))
                report_progress((chunk.last - span.first).days + 1, chunk.last)
        return pd.concat(audits, ignore_index=True)

    def _store_chunk(self, span: Span, outcome: Outcome) -> pd.DataFrame:
        """Merge a chunk, or as much of it as can be read in smaller parts, and store its audit rows."""
        parts: list[pd.DataFrame] = []
        try:
            for days, batch in self._readings(span, outcome):
                parts.append(self._store_batch(days, batch) if isinstance(batch, CountsBatch) else _unread(days, batch))
                bad = [part["unread"].iloc[0] for part in parts if part["unread"].notna().all() and len(part) == 1]
                if len(bad) == len(parts) >= FAILED_DAYS_LIMIT:
                    raise UnreliableAnswerError(f"No day from {span.first} on can be read: {bad[-1]}")
        except SourceUnavailableError:
            # The days before the source stopped answering are in the table: store their audit rows too.
            if parts:
                self._store_audit(parts)
            raise
        return self._store_audit(parts)

    def _store_audit(self, parts: list[pd.DataFrame]) -> pd.DataFrame:
        audit = pd.concat(parts, ignore_index=True)
        audit = audit.assign(source=self._source.description, run_id=self._run_id, ingested_at=datetime.now(UTC))
        self._warehouse.merge(INGESTIONS, audit)
        return audit

    def _readings(self, span: Span, outcome: Outcome) -> Iterator[tuple[Span, Outcome]]:
        """Yield a reading; if it is unreliable, read its halves instead, down to the single days at fault."""
        if isinstance(outcome, CountsBatch) or span.days == 1:
            yield span, outcome
            return
        middle = span.first + timedelta(days=span.days // 2)
        for half in (Span(span.first, middle - timedelta(days=1)), Span(middle, span.last)):
            yield from self._readings(half, self._read(half))

    def _read(self, span: Span) -> Outcome:
        try:
            return self._source.read(span.first, span.last)
        except UnreliableAnswerError as error:
            return error

    def _store_batch(self, span: Span, batch: CountsBatch) -> pd.DataFrame:
        history = self._history_before(span)
        try:
            reading = classify_rows(span, batch.rows, batch.read_at, history, self._rule, self._form, batch.reported)
        except DifferingRowsError as error:
            raise DifferingRowsError(self._source.describe_differing(error.rows), error.rows) from None
        self._history = concat_busiest(history, reading.busiest)
        days = reading.days.assign(unread=self._unread_reasons(reading.days))
        merged = [as_date(day) for day in days.loc[days["unread"].isna(), "day"]]
        ingested_at = datetime.now(UTC)
        rejected = reading.rejected[reading.rejected["day"].isin(pd.to_datetime(merged))]
        self._warehouse.merge(REJECTED_COUNTS, rejected.assign(ingested_at=ingested_at), complete_days=merged)
        rows = reading.rows[reading.rows["day"].isin(pd.to_datetime(merged))].assign(ingested_at=ingested_at)
        result = self._warehouse.merge(COMPTAGE_VELO, rows, complete_days=merged)
        for name, status in (("rows_added", "added"), ("rows_changed", "changed")):
            days[name] = rows_by_day(span, rows[result.status == status])
        days["rows_withdrawn"] = [result.withdrawn.get(as_date(day), 0) for day in days["day"]]
        return days

    def _unread_reasons(self, days: pd.DataFrame) -> pd.Series:
        """Return why days keep their old rows: they lost most of their rows, or the source has no rows for them yet."""
        reasons = shrinkage_reasons(days, self._rows_known)
        ahead = (days["rows_read"] == 0) & reasons.isna()
        if ahead.any():
            newest = self._source.newest_day()
            reasons[ahead & (newest is None or days["day"] > pd.Timestamp(newest))] = NOT_PUBLISHED_YET
        return reasons

    def _history_before(self, span: Span) -> pd.DataFrame:
        """Return the busiest hours of the 56 days before a span; queried once, then updated with every reading."""
        start = pd.Timestamp(span.first - timedelta(days=HISTORY_DAYS))
        if self._history is None:
            before = Span(start.date(), span.first - timedelta(days=1))
            self._history = busiest_hours(self._warehouse, before)
        self._history = self._history[self._history["day"] >= start]
        return self._history


def _outcome(reading: "Future[CountsBatch]") -> Outcome:
    try:
        return reading.result()
    except UnreliableAnswerError as error:
        return error


def _unread(span: Span, error: UnreliableAnswerError) -> pd.DataFrame:
    return empty_days(span).assign(unread=str(error)).reindex(columns=list(INGESTIONS.columns))
