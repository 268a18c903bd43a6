"""The interface of every model family, and the served file that all of them produce.

A family learns a bounded ratio to the seasonal base (see `core.features`), never the count itself. On a day unlike its
training data, a model can therefore be wrong only by a limited factor.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from bike_assets.core.features import FEATURES, SEASONAL

LOG_RATIO_BOUND = 2.0
RATIO_BOUNDS = (exp(-LOG_RATIO_BOUND), exp(LOG_RATIO_BOUND))
INPUTS = ("counter_code", *FEATURES)


class FamilyConfig(BaseModel):
    """Hyper-parameters of a family; each family has its own subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Trained:
    """A fitted model, ready to serve.

    Attributes:
        onnx: the served file: inputs `features` float32 [n, len(INPUTS)] and `base` float32 [n, 1] (bikes an hour),
            output `bike_count` float32 [n, 1].
        counters: counter ids in the order of their codes.
    """

    onnx: bytes
    counters: list[str]

    @property
    def sha256(self) -> str:
        """Digest of the served file."""
        return hashlib.sha256(self.onnx).hexdigest()


class Family(ABC):
    """One model family: fit, predict natively, and convert to ONNX.

    Attributes:
        counters: ids in the order of their codes; set before a fit.
        log_progress: is called with each progress message.
    """

    name: ClassVar[str]
    code_version: ClassVar[str]
    config_type: ClassVar[type[FamilyConfig]]
    kinds: ClassVar[set[str]]

    def __init__(self, config: FamilyConfig, seed: int, threads: int) -> None:
        self.config, self.seed, self.threads = config, seed, threads
        self.counters: list[str] = []
        self.log_progress: Callable[[str], None] = lambda _: None

    @classmethod
    @abstractmethod
    def quick_config(cls) -> FamilyConfig:
        """Return hyper-parameters that train in seconds."""

    @abstractmethod
    def fit(self, rows: pd.DataFrame) -> None:
        """Fit on rows with counter_id, FEATURES, base and bike_count."""

    @abstractmethod
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict counts (bikes an hour, float64 [n]) with the native library."""

    @abstractmethod
    def to_onnx(self) -> bytes:
        """Return the served file."""

    def facts(self) -> dict[str, float]:
        """Return figures of a fit that users want to see; none by default."""
        return {}

    def inputs(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the model's input, float32 [n, len(INPUTS)]."""
        return model_inputs_of(rows, self.counters)


def model_inputs(codes: np.ndarray, features: Iterable[np.ndarray]) -> np.ndarray:
    """Put the counters' codes before the features.

    A missing feature becomes 0. For a log ratio, 0 is the base itself; for weather, it is the weather of the base's
    weeks. `log_level_28` is missing only for a counter without counts in 28 days; there, 0 is a level of no bikes.

    Args:
        codes: of the counters [n], as `counter_codes` returns them.
        features: one column [n] for each of FEATURES.

    Returns:
        float32 [n, len(INPUTS)], nothing missing.
    """
    out = np.empty((len(codes), len(INPUTS)), dtype=np.float32)
    out[:, 0] = codes
    for position, column in enumerate(features, start=1):
        out[:, position] = column
    return np.nan_to_num(out, copy=False, nan=0.0)


def model_inputs_of(rows: pd.DataFrame, counters: Sequence[str]) -> np.ndarray:
    """Return the inputs of rows with counter_id and FEATURES, float32 [n, len(INPUTS)]."""
    codes = counter_codes(rows["counter_id"], counters)
    return model_inputs(codes, (rows[name].to_numpy(dtype=np.float32) for name in FEATURES))


def counter_codes(counter_ids: Iterable[str], counters: Sequence[str]) -> np.ndarray:
    """Return the position of each counter id among a model's counters; -1 for a counter unknown to the model."""
    return pd.Index(counters).get_indexer(pd.Index(counter_ids))


def data_fingerprint(content_hashes: list[str]) -> str:
    """Return an id of training rows, from the content of their sets and the names of the features."""
    return hashlib.sha256(json.dumps([content_hashes, INPUTS, SEASONAL]).encode()).hexdigest()[:16]


def fingerprint(family: type[Family], config: FamilyConfig, seed: int, data_hashes: list[str]) -> str:
    """Return an id of a training, from everything that determines its result."""
    parts = [family.name, family.code_version, config.model_dump(mode="json"), seed, data_hashes, INPUTS, SEASONAL]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
