"""One training: fit, convert to the served file, compare the two, score. Recording it belongs to the assets.

Every score is made with the served file, so that what was judged is what serves.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bike_assets.core.families.base import Family, Trained
from bike_assets.core.families.served import ServedModel
from bike_assets.core.features import HORIZONS, SEASONAL
from bike_assets.core.scoring import Scores, score


@dataclass(frozen=True)
class Training:
    """What a training made.

    Attributes:
        trained: the model as it will serve.
        parity: greatest relative difference between the served file and the native model on held-out rows.
        scores: by test set and horizon (days ahead).
        newest_week: the last seven days of the newest test set at horizon 1, with predicted_count and naive_count.
    """

    trained: Trained
    parity: float
    scores: dict[tuple[str, int], Scores]
    newest_week: pd.DataFrame


def train_and_score(family: Family, rows: pd.DataFrame, tests: dict[str, pd.DataFrame]) -> Training:
    """Train a family and score it on test sets that it has not seen.

    Args:
        family: a fresh instance.
        rows: training rows with counter_id, FEATURES, base and bike_count, every horizon.
        tests: rows of the same kind by name of the set, oldest set first.

    Raises:
        ValueError: there are no training rows, or some have no count.
    """
    refuse_unfit(rows)
    family.counters = sorted(rows["counter_id"].unique())
    family.fit(rows)
    trained = Trained(family.to_onnx(), family.counters)
    served = ServedModel(trained.onnx, trained.sha256, trained.counters)
    scores = {}
    for name, test in tests.items():
        for horizon in HORIZONS:
            at_horizon = test[test["horizon_days"] == horizon]
            scores[name, horizon] = score(at_horizon["bike_count"], served.predict(at_horizon))
    held_out = list(tests.values())[-1]
    newest = held_out[
        (held_out["horizon_days"] == 1) & (held_out["day"] > held_out["day"].max() - pd.Timedelta(days=7))
    ]
    week = newest.assign(predicted_count=served.predict(newest), naive_count=newest[SEASONAL])
    return Training(trained, parity(family, served, held_out), scores, week)


def refuse_unfit(rows: pd.DataFrame) -> None:
    """Refuse training rows that a family could not, or would silently, learn from.

    Raises:
        ValueError: there are none, or some have no count or no base.
    """
    if rows.empty:
        raise ValueError("there are no rows to fit on")
    for name, what in (("bike_count", "count"), (SEASONAL, "base")):
        missing = int(rows[name].isna().sum())
        if missing:
            raise ValueError(f"{missing:,} of the {len(rows):,} rows have no {what}: they cannot be learned from")


def parity(family: Family, served: ServedModel, rows: pd.DataFrame) -> float:
    """Return the greatest relative difference between the served file and the native model; below 1 bike, absolute."""
    native = family.predict(rows)
    return float((np.abs(served.predict(rows) - native) / np.maximum(np.abs(native), 1.0)).max())
