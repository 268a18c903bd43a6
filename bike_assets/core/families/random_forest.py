"""Random forest (scikit-learn) on the ratio to the seasonal base.

Target y / (base + 5) with weight (base + 5)²: the weighted squared error of the ratio is that of the count. Method:
Breiman, Random Forests (2001). The weights are normalised: scikit-learn takes `max_samples` as a share of their sum.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from bike_assets.core.families.base import INPUTS, FamilyConfig
from bike_assets.core.families.by_horizon import RatioFamily
from bike_assets.core.families.graph import OPSET, round_down

if TYPE_CHECKING:
    from onnx import ModelProto
    from sklearn.ensemble import RandomForestRegressor


class RandomForestConfig(FamilyConfig):
    """Hyper-parameters of the forest."""

    trees: int = Field(25, ge=1, le=1000, description="Trees per horizon.")
    min_rows_in_leaf: int = Field(40, ge=1, description="Rows that a leaf needs.")
    features_share: float = Field(0.2, gt=0, le=1, description="Share of the features that each split considers.")
    rows_share: float = Field(0.2, gt=0, le=1, description="Share of the rows that each tree is trained on.")


class RandomForest(RatioFamily):
    """Random forest (scikit-learn) on the ratio to the seasonal base."""

    name = "random_forest"
    code_version = "2"
    config_type = RandomForestConfig
    kinds: ClassVar[set[str]] = {"scikitlearn", "onnx"}
    offset = 5.0
    config: RandomForestConfig

    @classmethod
    def quick_config(cls) -> RandomForestConfig:
        """Six trees, each on a twentieth of the rows."""
        return RandomForestConfig(trees=6, rows_share=0.05)

    def fit_ratio(self, inputs: np.ndarray, exposure: np.ndarray, counts: np.ndarray) -> "RandomForestRegressor":
        """Grow the trees."""
        from sklearn.ensemble import RandomForestRegressor

        weight = exposure**2
        forest = RandomForestRegressor(
            n_estimators=self.config.trees,
            min_samples_leaf=self.config.min_rows_in_leaf,
            max_features=self.config.features_share,
            max_samples=self.config.rows_share,
            n_jobs=self.threads,
            random_state=self.seed,
        )
        forest.fit(inputs, counts / exposure, weight / weight.mean())
        for tree in forest.estimators_:
            # The served file has thresholds in single precision; rounded down, they give the same decisions.
            tree.tree_.threshold[:] = round_down(tree.tree_.threshold)
        return forest

    def ratio(self, model: "RandomForestRegressor", inputs: np.ndarray) -> np.ndarray:
        """Predict with scikit-learn itself."""
        return model.predict(inputs)

    def ratio_graph(self, model: "RandomForestRegressor") -> "ModelProto":
        """Convert the trees."""
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        inputs = [("features", FloatTensorType([None, len(INPUTS)]))]
        return to_onnx(model, initial_types=inputs, target_opset={"": OPSET, "ai.onnx.ml": 3}, name=self.name)
