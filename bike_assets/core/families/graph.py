"""The last nodes of every served file: the bounded ratio times the base. Converting a model belongs to its family."""

from typing import TYPE_CHECKING

import numpy as np

from bike_assets.core.families.base import RATIO_BOUNDS

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 15


def scale_ratio_by_base(model: "ModelProto", offset: float) -> bytes:
    """Append clip(ratio, bounds) * (base + offset) to an ONNX model whose only output is the ratio, float32 [n, 1].

    Returns:
        The served file, with the inputs `features` and `base` and the output `bike_count`.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    ratio = graph.output[0].name
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
