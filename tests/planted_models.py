"""Small ONNX files whose answer is known: the mean of each channel of what they were fed, repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "U8": TensorProto.UINT8}


def channel_means(
    path: Path,
    *,
    dim: int,
    shape: Sequence[int | str] = ("n", 3, 224, 224),
    kind: str = "F32",
    output: str = "features",
    form: str = "vector",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """A model of input `shape` whose vector is R, G, B, R, G, B … of length `dim`, the channels' means as it sees them.

    form: 'vector' (n, dim), 'tokens' (n, 5, dim) with the vector first and zeros after it, 'map' (n, dim, 7, 7), and
    'extra' (n, dim, 1, 1).
    """
    axes = [1, 2] if shape[3] == 3 else [2, 3]
    constants = {
        "columns": np.arange(dim) % 3,
        "axes": np.array(axes),
        "one": np.array([1]),
        "two": np.array([2, 3]),
        "mask": (np.arange(5) == 0).astype(np.float32)[None, :, None],
        "places": np.ones((1, 1, 7, 7), np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Gather", ["means", "columns"], ["vector"], axis=1),
        helper.make_node("Unsqueeze", ["vector", "one"], ["row"]),
        helper.make_node("Mul", ["row", "mask"], ["tokens"]),
        helper.make_node("Unsqueeze", ["vector", "two"], ["extra"]),
        helper.make_node("Mul", ["extra", "places"], ["map"]),
        helper.make_node("Identity", [form], [output]),
    ]
    shapes = {"vector": [shape[0], dim], "tokens": [shape[0], 5, dim], "map": [shape[0], dim, 7, 7]}
    graph = helper.make_graph(
        nodes,
        "channel_means",
        [helper.make_tensor_value_info("image", KINDS[kind], list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shapes.get(form, [shape[0], dim, 1, 1]))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    if metadata:
        helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
    return path
