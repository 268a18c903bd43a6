"""A served model: ONNX Runtime with the file from the training. Evaluation, forecasts and the API all use it.

This module imports no training library.
"""

import hashlib

import numpy as np
import pandas as pd

from bike_assets.core.families.base import INPUTS, model_inputs_of
from bike_assets.core.features import SEASONAL


class ServedModel:
    """One version, ready to predict.

    Args:
        onnx: the served file.
        sha256: the registered digest of the file.
        counters: counter ids in the order of their codes.

    Raises:
        ValueError: the file has another digest, or its graph another number of inputs.
    """

    def __init__(self, onnx: bytes, sha256: str, counters: list[str]) -> None:
        import onnxruntime

        if hashlib.sha256(onnx).hexdigest() != sha256:
            raise ValueError("its content is not what was registered")
        options = onnxruntime.SessionOptions()
        # With more threads the order of sums, and with it the last bits, would depend on the batch size.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        width = self._session.get_inputs()[0].shape[-1]
        if width != len(INPUTS):
            raise ValueError(f"it takes {width} inputs, and this code makes {len(INPUTS)}")
        self.counters = counters

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict counts (bikes an hour, float64 [n]) for rows with counter_id, FEATURES and base."""
        return self.run(model_inputs_of(rows, self.counters), rows[SEASONAL].to_numpy(dtype=np.float32))

    def run(self, inputs: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Predict counts (bikes an hour, float64 [n]).

        Args:
            inputs: float32 [n, len(INPUTS)], nothing missing.
            base: float32 [n], bikes an hour.
        """
        feeds = {"features": inputs, "base": base[:, None]}
        return self._session.run(["bike_count"], feeds)[0].ravel().astype(np.float64)
