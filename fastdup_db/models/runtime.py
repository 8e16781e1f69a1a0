"""onnxruntime sessions: which processors they use, and what a file that is no model is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastdup_db.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def execution_providers() -> list[str]:
    """The providers that the installed onnxruntime has, fastest first; the processor is always the last."""
    import onnxruntime as ort

    installed = set(ort.get_available_providers())
    return [p for p in PREFERRED if p in installed]


def open_session(
    model: Path | bytes, *, intra_op_threads: int = 1, providers: Sequence[str] | None = None
) -> ort.InferenceSession:
    """A session for an `.onnx` or `.ort` file, or its bytes.

    One thread per call by default: parallelism comes from calling it in many threads. `session.get_providers()` says
    what it runs on. Raises `ModelUnavailable` for a file that is absent or that onnxruntime refuses.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; the warnings are about graph optimisations nobody can act on
    name = "the model" if isinstance(model, bytes) else str(model)
    if isinstance(model, Path) and not model.is_file():
        raise ModelUnavailable(f"{model}: there is no such model file")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=list(providers or execution_providers()))
    except Exception as exc:  # onnxruntime raises a dozen classes that share no other base
        raise ModelUnavailable(f"{name}: onnxruntime cannot load it: {exc}") from exc
