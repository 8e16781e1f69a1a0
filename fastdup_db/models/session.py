"""Embeddings of a batch of pictures, by a bundled model, one of the zoo, or the user's own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db.errors import BadArgument, ModelUnavailable, one_of
from fastdup_db.models.catalog import BUNDLED, ModelSpec
from fastdup_db.models.download import digest, fetch
from fastdup_db.models.inspection import describe, model_input
from fastdup_db.models.runtime import open_session, refusals

if TYPE_CHECKING:
    import onnxruntime as ort

SUFFIXES = (".onnx", ".ort")
DTYPES = {"U8": np.uint8, "F32": np.float32, "F16": np.float16}


class Embedder:
    """A loaded model. `embed` may be called from many threads at once: each call runs on the thread that makes it.

    One-thread calls from several Python threads beat one many-threaded call by 10–25 %, and with the bundled models a
    picture's embedding is the same to the last bit whatever batch and thread it comes in.

    A grey picture is embedded at once, so that a model that does not fit fails here and not in the middle of a run.
    """

    def __init__(self, spec: ModelSpec, *, session: ort.InferenceSession | None = None) -> None:
        self._session = session or _session(spec)
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        self._batch = entry.shape[0] if isinstance(entry.shape[0], int) else None
        outputs = [output.name for output in self._session.get_outputs()]
        self._output = spec.output or outputs[0]
        if self._output not in outputs:
            raise ModelUnavailable(f"{spec.file} has no output {self._output!r}; it has {', '.join(sorted(outputs))}")
        self._axes, _, kind = spec.layout.partition("_")
        self._dtype = DTYPES[kind]
        self._mean = np.array(spec.mean, np.float32) * 255
        self._gain = 1 / (np.array(spec.std, np.float32) * 255)
        self.spec = spec
        self.input_size = (spec.height, spec.width)
        self.dim = self.embed(np.full((1, *self.input_size, 3), 128, np.uint8)).shape[1]
        if spec.dim not in (0, self.dim):
            raise ModelUnavailable(f"{spec.file} gives vectors of {self.dim} numbers, not {spec.dim}")
        self.spec = replace(spec, dim=self.dim)

    @property
    def providers(self) -> tuple[str, ...]:
        """onnxruntime's execution providers in use, the preferred first."""
        return tuple(self._session.get_providers())

    def embed(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of uint8 (n, height, width, 3) RGB. 4 to 16 pictures a call are fastest."""
        return self.measured(batch)[0]

    def measured(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `embed` returns, and float32 (n,): the length of each picture's features (`ModelSpec.length`), NaN
        where the model has no such output."""
        if len(batch) == 0:
            return np.empty((0, self.dim), np.float32), np.empty(0, np.float32)
        if self._batch in (None, len(batch)):
            return self._run(batch)
        step = self._batch or len(batch)
        pieces = [batch[start : start + step] for start in range(0, len(batch), step)]
        missing = step - len(pieces[-1])  # the file takes no fewer: black pictures fill up
        pieces[-1] = np.concatenate([pieces[-1], np.zeros((missing, *batch.shape[1:]), np.uint8)])
        vectors, lengths = (np.concatenate(parts)[: len(batch)] for parts in zip(*map(self._run, pieces), strict=True))
        return vectors, lengths

    def _run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = [self._output, *([self.spec.length] if self.spec.length else [])]
        try:
            raw, *lengths = self._session.run(outputs, {self._input: self._prepared(batch)})
        except refusals() as exc:
            raise ModelUnavailable(
                f"{self.spec.file} refuses {len(batch)} pictures of {self.input_size[0]} × {self.input_size[1]}: {exc}"
            ) from exc
        unknown = np.full(len(batch), np.nan, np.float32)
        return self._pooled(np.asarray(raw)), np.asarray(lengths[0], np.float32).ravel() if lengths else unknown

    def _prepared(self, batch: np.ndarray) -> np.ndarray:
        if self.spec.channels == "BGR":
            batch = batch[..., ::-1]
        if self._dtype != np.uint8:
            batch = ((batch - self._mean) * self._gain).astype(self._dtype, copy=False)
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self._axes == "NCHW" else batch)

    def _pooled(self, raw: np.ndarray) -> np.ndarray:
        """float32 (n, dim) from (n, dim), (n, tokens, dim) or a feature map with the axes of the input."""
        if raw.ndim == 4:
            raw = raw.mean(axis=(2, 3) if self._axes == "NCHW" else (1, 2), dtype=np.float32)
        if raw.ndim == 3 and 1 in raw.shape[1:]:
            raw = raw.reshape(len(raw), -1)
        elif raw.ndim == 3:
            # the class token comes first in every vision transformer that exporters call last_hidden_state
            pooling = self.spec.pooling or ("cls" if self._output == "last_hidden_state" else None)
            if pooling is None:
                raise ModelUnavailable(
                    f"{self.spec.file}: output {self._output!r} has {raw.shape[1]} vectors of {raw.shape[2]} numbers "
                    "per picture; say model_input={'pooling': 'cls'} for the first or 'mean' for their average"
                )
            raw = raw[:, 0] if pooling == "cls" else raw.mean(axis=1, dtype=np.float32)
        if raw.ndim != 2:
            raise ModelUnavailable(
                f"{self.spec.file}: output {self._output!r} has shape {raw.shape}; one vector per picture is needed"
            )
        return np.ascontiguousarray(raw, np.float32)


