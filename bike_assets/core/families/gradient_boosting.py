"""Gradient boosting (LightGBM, Poisson) on the seasonal base.

Target y / (base + 1) with weight base + 1, which is the same likelihood as a log offset of log(base + 1). Method and
figures: Poisson rate regression with exposure (McCullagh & Nelder, Generalized Linear Models, ch. 6), boosted.
"""

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from bike_assets.core.families.base import INPUTS, RATIO_BOUNDS, Family, FamilyConfig
from bike_assets.core.families.graph import OPSET, round_down, scale_ratio_by_base
from bike_assets.core.features import SEASONAL

if TYPE_CHECKING:
    import lightgbm

OFFSET = 1.0


class GradientBoostingConfig(FamilyConfig):
    """Hyper-parameters of the boosting."""

    iterations: int = Field(200, ge=1, le=5000, description="Trees.")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Weight of each tree.")
    leaves: int = Field(31, ge=2, le=1024, description="Leaves a tree.")
    min_rows_in_leaf: int = Field(200, ge=1, description="Rows that a leaf needs.")
    sample: float = Field(1.0, gt=0, le=1, description="Share of the training rows, drawn once with the seed.")


class GradientBoosting(Family):
    """Gradient boosting (LightGBM, Poisson) on the ratio to the seasonal base."""

    name = "gradient_boosting"
    code_version = "1"
    config_type = GradientBoostingConfig
    kinds: ClassVar[set[str]] = {"lightgbm", "onnx"}
    config: GradientBoostingConfig
    booster: "lightgbm.Booster"

    KIND: ClassVar[dict[str, Any]] = {
        "objective": "poisson",
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }

    @classmethod
    def quick_config(cls) -> GradientBoostingConfig:
        """A fifth of the rows and 40 larger steps."""
        return GradientBoostingConfig(iterations=40, learning_rate=0.15, sample=0.2)

    def fit(self, rows: pd.DataFrame) -> None:
        """Fit the trees."""
        import lightgbm

        if self.config.sample < 1:
            rows = rows.sample(frac=self.config.sample, random_state=self.seed)
        exposure = rows[SEASONAL].to_numpy(dtype=np.float64) + OFFSET
        data = lightgbm.Dataset(
            self.inputs(rows),
            rows["bike_count"].to_numpy() / exposure,
            weight=exposure,
            categorical_feature=[INPUTS.index("counter_code")],
        )
        parameters = self.KIND | {
            "learning_rate": self.config.learning_rate,
            "num_leaves": self.config.leaves,
            "min_data_in_leaf": self.config.min_rows_in_leaf,
            "num_threads": self.threads,
            "seed": self.seed,
        }
        trained = lightgbm.train(parameters, data, num_boost_round=self.config.iterations)
        self.booster = lightgbm.Booster(model_str=_with_float32_thresholds(trained.model_to_string()))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict with LightGBM itself."""
        ratio = np.asarray(self.booster.predict(self.inputs(rows), num_threads=self.threads))
        return np.clip(ratio, *RATIO_BOUNDS) * (rows[SEASONAL].to_numpy(dtype=np.float64) + OFFSET)

    def to_onnx(self) -> bytes:
        """Convert the trees, then scale their ratio by the base."""
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        inputs = [("features", FloatTensorType([None, len(INPUTS)]))]
        # Without a name the converter draws a random one, and the same training would be another file each time.
        model = convert_lightgbm(self.booster, name=self.name, initial_types=inputs, target_opset=OPSET)
        return scale_ratio_by_base(model, OFFSET)


def _with_float32_thresholds(model: str) -> str:
    """Round every threshold down to single precision, which the served file has."""
    without_sizes = re.sub(r"(?m)^tree_sizes=.*\n", "", model)
    return re.sub(r"(?m)^threshold=(.*)$", lambda line: f"threshold={_rounded(line[1])}", without_sizes)


def _rounded(numbers: str) -> str:
    return " ".join(repr(float(number)) for number in round_down(np.array(numbers.split(), dtype=np.float64)))
