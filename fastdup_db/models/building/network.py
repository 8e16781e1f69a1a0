"""EfficientNet-Lite0 with pooled layers of three depths as its output.

Architecture: Tan & Le 2019 (arXiv:1905.11946), B0 without squeeze-excite and with ReLU6 ("Lite"), TensorFlow "SAME"
padding. Input sides must be multiples of 32: then the SAME pads are the same numbers at every size, so one graph with
free height and width serves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from fastdup_db.models.building.writer import Activation, Writer

OPSET = 17
IR_VERSION = 8
"""Of the ONNX file: what every onnxruntime since 1.13 reads."""
BATCH_NORM_EPSILON = 1e-3
"""Of the TensorFlow original; PyTorch's own default would be 1e-5."""
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of the depthwise convolution of the 16 blocks."""


class Pool(NamedTuple):
    """One part of the features: a layer pooled over its places, scaled to unit length, times a weight."""

    layer: str
    width: int
    operator: str
    """ONNX reduction over height and width."""
    weight: float
    root: bool = False
    """Whether square roots are taken before the scaling, which keeps few strong channels from hiding the others
    (power normalisation, Perronnin et al., ECCV 2010). Only for layers without negative values."""


POOLED = (
    Pool("head", 1280, "ReduceMean", 1.0, root=True),
    Pool("b15.project", 320, "ReduceMean", 1.0),
    Pool("b11.project", 192, "ReduceMean", 1.5),
    Pool("b11.project", 192, "ReduceMax", 1.5),
    Pool("b7.add", 80, "ReduceMax", 1.5),
)
"""What the embedding is made of. The two last layers tell what a picture shows; the middle ones tell two pictures of
the same thing apart. Average precision on edited copies of photographs / garments / both that no other choice saw,
adapted, by principal directions, at 128 pixels: last two alone 0.979 / 0.925 / 0.945, with the means of b11 0.991 /
0.951 / 0.965, all five 0.994 / 0.960 / 0.973; at 160 pixels the last two reach 0.988 / 0.944 / 0.961 at one and a half
times the cost. Maxima are what holds recall at 99.9 % precision up (both: 0.51 without, 0.56 with)."""
ABREAST = 4
"""Pixels that the int8 stem takes for one place: the whole network takes 0.05 of 1.35 ms less than with 1, and less
than with 2 or 8."""
INPUT = "image"
PIXELS = "pixels"
FEATURES = "features"


class Projection(NamedTuple):
    """The directions of the features that tell photographs apart."""

    mean: np.ndarray
    """(2064,)"""
    rotation: np.ndarray
    """(2064, d) orthonormal columns, the most telling direction first."""
    dims: tuple[int, ...]
    """Each is one output: the first so many columns."""


def output(dim: int) -> str:
    return f"embedding_{dim}"


def length(dims: tuple[int, ...]) -> str:
    """The output (n, 1) that says how far the features are from those of the diverse photographs' mean, measured in
    all directions of the projection before the embedding is scaled to unit length."""
    return f"{output(max(dims))}.length"


def build(
    weights: Mapping[str, np.ndarray],
    *,
    activations: Mapping[str, Activation] | None = None,
    projection: Projection | None = None,
) -> tuple[onnx.ModelProto, list[str]]:
    """The model, and the names of its activations.

    Input `image` uint8 (n, h, w, 3) RGB; output `features` float32 (n, 2064): `POOLED`, side by side. With `projection`
    the outputs are `embedding_<dim>` instead, float32 (n, dim) of unit length: the features minus the mean, in the
    first `dim` directions of the projection; and `length`. With `activations` int8, else float.
    """
    writer = Writer(activations)
    layers: dict[str, str] = {}
    abreast = 1 if activations is None else ABREAST
    x = _pixels(writer, abreast=abreast)
    # (x − 127.5)/127.5 is scale 1/127.5, zero point 128 and this half step, which the first bias takes in
    x = _layer(
        writer, x, "stem", weights, "_conv_stem", "_bn0", stride=2, relu6=True, offset=0.5 / 127.5, abreast=abreast
    )
    width = weights["_bn0.weight"].size
    for index, stride in enumerate(STRIDES):
        entry, entry_width, block, name = x, width, f"_blocks.{index}", f"b{index}"
        if index > 0:  # the first block has nothing to expand
            x = _layer(writer, x, f"{name}.expand", weights, f"{block}._expand_conv", f"{block}._bn0", relu6=True)
        depthwise = f"{block}._depthwise_conv"
        x = _layer(writer, x, f"{name}.depthwise", weights, depthwise, f"{block}._bn1", stride=stride, relu6=True)
        x = layers[f"{name}.project"] = _layer(
            writer, x, f"{name}.project", weights, f"{block}._project_conv", f"{block}._bn2"
        )
        width = weights[f"{block}._bn2.weight"].size
        if stride == 1 and width == entry_width:
            x = writer.activation(writer.node("Add", [x, entry], f"{name}.sum"), f"{name}.add")
            layers[f"{name}.add"] = x
    layers["head"] = _layer(writer, x, "head", weights, "_conv_head", "_bn1", relu6=True)
    outputs = _embedding(writer, layers, projection)
    graph = helper.make_graph(
        writer.nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", dim]) for name, dim in outputs.items()],
        list(writer.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fastdup_db")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model, writer.marked


def _pixels(writer: Writer, *, abreast: int) -> str:
    """From the uint8 image to `pixels` (n, 3 · abreast, h, w/abreast), (x − 128)/127.5."""
    pair = [writer.constant("pixel.scale", np.float32(1 / 127.5)), writer.constant("pixel.zero", np.uint8(128))]
    image = INPUT
    if abreast > 1:
        shape = writer.constant("places.shape", np.array([0, 0, -1, 3 * abreast]))
        image = writer.node("Reshape", [INPUT, shape], "places")
    writer.node("Transpose", [image], "planes", perm=[0, 3, 1, 2])
    return writer.node("DequantizeLinear", ["planes", *pair], PIXELS)


def _layer(
    writer: Writer,
    x: str,
    name: str,
    weights: Mapping[str, np.ndarray],
    convolution: str,
    norm: str,
    *,
    stride: int = 1,
    relu6: bool = False,
    offset: float = 0.0,
    abreast: int = 1,
) -> str:
    """A convolution with the batch normalisation behind it folded in, of an input that is `offset` too small."""
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"].astype(np.float64) + BATCH_NORM_EPSILON)
    weight = weights[f"{convolution}.weight"] * gain[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain + offset * weight.sum(axis=(1, 2, 3))
    return writer.convolution(
        x, name, weight.astype(np.float32), bias.astype(np.float32), stride=stride, relu6=relu6, abreast=abreast
    )


def _embedding(writer: Writer, layers: Mapping[str, str], projection: Projection | None) -> dict[str, int]:
    """From the pooled layers to the outputs: name → width."""
    parts = []
    for pool in POOLED:
        name = f"{pool.layer}.{pool.operator}.pooled"
        x = writer.node(pool.operator, [layers[pool.layer]], name, axes=[2, 3], keepdims=0)
        if pool.root:
            x = writer.node("Sqrt", [x], f"{name}.root")
        writer.unit(x, f"{name}.unit")
        weight = writer.constant(f"{name}.weight", np.float32(pool.weight))
        parts.append(writer.node("Mul", [f"{name}.unit", weight], f"{name}.weighted"))
    writer.node("Concat", parts, FEATURES, axis=1)
    if projection is None:
        return {FEATURES: sum(pool.width for pool in POOLED)}
    half = projection.rotation.astype(np.float16)  # on disk; onnxruntime folds the cast when it loads
    writer.node("Cast", [writer.constant("rotation.half", half)], "rotation", to=TensorProto.FLOAT)
    shift = -(projection.mean.astype(np.float64) @ half.astype(np.float64))
    writer.node("MatMul", [FEATURES, "rotation"], "rotated")
    writer.node("Add", ["rotated", writer.constant("shift", shift.astype(np.float32))], "centred")
    start, axis = writer.constant("start", np.array([0])), writer.constant("axis", np.array([1]))
    for dim in projection.dims:
        stop = writer.constant(f"stop_{dim}", np.array([dim]))
        writer.node("Slice", ["centred", start, stop, axis], f"first_{dim}")
        writer.unit(f"first_{dim}", output(dim))
    return {output(dim): dim for dim in projection.dims} | {length(projection.dims): 1}
