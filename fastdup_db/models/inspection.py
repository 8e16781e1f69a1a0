"""A catalogue entry for a file that nobody described: from its graph, its metadata and what the user says."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db.errors import BadArgument, ModelUnavailable, one_of
from fastdup_db.models.catalog import ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort

FREE_SIDE = 224
"""Fed to graphs that take any size and do not say which: the size most image models were trained at."""

EMBEDDING_OUTPUTS = ("image_embeds", "pooler_output", "embedding", "embeddings", "last_hidden_state")
"""Output names that exporters give to the vector of an image, the best first."""

SUFFIXES = {"tensor(float)": "F32", "tensor(float16)": "F16", "tensor(uint8)": "U8"}
CHOICES = {"layout": ("NCHW", "NHWC"), "channels": ("RGB", "BGR"), "pooling": ("cls", "mean")}
LENGTHS = {"input_size": 2, "mean": 3, "std": 3}
METADATA = {
    "input_size": ("input_size", "imgsz", "image_size"),
    "mean": ("mean", "image_mean"),
    "std": ("std", "image_std"),
}


def model_input(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The checked `model_input` of a run: what to know about a user's model beyond its graph, all of it optional.

    input_size: (height, width) in pixels, or one number for both. mean, std: of R, G, B scaled to 0–1, the network gets
    (pixel / 255 − mean) / std; one number stands for all three. layout: 'NCHW' or 'NHWC'. channels: 'RGB' or 'BGR'.
    output: the name of the output to use. pooling: 'cls' or 'mean', for an output with a vector per token.

    Raises `BadArgument` for another key or a value of another form.
    """
    allowed = [*LENGTHS, *CHOICES, "output"]
    given = {name: value for name, value in arguments.items() if value is not None}
    for name, value in given.items():
        if name not in allowed:
            raise one_of("model_input key", name, allowed)
        if name in CHOICES and value not in CHOICES[name]:
            raise one_of(f"model_input {name}", value, CHOICES[name])
        if name in LENGTHS:
            given[name] = _numbers(name, value)
    if min(given.get("input_size", (1,))) < 1 or any(v % 1 for v in given.get("input_size", ())):
        raise BadArgument(f"model_input input_size={given['input_size']}: height and width in whole pixels")
    if 0 in given.get("std", ()):
        raise BadArgument(f"model_input std={given['std']}: 0 would divide by zero")
    return given


def describe(session: ort.InferenceSession, file: Path, *, given: Mapping[str, Any]) -> ModelSpec:
    """The entry of the model that `session` has loaded from `file`; `given` comes from `model_input`.

    Raises `ModelUnavailable` for a graph that does not take one batch of colour images, `BadArgument` where `given`
    contradicts the graph. The length of its vectors stays 0: the first run tells.
    """
    entry = _image_input(session, name=file.name)
    shape = entry.shape
    layout = given.get("layout") or ("NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW")
    channels, sides = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
    if isinstance(channels, int) and channels != 3:
        raise ModelUnavailable(f"{file}: read as {layout} its input {shape} has {channels} channels; images have 3")
    metadata = session.get_modelmeta().custom_metadata_map
    height, width = _size(sides, given.get("input_size"), metadata, name=file.name)
    facts = {name: given.get(name) or _from_metadata(metadata, name) for name in ("mean", "std")}
    facts |= {name: given.get(name) for name in ("channels", "pooling")}
    return ModelSpec(
        name=str(file),
        file=file,
        dim=0,
        height=height,
        width=width,
        layout=f"{layout}_{SUFFIXES[entry.type]}",  # type: ignore[arg-type]
        output=_output(session, given.get("output"), name=file.name),
        source=str(file),
        **{name: value for name, value in facts.items() if value is not None},  # type: ignore[arg-type]
    )


def _image_input(session: ort.InferenceSession, *, name: str) -> Any:
    """The one input of the graph, a batch of images."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelUnavailable(
            f"{name} needs {len(inputs)} inputs ({found}); give the image part alone, such as CLIP's vision_model.onnx"
        )
    (entry,) = inputs
    if len(entry.shape) != 4 or entry.type not in SUFFIXES:
        raise ModelUnavailable(
            f"{name}: its input is {entry.type} {entry.shape}; needed are images as (n, 3, h, w) or (n, h, w, 3)"
        )
    return entry


def _size(
    sides: list[Any], given: tuple[float, ...] | None, metadata: Mapping[str, str], *, name: str
) -> tuple[int, int]:
    """Height and width: the graph's where it fixes them, else the user's, the metadata's, the usual."""
    fixed = [s if isinstance(s, int) else None for s in sides]
    if given and any(f is not None and f != g for f, g in zip(fixed, given, strict=True)):
        raise BadArgument(f"model_input input_size={given}: {name} takes only (height, width) = {tuple(fixed)}")
    wanted = given or _from_metadata(metadata, "input_size") or (FREE_SIDE, FREE_SIDE)
    height, width = (f or int(w) for f, w in zip(fixed, wanted, strict=True))
    return height, width


def _output(session: ort.InferenceSession, given: str | None, *, name: str) -> str:
    names = [o.name for o in session.get_outputs()]
    if given is not None and given not in names:
        raise one_of(f"model_input output of {name}", given, names)
    return given or next((n for n in EMBEDDING_OUTPUTS if n in names), names[0])


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    values, length = np.asarray(value), LENGTHS[name]
    if values.dtype.kind not in "iuf" or values.shape not in ((), (length,)):
        raise BadArgument(f"model_input {name}={value!r}: a number or {length} numbers")
    return tuple(np.broadcast_to(values, (length,)).tolist())


def _from_metadata(metadata: Mapping[str, str], name: str) -> tuple[float, ...] | None:
    """`name` where the metadata holds it as a number or a list of them, else None."""
    for key in METADATA[name]:
        try:
            return _numbers(name, ast.literal_eval(metadata[key]))
        except (KeyError, ValueError, SyntaxError):  # BadArgument is a ValueError: metadata of another meaning
            continue
    return None
