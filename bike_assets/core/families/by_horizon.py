"""The shared part of forest, network and boosting: one model for each horizon, and a bounded ratio times the base.

One model for all horizons, with the horizon as a feature, was tried: its RMSE a day ahead was 3 to 5 % higher, and more
rows did not help. Fitting a single model belongs to its family.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from bike_assets.core.families.base import INPUTS, RATIO_BOUNDS, Family
from bike_assets.core.families.graph import serve_by_horizon
from bike_assets.core.features import HORIZONS, SEASONAL

if TYPE_CHECKING:
    from onnx import ModelProto

HORIZON = INPUTS.index("horizon_days")


class RatioFamily(Family):
    """A family that learns the ratio of counts to their base.

    Attributes:
        offset: bikes an hour added to the base, so that a base of zero has a ratio too.
        models: the results of `fit_ratio`, by horizon.
    """

    offset: ClassVar[float]
    models: dict[int, Any]

    @abstractmethod
    def fit_ratio(self, inputs: np.ndarray, exposure: np.ndarray, counts: np.ndarray) -> Any:
        """Fit one model.

        Args:
            inputs: float32 [n, len(INPUTS)], nothing missing.
            exposure: base plus offset, bikes an hour, float64 [n].
            counts: bikes an hour, float64 [n].
        """

    @abstractmethod
    def ratio(self, model: Any, inputs: np.ndarray) -> np.ndarray:
        """Return the ratio that a model predicts, float64 [n], not bounded yet."""

    @abstractmethod
    def ratio_graph(self, model: Any) -> "ModelProto":
        """Return a model as ONNX: input `features` float32 [n, len(INPUTS)], one output float32 [n, 1], the ratio."""

    def fit(self, rows: pd.DataFrame) -> None:
        """Fit a model for each horizon.

        Raises:
            ValueError: there are no rows at some horizon.
        """
        self.models = {}
        for horizon in HORIZONS:
            chosen = rows[rows["horizon_days"] == horizon]
            if chosen.empty:
                raise ValueError(f"there are no rows at {horizon} days ahead to fit on")
            counts = chosen["bike_count"].to_numpy(dtype=np.float64)
            self.log_progress(f"{self.name}: {horizon} of {len(HORIZONS)} days ahead, {len(chosen):,} rows")
            self.models[horizon] = self.fit_ratio(self.inputs(chosen), self._exposure(chosen), counts)

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict with the native library, each row with the model of its horizon."""
        inputs, ratio = self.inputs(rows), np.full(len(rows), np.nan)
        for horizon, model in self.models.items():
            here = inputs[:, HORIZON] == horizon
            if here.any():
                ratio[here] = self.ratio(model, inputs[here])
        return np.clip(ratio, *RATIO_BOUNDS) * self._exposure(rows)

    def to_onnx(self) -> bytes:
        """Convert every model and join them in one file that sends each row to the model of its horizon."""
        graphs = {horizon: self.ratio_graph(model) for horizon, model in self.models.items()}
        return serve_by_horizon(self.name, graphs, HORIZON, self.offset)

    def drawn(self, rows: int, share: float) -> np.ndarray:
        """Return the positions of a random share of the rows, drawn with the seed; all rows for a share of 1."""
        if share >= 1:
            return np.arange(rows)
        return np.sort(np.random.default_rng(self.seed).choice(rows, max(1, round(rows * share)), replace=False))

    def _exposure(self, rows: pd.DataFrame) -> np.ndarray:
        return rows[SEASONAL].to_numpy(dtype=np.float64) + self.offset
