"""Gradient boosting (LightGBM, Poisson) on the ratio to the seasonal base.

Target y / (base + 1) with weight base + 1, which is the same likelihood as a log offset of log(base + 1). Method:
Poisson rate regression with exposure (McCullagh & Nelder, Generalized Linear Models, ch. 6), boosted.
"""

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from bike_assets.core.families.base import INPUTS, FamilyConfig
from bike_assets.core.families.by_horizon import RatioFamily
from bike_assets.core.families.graph import OPSET, round_down

if TYPE_CHECKING:
    import lightgbm
    from onnx import ModelProto


class GradientBoostingConfig(FamilyConfig):
    """Hyper-parameters of the boosting."""

    iterations: int = Field(120, ge=1, le=5000, description="Trees per horizon.")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Weight of each tree.")
    leaves: int = Field(31, ge=2, le=1024, description="Maximum leaves of a tree.")
    min_rows_in_leaf: int = Field(500, ge=1, description="Rows that a leaf needs.")
    features_share: float = Field(0.5, gt=0, le=1, description="Share of the features that each tree uses.")
    sample: float = Field(1.0, gt=0, le=1, description="Share of the training rows, drawn once with the seed.")


class GradientBoosting(RatioFamily):
    """Gradient boosting (LightGBM, Poisson) on the ratio to the seasonal base."""

    name = "gradient_boosting"
    code_version = "2"
    config_type = GradientBoostingConfig
    kinds: ClassVar[set[str]] = {"lightgbm", "onnx"}
    offset = 1.0
    config: GradientBoostingConfig

    FIXED_PARAMETERS: ClassVar[dict[str, Any]] = {
        "objective": "poisson",
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }

    @classmethod
    def quick_config(cls) -> GradientBoostingConfig:
        """A fifth of the rows and 40 larger steps."""
        return GradientBoostingConfig(iterations=40, learning_rate=0.15, min_rows_in_leaf=200, sample=0.2)

    def fit_ratio(self, inputs: np.ndarray, exposure: np.ndarray, counts: np.ndarray) -> "lightgbm.Booster":
        """Grow the trees."""
        import lightgbm

        chosen = self.drawn(len(inputs), self.config.sample)
        data = lightgbm.Dataset(
            inputs[chosen],
            counts[chosen] / exposure[chosen],
            weight=exposure[chosen],
            categorical_feature=[INPUTS.index("counter_code")],
        )
        parameters = self.FIXED_PARAMETERS | {
            "learning_rate": self.config.learning_rate,
            "num_leaves": self.config.leaves,
            "min_data_in_leaf": self.config.min_rows_in_leaf,
            "feature_fraction": self.config.features_share,
            "num_threads": self.threads,
            "seed": self.seed,
        }
        trained = lightgbm.train(parameters, data, num_boost_round=self.config.iterations)
        return lightgbm.Booster(model_str=_with_float32_thresholds(trained.model_to_string()))

    def ratio(self, model: "lightgbm.Booster", inputs: np.ndarray) -> np.ndarray:
        """Predict with LightGBM itself."""
        return np.asarray(model.predict(inputs, num_threads=self.threads))

    def ratio_graph(self, model: "lightgbm.Booster") -> "ModelProto":
        """Convert the trees."""
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        inputs = [("features", FloatTensorType([None, len(INPUTS)]))]
        # Without a name the converter draws a random one, and the same training would give a different file each time.
        return convert_lightgbm(model, name=self.name, initial_types=inputs, target_opset=OPSET)


def _with_float32_thresholds(model: str) -> str:
    """Round every threshold down to single precision, as the served file stores it."""
    without_sizes = re.sub(r"(?m)^tree_sizes=.*\n", "", model)
    return re.sub(r"(?m)^threshold=(.*)$", lambda line: f"threshold={_rounded(line[1])}", without_sizes)


def _rounded(numbers: str) -> str:
    return " ".join(repr(float(number)) for number in round_down(np.array(numbers.split(), dtype=np.float64)))