def open_embedder(model: ModelSpec | str = "default", *, dim: int | None = None, **given: Any) -> Embedder:
    """The model of that catalogue entry, that name or that path to an `.onnx` or `.ort` file, ready to embed.

    dim: what the caller expects. given: how to feed a user's file, see `inspection.model_input`.

    A model of the zoo is downloaded when it is asked for the first time. Raises `BadArgument` for an unknown name, a
    `dim` that is not the model's or a `given` that contradicts it, `ModelUnavailable` for a file that is absent,
    changed or no model of pictures.
    """
    embedder = _opened(model, given)
    if dim is not None and dim != embedder.dim:
        raise BadArgument(
            f"d={dim}: {embedder.spec.name} gives vectors of {embedder.dim}; use d={embedder.dim} or leave it out"
        )
    return embedder


def _opened(model: ModelSpec | str, given: dict[str, Any]) -> Embedder:
    if isinstance(model, ModelSpec):
        return Embedder(model)
    if not isinstance(model, str | Path):
        raise BadArgument(f"model_path={model!r}; allowed: a name or a path")
    from fastdup_db.models.zoo import ALIASES, ZOO, zoo_model, zoo_names

    if model in BUNDLED or model in ZOO or model in ALIASES:
        if given:
            raise BadArgument(f"model_input is for model files; how {model!r} is fed is known")
        return Embedder(BUNDLED[model] if model in BUNDLED else zoo_model(model))
    if Path(model).suffix.lower() not in SUFFIXES:
        raise one_of("model_path", model, [*BUNDLED, *zoo_names(), "a path to an .onnx or .ort file"])
    given = model_input(given)
    session = open_session(Path(model))
    return Embedder(describe(session, Path(model), given=given), session=session)


def _session(spec: ModelSpec) -> ort.InferenceSession:
    """Bundled files are int8: those run on the processor, where they are exact and fastest."""
    if spec.remote is not None:
        return open_session(fetch(spec.remote))
    if not spec.file.is_file():
        raise ModelUnavailable(f"the weights of {spec.name!r} are absent: {spec.file}")
    if spec.sha256 and digest(spec.file) != spec.sha256:
        raise ModelUnavailable(f"{spec.file} is not the file that {spec.name!r} was published with (sha256 differs)")
    bundled = spec.name in BUNDLED
    return open_session(
        spec.file,
        providers=["CPUExecutionProvider"] if bundled else None,
        # known sides let onnxruntime plan memory once; free ones of this name are the bundled file's
        free_axes={"h": spec.height, "w": spec.width},
    )
