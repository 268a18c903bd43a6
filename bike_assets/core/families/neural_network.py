"""Neural network (Keras on JAX) that learns the log ratio to the seasonal base.

log mean = log(base + 1) + 2 tanh(network), Poisson loss; the bound keeps it from blowing up on what it has not seen.
Counter and hour of the week are embedded (Guo & Berkhahn, Entity Embeddings of Categorical Variables, 2016). A part of
the rows is shown without its counter, so that the network knows what to say of one that it never saw.
"""

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from bike_assets.core.families.base import INPUTS, LOG_RATIO_BOUND, Family, FamilyConfig
from bike_assets.core.families.graph import OPSET, scale_ratio_by_base
from bike_assets.core.features import SEASONAL

if TYPE_CHECKING:
    import keras

OFFSET = 1.0
HOURS_OF_WEEK = 168
HIDDEN_COUNTERS = 0.02
HOUR_OF_WEEK = INPUTS.index("hour_of_week")


class NeuralNetworkConfig(FamilyConfig):
    """Hyper-parameters of the network."""

    epochs: int = Field(4, ge=1, le=100, description="Passes over the training rows.")
    batch: int = Field(4096, ge=32, description="Rows a step.")
    learning_rate: float = Field(0.003, gt=0, le=0.1, description="Of the first step; it falls to zero as a cosine.")
    widths: list[int] = Field([64, 32], min_length=1, description="Units of each hidden layer.")
    counter_dimensions: int = Field(4, ge=1, le=64, description="Numbers that a counter is embedded in.")
    hour_dimensions: int = Field(6, ge=1, le=64, description="Numbers that an hour of the week is embedded in.")
    sample: float = Field(1.0, gt=0, le=1, description="Share of the training rows, drawn once with the seed.")


