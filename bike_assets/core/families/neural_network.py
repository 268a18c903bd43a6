"""Neural network (Keras on JAX) that learns the log ratio to the seasonal base.

log mean = log(base + 1) + 2 tanh(network), Poisson loss; tanh bounds the ratio on unseen inputs. Counter and hour of
the week are embedded (Guo & Berkhahn, Entity Embeddings of Categorical Variables, 2016). 2 % of the training rows have
their counter hidden, so that the network learns to forecast unknown counters.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from bike_assets.core.families.base import INPUTS, LOG_RATIO_BOUND, FamilyConfig
from bike_assets.core.families.by_horizon import RatioFamily
from bike_assets.core.families.graph import OPSET

if TYPE_CHECKING:
    import keras
    from onnx import ModelProto

HOURS_OF_WEEK = 168
HIDDEN_COUNTER_SHARE = 0.02
HOUR_OF_WEEK = INPUTS.index("hour_of_week")


class NeuralNetworkConfig(FamilyConfig):
    """Hyper-parameters of the network."""

    epochs: int = Field(4, ge=1, le=100, description="Passes over the training rows.")
    batch: int = Field(4096, ge=32, description="Rows per step.")
    learning_rate: float = Field(
        0.003, gt=0, le=0.1, description="Learning rate of the first step; it falls to zero as a cosine."
    )
    widths: list[int] = Field([32], min_length=1, description="Units of each hidden layer.")
    counter_dimensions: int = Field(4, ge=1, le=64, description="Size of the embedding of a counter.")
    hour_dimensions: int = Field(6, ge=1, le=64, description="Size of the embedding of an hour of the week.")
    sample: float = Field(1.0, gt=0, le=1, description="Share of the training rows, drawn once with the seed.")


@dataclass(frozen=True)
class FittedNetwork:
    """The fitted network of one horizon, and the scaling of its numeric inputs.

    Attributes:
        weights: of every layer, in Keras' order.
        by_layer: the same by the layer's name.
        means: of each numeric input.
        deviations: of each numeric input; infinite for a constant input, which then has no effect.
    """

    weights: list[np.ndarray]
    by_layer: dict[str, list[np.ndarray]]
    means: np.ndarray
    deviations: np.ndarray

    def arrays(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Return the network's three inputs: row numbers in both embedding tables, and the scaled numbers."""
        return _arrays(inputs, self.means, self.deviations)


class NeuralNetwork(RatioFamily):
    """Neural network (Keras on JAX) on the log ratio to the seasonal base."""

    name = "neural_network"
    code_version = "3"
    config_type = NeuralNetworkConfig
    kinds: ClassVar[set[str]] = {"keras", "jax", "onnx"}
    offset = 1.0
    config: NeuralNetworkConfig

    @classmethod
    def quick_config(cls) -> NeuralNetworkConfig:
        """Two passes over 30 % of the rows."""
        return NeuralNetworkConfig(epochs=2, batch=512, sample=0.3)

    def fit(self, rows: pd.DataFrame) -> None:
        """Train a network for each horizon. All horizons use one compiled network, so Keras compiles only once."""
        self._shared: tuple[Any, Any, list[np.ndarray]] | None = None
        super().fit(rows)

    def fit_ratio(self, inputs: np.ndarray, exposure: np.ndarray, counts: np.ndarray) -> FittedNetwork:
        """Train the network; the order of the rows is drawn with the seed."""
        keras = _keras(self.threads)
        chosen = self.drawn(len(inputs), self.config.sample)
        batch = min(self.config.batch, len(chosen))
        # Only full batches: Keras would compile again for a shorter one.
        chosen = np.random.default_rng(self.seed).permutation(chosen)[: len(chosen) // batch * batch]
        inputs, exposure, counts = inputs[chosen], exposure[chosen], counts[chosen]
        network, training, begin = self._compiled(keras, len(chosen) // batch)
        keras.utils.set_random_seed(self.seed)
        training.set_weights(begin)
        for variable in training.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        numbers = inputs[:, 1:].astype(np.float64)
        deviations = numbers.std(axis=0)
        scale = np.where(deviations > 1e-6, deviations, np.inf).astype(np.float32)
        means = numbers.mean(axis=0).astype(np.float32)
        inputs[np.random.default_rng(self.seed).random(len(inputs)) < HIDDEN_COUNTER_SHARE, 0] = -1
        training.fit(
            [*_arrays(inputs, means, scale), np.log(exposure, dtype=np.float32)[:, None]],
            counts.astype(np.float32)[:, None],
            batch_size=batch,
            epochs=self.config.epochs,
            verbose=0,
        )
        by_layer = {layer.name: [np.asarray(each) for each in layer.get_weights()] for layer in network.layers}
        return FittedNetwork(network.get_weights(), by_layer, means, scale)

    def ratio(self, model: FittedNetwork, inputs: np.ndarray) -> np.ndarray:
        """Predict with Keras itself."""
        network, _, _ = self._compiled(_keras(self.threads), 1)
        network.set_weights(model.weights)
        log_ratio = network.predict(model.arrays(inputs), batch_size=65_536, verbose=0)[:, 0]
        return np.exp(log_ratio.astype(np.float64))

    def _compiled(self, keras: Any, batches: int) -> tuple[Any, Any, list[np.ndarray]]:
        """The network, its training model, and the initial weights of every training."""
        if self._shared is None:
            keras.utils.set_random_seed(self.seed)
            network = self._network(keras)
            training = keras.Model(
                [*network.inputs, offset := keras.Input((1,), name="log_exposure")],
                keras.ops.exp(offset + network.output),
            )
            steps = max(1, self.config.epochs * batches)
            schedule = keras.optimizers.schedules.CosineDecay(self.config.learning_rate, steps)
            training.compile(optimizer=keras.optimizers.AdamW(schedule), loss="poisson")
            training.optimizer.build(training.trainable_variables)
            self._shared = (network, training, training.get_weights())
        return self._shared

    def ratio_graph(self, model: FittedNetwork) -> "ModelProto":
        """Build the graph from the layers by hand: no converter for Keras on JAX is maintained."""
        from onnx import TensorProto, helper, numpy_helper

        constants = {
            "zero": np.array([0], dtype=np.int64),
            "hour_of_week": np.array([HOUR_OF_WEEK], dtype=np.int64),
            "numbers": np.arange(1, len(INPUTS), dtype=np.int64),
            "one": np.array(1, dtype=np.int64),
            "means": model.means,
            "deviations": model.deviations,
            "bound": np.array(LOG_RATIO_BOUND, dtype=np.float32),
            "counter_table": model.by_layer["counter_embedding"][0],
            "hour_table": model.by_layer["hour_embedding"][0],
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
            node("Concat", ["counter", "hour", "scaled"], ["layer_0"], axis=1),
        ]
        for number in range(len(self.config.widths) + 1):
            kernel, bias = model.by_layer[f"dense_{number}"]
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
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

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
        # With zero weights, the untrained network predicts a ratio of 1.
        last = layers.Dense(1, kernel_initializer="zeros", name=f"dense_{len(self.config.widths)}")(layer)
        return keras.Model([counter, hour, numbers], LOG_RATIO_BOUND * keras.ops.tanh(last))


def _arrays(inputs: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> list[np.ndarray]:
    return [
        inputs[:, 0].astype(np.int32) + 1,
        inputs[:, HOUR_OF_WEEK].astype(np.int32),
        (inputs[:, 1:] - means) / deviations,
    ]


def _keras(threads: int) -> Any:
    """Import Keras with JAX on the CPU. No other place imports Keras or sets its backend."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}")
    import keras

    return keras
