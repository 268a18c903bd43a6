"""Scores of forecasts against counts. Choosing the rows belongs to the callers."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Scores:
    """R2 (1 is perfect), RMSE and MAE (bikes an hour) over n rows; NaN where a score is undefined."""

    r2: float
    rmse: float
    mae: float
    n: int

    def as_row(self) -> dict[str, float | int]:
        """Return the scores as one flat row."""
        return asdict(self)


def score(actual: ArrayLike, predicted: ArrayLike) -> Scores:
    """Score forecasts.

    Args:
        actual: counts (bikes an hour), shape [n].
        predicted: forecasts of the same rows, shape [n].

    Returns:
        The scores in double precision. R2 is NaN for fewer than two different counts; all are NaN for no rows.

    Raises:
        ValueError: the shapes differ, or a value is NaN: the caller has to leave out such rows.
    """
    counted, forecast = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if counted.shape != forecast.shape:
        raise ValueError(f"{counted.shape} counts against {forecast.shape} forecasts")
    if np.isnan(counted).any() or np.isnan(forecast).any():
        raise ValueError("a count or a forecast is NaN")
    if not len(counted):
        return Scores(np.nan, np.nan, np.nan, 0)
    error = forecast - counted
    spread = float(((counted - counted.mean()) ** 2).sum())
    r2 = 1 - float((error**2).sum()) / spread if spread > 0 else np.nan
    return Scores(r2, float(np.sqrt((error**2).mean())), float(np.abs(error).mean()), len(counted))
