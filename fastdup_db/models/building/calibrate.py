"""The range of every activation of the float network over a few hundred images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from fastdup_db.models.building import network
from fastdup_db.models.building.writer import Activation


def activations(weights: Mapping[str, np.ndarray], *, batches: Iterable[np.ndarray]) -> dict[str, Activation]:
    """Activation → lowest and highest value and mean per channel over `batches` of uint8 (n, h, w, 3), n the same."""
    model, names = network.build(weights)
    outputs = []
    for name in (network.PIXELS, *names):
        for operator, axes in (("ReduceMin", None), ("ReduceMax", None), ("ReduceMean", [0, 2, 3])):
            output = f"{name}.{operator}"
            model.graph.node.append(helper.make_node(operator, [name], [output], keepdims=0, axes=axes))
            model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
            outputs.append(output)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    runs = [session.run(outputs, {network.INPUT: batch}) for batch in batches]
    found = [np.stack(values) for values in zip(*runs, strict=True)]
    return {
        name: Activation(float(low.min()), float(high.max()), mean.mean(axis=0, dtype=np.float64))
        for name, low, high, mean in zip((network.PIXELS, *names), found[::3], found[1::3], found[2::3], strict=True)
    }
