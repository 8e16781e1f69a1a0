"""onnxruntime sessions: which processors they use, and what a file that is no model is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastdup_db.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime as ort

PREFERRED = (
    "CUDAExecutionProvider",
    "ROCMExecutionProvider",
    "CoreMLExecutionProvider",
    "DmlExecutionProvider",
    "OpenVINOExecutionProvider",
    "CPUExecutionProvider",
)
"""Fastest first. TensorRT is left out: it compiles for minutes at every first start, so it has to be asked for."""
_GPU = ("CUDAExecutionProvider", "ROCMExecutionProvider")
GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Empty or -1: this process was given no GPU, whatever the machine has. Ray sets it for its workers."""


def execution_providers() -> list[str]:
    """The providers of the installed onnxruntime that this process may use, fastest first; the processor is last."""
    import onnxruntime as ort

    installed = set(ort.get_available_providers())
    if os.environ.get(GPUS_VARIABLE) in ("", "-1"):
        installed -= set(_GPU)
    return [p for p in PREFERRED if p in installed]


def open_session(
    model: Path, *, providers: Sequence[str] | None = None, free_axes: Mapping[str, int] | None = None
) -> ort.InferenceSession:
    """A session for an `.onnx` or `.ort` file.

    One thread per call: parallelism comes from calling it in many threads. `free_axes` fixes symbolic axes by their
    names; `session.get_providers()` says what it runs on. Raises `ModelUnavailable` for a file that is absent or that
    onnxruntime refuses.
    """
    import onnxruntime as ort

    ort.disable_telemetry_events()  # where somebody else has loaded it before `fastdup_db` could say so
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; the warnings are about graph optimisations nobody can act on
    for name, size in (free_axes or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    if not model.is_file():
        raise ModelUnavailable(f"{model}: there is no such model file")
    try:
        return ort.InferenceSession(str(model), options, providers=list(providers or execution_providers()))
    except refusals() as exc:
        raise ModelUnavailable(f"{model}: onnxruntime cannot load it: {exc}") from exc


def refusals() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a model or an input that it cannot use; the classes share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(c for c in vars(state).values() if isinstance(c, type) and issubclass(c, Exception))
