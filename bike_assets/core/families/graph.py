"""What the served files of all families share: the first nodes, the last nodes, and numbers that survive conversion.

Converting a model itself belongs to its family.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bike_assets.core.families.base import RATIO_BOUNDS

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 15


def fill_missing(inputs: np.ndarray) -> np.ndarray:
    """Return inputs with zeros for missing values: a missing log ratio to the base is taken for the base itself."""
    return np.where(np.isnan(inputs), np.float32(0), inputs)


def round_down(numbers: np.ndarray) -> np.ndarray:
    """Return thresholds rounded down to single precision.

    ONNX stores thresholds in single precision, rounded to the nearest: one that is rounded up sends the input just
    above it the wrong way. On single-precision inputs rounding down changes no decision.
    """
    single = numbers.astype(np.float32)
    return np.where(single > numbers, np.nextafter(single, np.float32(-np.inf)), single)


def scale_ratio_by_base(model: "ModelProto", offset: float, fills_missing: bool = False) -> bytes:
    """Append clip(ratio, bounds) * (base + offset) to an ONNX model whose only output is the ratio, float32 [n, 1].

    Args:
        model: takes `features`, float32 [n, len(INPUTS)].
        offset: bikes an hour that the family adds to the base.
        fills_missing: put `fill_missing` before the model.

    Returns:
        The served file, with the inputs `features` and `base` and the output `bike_count`.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    ratio = graph.output[0].name
    if fills_missing:
        _fill_missing_first(graph)
    constants = {"ratio_low": RATIO_BOUNDS[0], "ratio_high": RATIO_BOUNDS[1], "offset": offset}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in constants.items()
    )
    graph.input.append(helper.make_tensor_value_info("base", TensorProto.FLOAT, [None, 1]))
    graph.node.extend(
        [
            helper.make_node("Clip", [ratio, "ratio_low", "ratio_high"], ["bounded_ratio"]),
            helper.make_node("Add", ["base", "offset"], ["exposure"]),
            helper.make_node("Mul", ["bounded_ratio", "exposure"], ["bike_count"]),
        ]
    )
    others = [opset for opset in model.opset_import if opset.domain]
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", OPSET), *others])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("bike_count", TensorProto.FLOAT, [None, 1]))
    return bytes(model.SerializeToString())


def _fill_missing_first(graph: "GraphProto") -> None:
    from onnx import helper, numpy_helper

    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == "features":
                node.input[position] = "filled_features"
    graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.float32), "nothing"))
    graph.node.insert(0, helper.make_node("Where", ["is_missing", "nothing", "features"], ["filled_features"]))
    graph.node.insert(0, helper.make_node("IsNaN", ["features"], ["is_missing"]))


def mean_of_graphs(members: Mapping[str, bytes], weights: Mapping[str, float]) -> bytes:
    """Return one served file that gives the weighted mean of several.

    Args:
        members: served files by name, all of the same inputs and counters.
        weights: by the same names.
    """
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper

    models = {
        name: compose.add_prefix(onnx.load_model_from_string(content), f"{name}/", rename_inputs=False)
        for name, content in members.items()
    }
    nodes = [node for model in models.values() for node in model.graph.node]
    constants = [constant for model in models.values() for constant in model.graph.initializer]
    for name, model in models.items():
        constants.append(numpy_helper.from_array(np.array(weights[name], dtype=np.float32), f"{name}/weight"))
        nodes.append(helper.make_node("Mul", [model.graph.output[0].name, f"{name}/weight"], [f"{name}/part"]))
    nodes.append(helper.make_node("Sum", [f"{name}/part" for name in models], ["bike_count"]))
    first = next(iter(models.values())).graph
    outputs = [helper.make_tensor_value_info("bike_count", TensorProto.FLOAT, [None, 1])]
    versions: dict[str, int] = {}
    for opset in (opset for model in models.values() for opset in model.opset_import):
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    merged = helper.make_model(
        helper.make_graph(nodes, "blend", first.input, outputs, constants),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())],
        ir_version=max(model.ir_version for model in models.values()),
    )
    return bytes(merged.SerializeToString())