class NeuralNetwork(Family):
    """Neural network (Keras on JAX) on the log ratio to the seasonal base."""

    name = "neural_network"
    code_version = "1"
    config_type = NeuralNetworkConfig
    kinds: ClassVar[set[str]] = {"keras", "jax", "onnx"}
    config: NeuralNetworkConfig
    network: "keras.Model"
    means: np.ndarray
    deviations: np.ndarray

    @classmethod
    def quick_config(cls) -> NeuralNetworkConfig:
        """A tenth of the rows, once."""
        return NeuralNetworkConfig(epochs=2, batch=512, sample=0.1)

    def fit(self, rows: pd.DataFrame) -> None:
        """Train the network; the order of the rows is drawn with the seed."""
        keras = _keras(self.threads)
        if self.config.sample < 1:
            rows = rows.sample(frac=self.config.sample, random_state=self.seed)
        keras.utils.set_random_seed(self.seed)
        inputs = self.inputs(rows)
        numbers = inputs[:, 1:].astype(np.float64)
        self.means = np.nanmean(numbers, axis=0).astype(np.float32)
        self.deviations = np.maximum(np.nanstd(numbers, axis=0), 1e-6).astype(np.float32)
        hidden = np.random.default_rng(self.seed).random(len(inputs)) < HIDDEN_COUNTERS
        inputs[hidden, 0] = -1
        self.network = self._network(keras)
        exposure = rows[SEASONAL].to_numpy(dtype=np.float32) + np.float32(OFFSET)
        training = keras.Model(
            [*self.network.inputs, offset := keras.Input((1,), name="log_exposure")],
            keras.ops.exp(offset + self.network.output),
        )
        steps = self.config.epochs * -(-len(inputs) // self.config.batch)
        schedule = keras.optimizers.schedules.CosineDecay(self.config.learning_rate, steps)
        training.compile(optimizer=keras.optimizers.AdamW(schedule), loss="poisson")
        training.fit(
            [*self._arrays(inputs), np.log(exposure)[:, None]],
            rows["bike_count"].to_numpy(dtype=np.float32)[:, None],
            batch_size=self.config.batch,
            epochs=self.config.epochs,
            verbose=0,
        )

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predict with Keras itself."""
        log_ratio = self.network.predict(self._arrays(self.inputs(rows)), batch_size=65_536, verbose=0)[:, 0]
        return np.exp(log_ratio.astype(np.float64)) * (rows[SEASONAL].to_numpy(dtype=np.float64) + OFFSET)

    def to_onnx(self) -> bytes:
        """Write the layers down as a graph: there is no converter for Keras on JAX that is kept up."""
        from onnx import TensorProto, helper, numpy_helper

        constants = {
            "zero": np.array([0], dtype=np.int64),
            "hour_of_week": np.array([HOUR_OF_WEEK], dtype=np.int64),
            "numbers": np.arange(1, len(INPUTS), dtype=np.int64),
            "one": np.array(1, dtype=np.int64),
            "means": self.means,
            "deviations": self.deviations,
            "missing": np.array(0, dtype=np.float32),
            "bound": np.array(LOG_RATIO_BOUND, dtype=np.float32),
            "counter_table": self._weights("counter_embedding")[0],
            "hour_table": self._weights("hour_embedding")[0],
        }
        node = helper.make_node
        nodes = [
            node("Gather", ["features", "zero"], ["codes"], axis=1),
            node("Cast", ["codes"], ["whole_codes"], to=TensorProto.INT64),
            node("Add", ["whole_codes", "one"], ["counter_rows"]),
            node("Gather", ["counter_table", "counter_rows"], ["counter_vectors"]),
            node("Flatten", ["counter_vectors"], ["counter"]),
            node("Gather", ["features", "hour_of_week"], ["hours"], axis=1),
            node("Cast", ["hours"], ["hour_rows"], to=TensorProto.INT64),
            node("Gather", ["hour_table", "hour_rows"], ["hour_vectors"]),
            node("Flatten", ["hour_vectors"], ["hour"]),
            node("Gather", ["features", "numbers"], ["plain"], axis=1),
            node("Sub", ["plain", "means"], ["centred"]),
            node("Div", ["centred", "deviations"], ["scaled"]),
            node("IsNaN", ["scaled"], ["is_missing"]),
            node("Where", ["is_missing", "missing", "scaled"], ["filled"]),
            node("Concat", ["counter", "hour", "filled"], ["layer_0"], axis=1),
        ]
        for number in range(len(self.config.widths) + 1):
            kernel, bias = self._weights(f"dense_{number}")
            constants |= {f"kernel_{number}": kernel, f"bias_{number}": bias}
            nodes.append(node("Gemm", [f"layer_{number}", f"kernel_{number}", f"bias_{number}"], [f"sum_{number}"]))
            if number < len(self.config.widths):
                nodes.append(node("Relu", [f"sum_{number}"], [f"layer_{number + 1}"]))
        nodes += [
            node("Tanh", [f"sum_{len(self.config.widths)}"], ["bounded"]),
            node("Mul", ["bounded", "bound"], ["log_ratio"]),
            node("Exp", ["log_ratio"], ["ratio"]),
        ]
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(INPUTS)])],
            [helper.make_tensor_value_info("ratio", TensorProto.FLOAT, [None, 1])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return scale_ratio_by_base(model, OFFSET)

    def _network(self, keras: Any) -> "keras.Model":
        counter, hour = keras.Input((), dtype="int32"), keras.Input((), dtype="int32")
        numbers = keras.Input((len(INPUTS) - 1,))
        layers = keras.layers
        embedded = [
            layers.Embedding(len(self.counters) + 1, self.config.counter_dimensions, name="counter_embedding")(counter),
            layers.Embedding(HOURS_OF_WEEK, self.config.hour_dimensions, name="hour_embedding")(hour),
        ]
        layer = layers.Concatenate()([*embedded, numbers])
        for number, width in enumerate(self.config.widths):
            layer = layers.Dense(width, activation="relu", name=f"dense_{number}")(layer)
        # Beginning at zero it begins as the base itself.
        last = layers.Dense(1, kernel_initializer="zeros", name=f"dense_{len(self.config.widths)}")(layer)
        return keras.Model([counter, hour, numbers], LOG_RATIO_BOUND * keras.ops.tanh(last))

    def _arrays(self, inputs: np.ndarray) -> list[np.ndarray]:
        numbers = (inputs[:, 1:] - self.means) / self.deviations
        return [
            inputs[:, 0].astype(np.int32) + 1,
            inputs[:, HOUR_OF_WEEK].astype(np.int32),
            np.where(np.isnan(numbers), np.float32(0), numbers),
        ]

    def _weights(self, layer: str) -> list[np.ndarray]:
        return [np.asarray(weight) for weight in self.network.get_layer(layer).get_weights()]


def _keras(threads: int) -> Any:
    """Import Keras with JAX on this machine's processors: the one place that says so."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}")
    import keras

    return keras
