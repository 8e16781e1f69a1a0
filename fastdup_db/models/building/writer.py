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

    def activation(self, x: str, name: str) -> str:
        """`x` under the name `name`, rounded to uint8 and back when int8."""
        self.marked.append(name)
        if self.activations is None:
            return self.node("Identity", [x], name)
        found = self.activations[name]
        pair = [self.constant(f"{name}.scale", found.scale), self.constant(f"{name}.zero", found.zero)]
        self.node("QuantizeLinear", [x, *pair], f"{name}.u8")
        return self.node("DequantizeLinear", [f"{name}.u8", *pair], name)

    def convolution(
        self, x: str, name: str, weight: np.ndarray, bias: np.ndarray, *, stride: int = 1, relu6: bool = False
    ) -> str:
        """Convolution of the activation `x` with TensorFlow "SAME" padding for sides that are multiples of the stride.

        `weight` (out, in, k, k); one input channel and k > 1 mean depthwise.
        """
        size = weight.shape[2]
        before, after = (size - stride) // 2, (size - stride + 1) // 2
        if self.activations is None:
            parameters = [self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)]
        else:
            parameters = self._int8_parameters(name, weight, bias, self.activations[x])
        y = self.node(
            "Conv",
            [x, *parameters],
            f"{name}.conv",
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if weight.shape[1] == 1 and size > 1 else 1,
        )
        if relu6 and self.activations is None:
            bounds = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]
            y = self.node("Clip", [y, *bounds], f"{name}.clip")
        return self.activation(y, name)

    def _int8_parameters(self, name: str, weight: np.ndarray, bias: np.ndarray, source: Activation) -> list[str]:
        step = np.abs(weight).max(axis=(1, 2, 3)) / WEIGHT_LIMIT
        # a channel of almost no weight must still leave its bias room in 32 bits
        step = np.maximum(step, np.abs(bias) / (source.scale * 2**30)).clip(min=1e-12).astype(np.float32)
        whole = np.rint(weight / step[:, None, None, None])
        error = (weight - whole * step[:, None, None, None]).sum(axis=(2, 3), dtype=np.float64)
        corrected = bias + (error * (source.mean[:, None] if weight.shape[1] == 1 else source.mean)).sum(axis=1)
        bias_step = (step * source.scale).astype(np.float32)
        inputs = []
        for part, integers, scale in (
            ("w", whole.astype(np.int8), step),
            ("b", np.rint(corrected / bias_step).astype(np.int32), bias_step),
        ):
            stored = [
                self.constant(f"{name}.{part}.int", integers),
                self.constant(f"{name}.{part}.scale", scale),
                self.constant(f"{name}.{part}.zero", np.zeros(len(scale), integers.dtype)),
            ]
            inputs.append(self.node("DequantizeLinear", stored, f"{name}.{part}", axis=0))
        return inputs

    def unit(self, x: str, name: str) -> str:
        """`x` (n, d) scaled to unit length as `name`; a zero vector stays zero."""
        self.node("ReduceL2", [x], f"{name}.length", axes=[1], keepdims=1)
        self.node("Max", [f"{name}.length", self.constant("tiny", np.float32(1e-12))], f"{name}.divisor")
        return self.node("Div", [x, f"{name}.divisor"], name)
