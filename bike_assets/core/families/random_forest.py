"""Random forest (scikit-learn) on the ratio to the seasonal base.

Target y / (base + 5) with weight (base + 5)², which makes the squared error of the ratio that of the count. Method:
Breiman, Random Forests (2001). The weights are normalised: scikit-learn takes `max_samples` as a share of their sum.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from bike_assets.core.families.base import INPUTS, RATIO_BOUNDS, Family, FamilyConfig
from bike_assets.core.families.graph import OPSET, fill_missing, round_down, scale_ratio_by_base
from bike_assets.core.features import SEASONAL

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

OFFSET = 5.0


class RandomForestConfig(FamilyConfig):
    """Hyper-parameters of the forest."""

    trees: int = Field(30, ge=1, le=1000, description="Trees.")
    min_rows_in_leaf: int = Field(20, ge=1, description="Rows that a leaf needs.")
    features_share: float = Field(0.35, gt=0, le=1, description="Share of the features that each split looks at.")
    rows_share: float = Field(0.25, gt=0, le=1, description="Share of the rows that each tree is grown on.")


class RandomForest(Family):
    """Random forest (scikit-learn) on the ratio to the seasonal base."""

    name = "random_forest"
    code_version = "1"
    config_type = RandomForestConfig
    kinds: ClassVar[set[str]] = {"scikitlearn", "onnx"}
    config: RandomForestConfig
    forest: "RandomForestRegressor"

    @classmethod
    def quick_config(cls) -> RandomForestConfig:
        """Six trees, each on a twentieth of the rows."""
        return RandomForestConfig(trees=6, rows_share=0.05)

    def fit(self, rows: pd.DataFrame) -> None:
        """Grow the trees."""
        from sklearn.ensemble import RandomForestRegressor

        exposure = rows[SEASONAL].to_numpy(dtype=np.float64) + OFFSET
        weight = exposure**2
        self.forest = RandomForestRegressor(
            n_estimators=self.config.trees,
            min_samples_leaf=self.config.min_rows_in_leaf,
            max_features=self.config.features_share,
            max_samples=self.config.rows_share,
            n_jobs=self.threads,
            random_state=self.seed,
        )
        self.forest.fit(
            fill_missing(self.inputs(rows)), rows["bike_count"].to_numpy() / exposure, weight / weight.mean()
        )
        for tree in self.forest.estimators_:
            # The served file has thresholds in single precision: rounded down, they decide the same.
            tree.tree_.threshold[:] = round_down(tree.tree_.threshold)

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict with scikit-learn itself."""
        ratio = self.forest.predict(fill_missing(self.inputs(rows)))
        return np.clip(ratio, *RATIO_BOUNDS) * (rows[SEASONAL].to_numpy(dtype=np.float64) + OFFSET)

    def to_onnx(self) -> bytes:
        """Convert the trees, put the filling of missing values before them and the base after them."""
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        inputs = [("features", FloatTensorType([None, len(INPUTS)]))]
        model = to_onnx(self.forest, initial_types=inputs, target_opset={"": OPSET, "ai.onnx.ml": 3}, name=self.name)
        return scale_ratio_by_base(model, OFFSET, fills_missing=True)
