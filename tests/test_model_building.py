"""The graph writer of the bundled model, by what onnxruntime computes with its graphs."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fastdup_db.models.building.writer import Activation, Writer, side_by_side


def _stem(abreast: int) -> onnxruntime.InferenceSession:
    """A 3×3 convolution with stride 2 of an uint8 image (n, h, w, 3), in int8: float32 (n, 8, h/2, w/2)."""
    random = np.random.default_rng(3)
    weight, bias = random.normal(size=(8, 3, 3, 3)).astype(np.float32), random.normal(size=8).astype(np.float32)
    writer = Writer({"pixels": Activation(-1, 1, np.array([0.1, -0.2, 0.3])), "stem": Activation(-9, 9, np.zeros(8))})
    shape = writer.constant("shape", np.array([0, 0, -1, 3 * abreast]))
    pair = [writer.constant("scale", np.float32(1 / 127.5)), writer.constant("zero", np.uint8(128))]
    writer.node("Reshape", ["image", shape], "places")
    writer.node("Transpose", ["places"], "planes", perm=[0, 3, 1, 2])
    writer.node("DequantizeLinear", ["planes", *pair], "pixels")
    writer.convolution("pixels", "stem", weight, bias, stride=2, abreast=abreast)
    graph = helper.make_graph(
        writer.nodes,
        "stem",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("stem", TensorProto.FLOAT, ["n", 8, None, None])],
        list(writer.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("abreast", [2, 4, 8])
def test_pixels_side_by_side_give_the_same_integers(abreast):
    image = np.random.default_rng(4).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    (one,) = _stem(1).run(None, {"image": image})
    (many,) = _stem(abreast).run(None, {"image": image})
    assert one.shape == (2, 8, 8, 12)
    assert len(np.unique(one)) > 100
    assert np.array_equal(one, many)


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit 3 neighbours"):
        side_by_side(np.zeros((8, 3, 3, 3), np.int8), stride=2, abreast=3)
