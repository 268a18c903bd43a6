"""One training: fit, convert to the served file, compare the two, score. Recording it belongs to the assets.

Every score is computed with the served file: the file that was judged is the file that serves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from bike_assets.core.breakdown import GROUPINGS, scores_by
from bike_assets.core.families.base import Family, Trained
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, SEASONAL
from bike_assets.core.scoring import Scores, score
from bike_assets.core.splits import Span

Part = tuple[tuple[str, int], pd.DataFrame]
"""Rows of a set at a horizon (days ahead)."""


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        trained: the model as it will serve.
        parity: greatest relative difference between the served file and the native model on held-out rows.
        scores: by set and horizon (days ahead).
        naive_scores: those of the seasonal naive, by test set and horizon.
        group_scores: scores a day ahead on the newest test set by counter, by hour and by weekday (see `breakdown`).
        newest_week: the last seven days of the newest test set a day ahead, with predicted_count and naive_count.
    """

    trained: Trained
    parity: float
    scores: dict[tuple[str, int], Scores]
    naive_scores: dict[tuple[str, int], Scores]
    group_scores: dict[str, pd.DataFrame]
    newest_week: pd.DataFrame


def train_and_score(
    family: Family, rows: pd.DataFrame, tests: Mapping[str, pd.DataFrame], train_sets: Mapping[str, Span]
) -> Training:
    """Train a family and score it on its training sets and on test sets that it has not seen.

    Args:
        family: a fresh instance.
        rows: training rows with counter_id, day, FEATURES, base and bike_count, every horizon.
        tests: rows with the same columns by name of the set, oldest set first.
        train_sets: the days of each training set, by name.

    Raises:
        ValueError: there are no training rows, or some have no count or no base.
    """
    validate_training_rows(rows)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    family.log_progress(f"{family.name}: converting it to the file that serves")
    trained = Trained(family.to_onnx(), family.counters)
    served = ServedModel(trained.onnx, trained.sha256, trained.counters)
    family.log_progress(f"{family.name}: scoring it on {len(train_sets) + len(tests)} sets")
    held_out = list(tests.values())[-1]
    ahead = held_out[held_out["horizon_days"] == 1]
    ahead = ahead.assign(predicted_count=served.predict(ahead), naive_count=ahead[SEASONAL])
    return Training(
        trained=trained,
        parity=parity(family, served, held_out),
        scores={
            key: _scored(part, served.predict(part)) for key, part in chain(_learned(rows, train_sets), _tested(tests))
        },
        naive_scores={key: _scored(part, part[SEASONAL].to_numpy()) for key, part in _tested(tests)},
        group_scores={grouping: scores_by(ahead, column) for grouping, column in GROUPINGS.items()},
        newest_week=ahead[ahead["day"] > ahead["day"].max() - pd.Timedelta(days=7)],
    )


def validate_training_rows(rows: pd.DataFrame) -> None:
    """Reject training rows without a count or a base: some families would train on them without an error.

    Raises:
        ValueError: there are none, or some have no count or no base.
    """
    if rows.empty:
        raise ValueError("there are no rows to fit on")
    for name, what in (("bike_count", "count"), (SEASONAL, "base")):
        missing = int(rows[name].isna().sum())
        if missing:
            raise ValueError(f"{missing:,} of the {len(rows):,} rows have no {what}: no model can learn from them")


def parity(family: Family, served: ServedModel, rows: pd.DataFrame) -> float:
    """Return the greatest relative difference between served file and native model; absolute below 1 bike an hour."""
    native = family.predict(rows)
    return float((np.abs(served.predict(rows) - native) / np.maximum(np.abs(native), 1.0)).max())


def _within(rows: pd.DataFrame, span: Span) -> "pd.Series[bool]":
    return rows["day"].between(pd.Timestamp(span.first), pd.Timestamp(span.last))


def _learned(rows: pd.DataFrame, train_sets: Mapping[str, Span]) -> Iterator[Part]:
    """Yield the training rows by set and horizon, one part at a time: all at once they would double the memory."""
    for name, span in train_sets.items():
        within = _within(rows, span)
        for horizon in HORIZONS:
            yield (name, horizon), rows[within & (rows["horizon_days"] == horizon)]


def _tested(tests: Mapping[str, pd.DataFrame]) -> Iterator[Part]:
    for name, rows in tests.items():
        for horizon in HORIZONS:
            yield (name, horizon), rows[rows["horizon_days"] == horizon]


def _scored(rows: pd.DataFrame, predicted: np.ndarray) -> Scores:
    return score(rows["bike_count"], predicted)
