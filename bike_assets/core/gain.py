"""The gain of a challenger over the champion, and its interval. What follows from it belongs to `decisions`."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Gain:
    """R2 of the challenger minus R2 of the champion, on the same rows.

    Attributes:
        r2: the gain.
        low: lower end of its 95 % interval.
        high: upper end.
        residual_share: the gain as a share of the champion's residual, 1 - R2; NaN where that is not above zero.
    """

    r2: float
    low: float
    high: float
    residual_share: float

    def as_row(self) -> dict[str, float]:
        """Return the figures as the columns of the audit table."""
        return {
            "gain": self.r2,
            "gain_low": self.low,
            "gain_high": self.high,
            "gain_residual_share": self.residual_share,
        }


def gain_of(days: "pd.Series[date]", actual: ArrayLike, challenger: ArrayLike, champion: ArrayLike, seed: int) -> Gain:
    """Compare two forecasts of the same rows, with an interval from a block bootstrap by day.

    The errors of one day are correlated, so whole days are drawn: Künsch, The Jackknife and the Bootstrap for General
    Stationary Observations (1989), with days as blocks; percentiles after Efron (1979).

    Args:
        days: the local day of each row, [n].
        actual: counts (bikes an hour), [n].
        challenger: forecasts (bikes an hour), [n].
        champion: forecasts of the same rows, [n].
        seed: of the draws.

    Returns:
        The gain and its interval. All are NaN for fewer than two different counts; the interval is NaN for one day.
    """
    counted = np.asarray(actual, dtype=np.float64)
    columns = {
        "n": np.ones(len(counted)),
        "total": counted,
        "squares": counted**2,
        "challenger": (np.asarray(challenger, dtype=np.float64) - counted) ** 2,
        "champion": (np.asarray(champion, dtype=np.float64) - counted) ** 2,
    }
    by_day = pd.DataFrame(columns).groupby(np.asarray(days)).sum().to_numpy()
    whole = _r2s(by_day.sum(axis=0))
    low = high = np.nan
    if len(by_day) > 1 and not np.isnan(whole[0]):
        drawn = np.random.default_rng(seed).multinomial(len(by_day), np.full(len(by_day), 1 / len(by_day)), size=DRAWS)
        challenger_r2, champion_r2 = _r2s((drawn @ by_day).T)
        low, high = np.nanquantile(challenger_r2 - champion_r2, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    left = 1 - whole[1]
    gain = float(whole[0] - whole[1])
    return Gain(gain, float(low), float(high), float(gain / left) if left > 0 else np.nan)


def _r2s(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R2 of challenger and champion from sums over rows: n, counts, squared counts, both squared errors."""
    n, total, squares, challenger, champion = sums
    spread = squares - total**2 / np.where(n > 0, n, np.nan)
    spread = np.where(spread > 0, spread, np.nan)
    return 1 - challenger / spread, 1 - champion / spread
