"""The blend: a weighted mean of the other families, with weights from the newest training days.

To find the weights, the members are fitted again without the newest training days, and compared on these days
(stacking: Wolpert, Stacked Generalization, 1992; weights that are not negative and sum to 1: Breiman, Stacked
Regressions, 1996). No test set is used.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from bike_assets.core.families.base import Family, FamilyConfig, Trained
from bike_assets.core.families.gradient_boosting import GradientBoosting
from bike_assets.core.families.graph import mean_of_graphs
from bike_assets.core.families.neural_network import NeuralNetwork
from bike_assets.core.families.random_forest import RandomForest
from bike_assets.core.families.served import ServedModel

MEMBERS: tuple[type[Family], ...] = (RandomForest, NeuralNetwork, GradientBoosting)


class BlendConfig(FamilyConfig):
    """Hyper-parameters of the weights."""

    weighing_days: int = Field(28, ge=7, le=120, description="Newest training days that the weights are computed from.")
    quick: bool = Field(False, description="Weigh members that were trained in seconds.")


class Blend(Family):
    """Weighted mean of forest, network and boosting.

    Attributes:
        members: the blended served files, by family.
        weights: by family; not negative, and their sum is 1.
    """

    name = "blend"
    code_version = "2"
    config_type = BlendConfig
    kinds: ClassVar[set[str]] = {"onnx"}
    config: BlendConfig

    def __init__(self, config: FamilyConfig, seed: int, threads: int) -> None:
        super().__init__(config, seed, threads)
        self.members: dict[str, Trained] = {}
        self.weights: dict[str, float] = {}

    @classmethod
    def quick_config(cls) -> BlendConfig:
        """Weights from members that train in seconds."""
        return BlendConfig(quick=True)

    def fit(self, rows: pd.DataFrame) -> None:
        """Find the weights, and fit the members that were not adopted."""
        newest = rows["day"] > rows["day"].max() - pd.Timedelta(days=self.config.weighing_days)
        if newest.all():
            raise ValueError(
                f"{rows['day'].nunique()} days are too few: the weights need the newest {self.config.weighing_days}"
            )
        early, late = rows[~newest], rows[newest]
        forecasts = [self._fitted(family, early).predict(late) for family in MEMBERS]
        found = mixing_weights(np.column_stack(forecasts), late["bike_count"].to_numpy(dtype=np.float64))
        self.weights = {family.name: float(weight) for family, weight in zip(MEMBERS, found, strict=True)}
        for family in MEMBERS:
            known = self.members.get(family.name)
            if known is None or known.counters != self.counters:
                self.members[family.name] = self._trained(family, rows)

    def adopt(self, members: Mapping[str, Trained]) -> None:
        """Use these files in the blend; `fit` replaces a file whose counters differ and adds the missing ones."""
        self.members.update(members)

    def facts(self) -> dict[str, float]:
        """Return the weights."""
        return {f"weight_{name}": round(weight, 4) for name, weight in self.weights.items()}

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict with the weighted mean of the members' served files."""
        forecasts = [
            weight * ServedModel(member.onnx, member.sha256, member.counters).predict(rows)
            for member, weight in self._weighted()
        ]
        return np.sum(forecasts, axis=0)

    def to_onnx(self) -> bytes:
        """Join the members in one graph."""
        return mean_of_graphs({name: self.members[name].onnx for name in self.weights}, self.weights)

    def _weighted(self) -> list[tuple[Trained, float]]:
        return [(self.members[name], weight) for name, weight in self.weights.items()]

    def _fitted(self, family: type[Family], rows: pd.DataFrame) -> Family:
        config = family.quick_config() if self.config.quick else family.config_type()
        member = family(config, self.seed, self.threads)
        member.counters = self.counters
        member.fit(rows)
        return member

    def _trained(self, family: type[Family], rows: pd.DataFrame) -> Trained:
        return Trained(self._fitted(family, rows).to_onnx(), self.counters)


def mixing_weights(forecasts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the weights of the weighted mean with the least squared error.

    Args:
        forecasts: bikes an hour, [n, members].
        counts: bikes an hour, [n].

    Returns:
        [members]: not negative, summing to 1.
    """
    from scipy.optimize import nnls

    # A row of ones with a large factor makes the sum almost 1; the division corrects the rest.
    heavy = 1e3 * max(1.0, float(np.abs(forecasts).max())) * np.sqrt(len(counts))
    weights, _ = nnls(np.vstack([forecasts, np.full(forecasts.shape[1], heavy)]), np.append(counts, heavy))
    return weights / weights.sum()
