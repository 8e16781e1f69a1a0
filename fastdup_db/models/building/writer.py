"""Writes convolutional ONNX graphs node by node, in float or in int8.

int8 is ONNX `QuantizeLinear`/`DequantizeLinear` around each operator, which onnxruntime fuses into integer kernels:
- weights: signed, symmetric, one scale per output channel, within ±64. With 7 bits no pair of products overflows
  the 16-bit sums of x86 machines without VNNI, so every machine computes the same integers.
- activations: uint8, one scale and zero point per tensor. After ReLU6 the rounding's saturation does the clipping.
- bias: int32, corrected for the mean error that rounding the weights makes (Nagel et al. 2019, arXiv:1906.04721, 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHT_LIMIT = 64


class Activation(NamedTuple):
    """What calibration found out about one activation of the float network."""

    low: float
    high: float
    mean: np.ndarray
    """Per channel."""

    @property
    def scale(self) -> np.float32:
        """Real value of one step of uint8."""
        return np.float32((max(self.high, 0.0) - min(self.low, 0.0)) / 255)

    @property
    def zero(self) -> np.uint8:
        """The step that is real 0: exact, because padding is 0."""
        return np.uint8(round(-min(self.low, 0.0) / float(self.scale)))


@dataclass
class Writer:
    """Collects nodes and constants; emits int8 where `activations` says how to scale, else float."""

    activations: Mapping[str, Activation] | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    marked: list[str] = field(default_factory=list)
    """Names of all activations, in the order of execution."""

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def activation(self, x: str, name: str, *, abreast: int = 1) -> str:
        """`x` under the name `name`, rounded to uint8 and back when int8.

        abreast: so many neighbours of a row lie side by side in the channels of the int8 `x`; here they are put apart.
        """
        self.marked.append(name)
        if self.activations is None:
            return self.node("Identity", [x], name)
        found = self.activations[name]
        pair = [self.constant(f"{name}.scale", found.scale), self.constant(f"{name}.zero", found.zero)]
        x = self.node("QuantizeLinear", [x, *pair], f"{name}.u8")
        if abreast > 1:
            # bytes in the order that onnxruntime computes them in: none is moved
            shape = self.constant(f"{name}.shape", np.array([0, 0, -1, len(found.mean)]))
            x = self.node("Transpose", [x], f"{name}.places", perm=[0, 2, 3, 1])
            x = self.node("Reshape", [x, shape], f"{name}.apart")
            x = self.node("Transpose", [x], f"{name}.planes", perm=[0, 3, 1, 2])
        return self.node("DequantizeLinear", [x, *pair], name)

    def convolution(
        self,
        x: str,
        name: str,
        weight: np.ndarray,
        bias: np.ndarray,
        *,
        stride: int = 1,
        relu6: bool = False,
        abreast: int = 1,
    ) -> str:
        """Convolution of the activation `x` with TensorFlow "SAME" padding for sides that are multiples of the stride.

        `weight` (out, in, k, k); one input channel and k > 1 mean depthwise. abreast: so many neighbours of a row are
        one place of the int8 `x`, side by side in its channels; see `side_by_side`.
        """
        size = weight.shape[2]
        before, after = (size - stride) // 2, (size - stride + 1) // 2
        geometry: dict[str, Any] = {
            "kernel_shape": [size, size], "strides": [stride, stride], "pads": [before, before, after, after],
            "group": weight.shape[0] if weight.shape[1] == 1 and size > 1 else 1,
        }  # fmt: skip
        if self.activations is None:
            parameters = [self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)]
        else:
            parameters = self._int8_parameters(name, weight, bias, self.activations[x], stride=stride, abreast=abreast)
        if abreast > 1:
            geometry |= {"kernel_shape": [size, 2], "strides": [stride, 1], "pads": [before, 0, after, 1]}
        y = self.node("Conv", [x, *parameters], f"{name}.conv", **geometry)
        if relu6 and self.activations is None:
            bounds = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]
            y = self.node("Clip", [y, *bounds], f"{name}.clip")
        return self.activation(y, name, abreast=abreast // stride)

    def _int8_parameters(
        self, name: str, weight: np.ndarray, bias: np.ndarray, source: Activation, *, stride: int, abreast: int
    ) -> list[str]:
        step = np.abs(weight).max(axis=(1, 2, 3)) / WEIGHT_LIMIT
        # a channel of almost no weight must still leave its bias room in 32 bits
        step = np.maximum(step, np.abs(bias) / (source.scale * 2**30)).clip(min=1e-12).astype(np.float32)
        whole = np.rint(weight / step[:, None, None, None])
        error = (weight - whole * step[:, None, None, None]).sum(axis=(2, 3), dtype=np.float64)
        corrected = bias + (error * (source.mean[:, None] if weight.shape[1] == 1 else source.mean)).sum(axis=1)
        bias_step = (step * source.scale).astype(np.float32)
        integers = whole.astype(np.int8)
        biases = np.rint(corrected / bias_step).astype(np.int32)
        if abreast > 1:
            integers = side_by_side(integers, stride=stride, abreast=abreast)
            step, biases, bias_step = (np.tile(v, abreast // stride) for v in (step, biases, bias_step))
        inputs = []
        for part, values, scale in (("w", integers, step), ("b", biases, bias_step)):
            stored = [
                self.constant(f"{name}.{part}.int", values),
                self.constant(f"{name}.{part}.scale", scale),
                self.constant(f"{name}.{part}.zero", np.zeros(len(scale), values.dtype)),
            ]
            inputs.append(self.node("DequantizeLinear", stored, f"{name}.{part}", axis=0))
        return inputs

    def unit(self, x: str, name: str) -> str:
        """`x` (n, d) scaled to unit length as `name`; a zero vector stays zero."""
        self.node("ReduceL2", [x], f"{name}.length", axes=[1], keepdims=1)
        self.node("Max", [f"{name}.length", self.constant("tiny", np.float32(1e-12))], f"{name}.divisor")
        return self.node("Div", [x, f"{name}.divisor"], name)


def side_by_side(weight: np.ndarray, *, stride: int, abreast: int) -> np.ndarray:
    """The weights (out, in, k, k) for an input whose row has `abreast` neighbours in the channels of one place.

    (out · abreast/stride, in · abreast, k, 2): one place holds so many outputs, and the last of them reaches into the
    next place. The sums are the same, but for products with 0, and take onnxruntime less time (`network.ABREAST`).
    """
    out, channels, size, _ = weight.shape
    each = abreast // stride
    if abreast % stride or size - stride not in (0, 1):
        raise ValueError(f"a kernel of {size} with stride {stride} does not fit {abreast} neighbours")
    spread = np.zeros((each, out, 2 * abreast, channels, size), weight.dtype)
    for position in range(each):
        first = position * stride
        spread[position, :, first : first + size] = weight.transpose(0, 3, 1, 2)
    places = spread.reshape(each * out, 2, abreast * channels, size)
    return np.ascontiguousarray(places.transpose(0, 2, 3, 1))
