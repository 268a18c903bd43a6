"""Builds served ONNX files: sends rows to the model of their horizon, multiplies ratio and base, blends files.

Converting a single model belongs to its family.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from bike_assets.core.families.base import RATIO_BOUNDS

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPSET = 15


def round_down(numbers: np.ndarray) -> np.ndarray:
    """Return thresholds rounded down to single precision.

    ONNX rounds thresholds to the nearest single-precision number. A threshold that is rounded up sends an input just
    above it the wrong way. With single-precision inputs, rounding down changes no decision.
    """
    single = numbers.astype(np.float32)
    return np.where(single > numbers, np.nextafter(single, np.float32(-np.inf)), single)


def serve_by_horizon(name: str, models: Mapping[int, "ModelProto"], position: int, offset: float) -> bytes:
    """Return one served file of several models: each row goes to the model of its horizon.

    The file returns clip(ratio, bounds) * (base + offset); a row of a horizon without a model gets NaN.

    Args:
        name: of the graph.
        models: by horizon; each takes `features`, float32 [n, inputs], and its only output is the ratio [n, 1].
        position: of the horizon among the features.
        offset: bikes an hour that the family adds to the base.

    Returns:
        The served file, with the inputs `features` and `base` and the output `bike_count`.
    """
    from onnx import helper

    parts = _prefixed({f"h{horizon}": model for horizon, model in models.items()}, rename_inputs=True)
    node = helper.make_node
    constants: dict[str, np.ndarray] = {
        "horizon_position": np.array([position], dtype=np.int64),
        "ratio_low": np.array(RATIO_BOUNDS[0], dtype=np.float32),
        "ratio_high": np.array(RATIO_BOUNDS[1], dtype=np.float32),
        "offset": np.array(offset, dtype=np.float32),
        "unknown": np.array(np.nan, dtype=np.float32),
        "columns": np.array([1], dtype=np.int64),
    }
    first = [
        node("Gather", ["features", "horizon_position"], ["horizons"], axis=1),
        node("Shape", ["horizons"], ["shape"]),
        node("Expand", ["unknown", "shape"], ["ratio_0"]),
    ]
    last = []
    for number, (horizon, (prefix, part)) in enumerate(zip(models, parts.items(), strict=True)):
        constants[f"{prefix}/horizon"] = np.array(horizon, dtype=np.float32)
        first += [
            node("Equal", ["horizons", f"{prefix}/horizon"], [f"{prefix}/chosen"]),
            node("Squeeze", [f"{prefix}/chosen", "columns"], [f"{prefix}/chosen_rows"]),
            node("NonZero", [f"{prefix}/chosen_rows"], [f"{prefix}/rows_across"]),
            node("Transpose", [f"{prefix}/rows_across"], [f"{prefix}/rows"]),
            node("GatherND", ["features", f"{prefix}/rows"], [f"{prefix}/features"]),
        ]
        scattered = [f"ratio_{number}", f"{prefix}/rows", part.graph.output[0].name]
        last.append(node("ScatterND", scattered, [f"ratio_{number + 1}"]))
    last += [
        node("Clip", [f"ratio_{len(models)}", "ratio_low", "ratio_high"], ["bounded_ratio"]),
        node("Add", ["base", "offset"], ["exposure"]),
        node("Mul", ["bounded_ratio", "exposure"], ["bike_count"]),
    ]
    return _joined(name, first, parts.values(), last, constants)


def mean_of_graphs(members: Mapping[str, bytes], weights: Mapping[str, float]) -> bytes:
    """Return one served file that returns the weighted mean of several.

    Args:
        members: served files by name, all with the same inputs and counters.
        weights: by the same names.
    """
    import onnx
    from onnx import helper

    loaded = {name: onnx.load_model_from_string(content) for name, content in members.items()}
    parts = _prefixed(loaded, rename_inputs=False)
    constants = {f"{name}/weight": np.array(weights[name], dtype=np.float32) for name in parts}
    last = [
        helper.make_node("Mul", [part.graph.output[0].name, f"{name}/weight"], [f"{name}/part"])
        for name, part in parts.items()
    ]
    last.append(helper.make_node("Sum", [f"{name}/part" for name in parts], ["bike_count"]))
    return _joined("blend", [], parts.values(), last, constants)


def _prefixed(models: Mapping[str, "ModelProto"], rename_inputs: bool) -> dict[str, "ModelProto"]:
    """Add a prefix to every name in a model; input names get one only with `rename_inputs`."""
    from onnx import compose

    return {
        prefix: compose.add_prefix(model, f"{prefix}/", rename_inputs=rename_inputs) for prefix, model in models.items()
    }


def _joined(
    name: str,
    first: list["NodeProto"],
    parts: Iterable["ModelProto"],
    last: list["NodeProto"],
    constants: Mapping[str, np.ndarray],
) -> bytes:
    """One served file: the first nodes, then the parts, then the last nodes."""
    from onnx import TensorProto, helper, numpy_helper

    parts = list(parts)
    width = parts[0].graph.input[0].type.tensor_type.shape.dim[1].dim_value
    versions = {"": OPSET}
    for opset in (opset for part in parts for opset in part.opset_import):
        if opset.domain:
            versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    graph = helper.make_graph(
        [*first, *(node for part in parts for node in part.graph.node), *last],
        name,
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width]),
            helper.make_tensor_value_info("base", TensorProto.FLOAT, [None, 1]),
        ],
        [helper.make_tensor_value_info("bike_count", TensorProto.FLOAT, [None, 1])],
        [constant for part in parts for constant in part.graph.initializer]
        + [numpy_helper.from_array(value, constant) for constant, value in constants.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())]
    merged = helper.make_model(graph, opset_imports=opsets, ir_version=max(part.ir_version for part in parts))
    return bytes(merged.SerializeToString())
