"""Embeddings of a batch of pictures."""

from __future__ import annotations

import hashlib

import numpy as np
import onnxruntime

from fastdup_db.errors import ModelUnavailable
from fastdup_db.models.catalog import ModelSpec, model


class Embedder:
    """A loaded model. `embed` may be called from many threads at once: each call runs on the thread that makes it.

    One-thread calls from several Python threads beat one many-threaded call by 10–25 %, and a picture's embedding is
    the same to the last bit whatever batch and thread it comes in.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.dim = spec.dim
        self.input_size = (spec.height, spec.width)
        self._session = _session(spec)
        self._input = self._session.get_inputs()[0].name
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        self._output = spec.output or next(iter(outputs))
        if self._output not in outputs:
            raise ModelUnavailable(f"{spec.file} has no output {self._output!r}; it has {', '.join(sorted(outputs))}")
        width = outputs[self._output][-1]
        if isinstance(width, int) and width != spec.dim:
            raise ModelUnavailable(f"{spec.file} gives vectors of {width} numbers, not {spec.dim}")
        self._mean = np.array(spec.mean, np.float32) * 255
        self._gain = 1 / (np.array(spec.std, np.float32) * 255)

    def embed(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of uint8 (n, height, width, 3) RGB. 4 to 16 pictures a call are fastest."""
        (vectors,) = self._session.run([self._output], {self._input: self._prepared(batch)})
        return np.asarray(vectors, np.float32).reshape(len(batch), self.dim)

    def _prepared(self, batch: np.ndarray) -> np.ndarray:
        if self.spec.channels == "BGR":
            batch = batch[..., ::-1]
        if self.spec.layout == "NHWC_U8":
            return np.ascontiguousarray(batch)
        pixels = (batch - self._mean) * self._gain
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if self.spec.layout == "NCHW_F32" else pixels


def open_embedder(spec: ModelSpec | str = "default") -> Embedder:
    """The model of that catalogue entry or name, ready to embed.

    Raises BadArgument for an unknown name, ModelUnavailable for a file that is absent, changed or of another shape.
    """
    return Embedder(model(spec) if isinstance(spec, str) else spec)


def _session(spec: ModelSpec) -> onnxruntime.InferenceSession:
    if not spec.file.is_file():
        raise ModelUnavailable(f"the weights of {spec.name!r} are absent: {spec.file}")
    if spec.sha256 and hashlib.sha256(spec.file.read_bytes()).hexdigest() != spec.sha256:
        raise ModelUnavailable(f"{spec.file} is not the file that {spec.name!r} was published with (sha256 differs)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # known sides let onnxruntime plan memory once; free ones of this name are the bundled file's
    options.add_free_dimension_override_by_name("h", spec.height)
    options.add_free_dimension_override_by_name("w", spec.width)
    try:
        return onnxruntime.InferenceSession(str(spec.file), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime raises many classes; all of them mean the same here
        raise ModelUnavailable(f"{spec.file} cannot be loaded as an ONNX model: {exc}") from exc
