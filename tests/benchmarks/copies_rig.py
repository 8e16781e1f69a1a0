"""What the fit and the benchmark of near-duplicates share: copies on disk, their vectors, keypoints and candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from fastdup_db.engines import features as engine
from fastdup_db.engines.task import Task
from fastdup_db.graph import adapt, knn
from fastdup_db.graph.rows import Arrays
from fastdup_db.imaging import keypoints as kp
from fastdup_db.imaging.crops import NO_MARGIN
from fastdup_db.imaging.resize import to_input
from fastdup_db.models.catalog import model
from fastdup_db.models.session import open_embedder
from fastdup_db.pipeline.verifying import LOWER, NEIGHBORS
from fastdup_db.sources.reference import Reference
from tests.benchmarks import edits, heavy_edits


def write(photographs: Sequence[Path], *, others: Sequence[Path], folder: Path, heavy: bool) -> list[edits.Copy]:
    """Every photograph, its edits and, with `heavy`, the heavy ones, as files. `others` are pasted over some."""
    written = edits.write_copies(photographs, folder=folder)
    if heavy:
        for group, source in enumerate(photographs):
            other = edits.read(others[group % len(others)])
            for edit, image in heavy_edits.heavy_copies(edits.read(source), other=other):
                path = folder / f"{group:05d}_{edit}.jpg"
                edits.save(image, path)
                written.append(edits.Copy(path, group, edit))
    return sorted(written)


def write_single(photographs: Sequence[Path], *, folder: Path) -> list[edits.Copy]:
    """Every photograph and one edit of it, the edits in turn: no two edits of one photograph, few true pairs."""
    written = []
    for group, source in enumerate(photographs):
        edit = list(edits.EDITS)[group % len(edits.EDITS)]
        image = edits.read(source)
        for name, version in ((edits.ORIGINAL, image), (edit, np.ascontiguousarray(edits.EDITS[edit](image)))):
            path = folder / f"{group:05d}_{name}.jpg"
            edits.save(version, path, edit=name)
            written.append(edits.Copy(path, group, name))
    return sorted(written)


def vectors(images: Iterable[np.ndarray]) -> np.ndarray:
    """The default model's embeddings of the images, adapted to them all: float32 (n, d) of unit length."""
    embedder = open_embedder("default")
    with ThreadPoolExecutor(2) as pool:
        inputs = _batches(to_input(i, size=embedder.input_size) for i in images)
        stored = np.concatenate(list(pool.map(embedder.embed, inputs)))
    moments = adapt.Moments(dim=embedder.dim)
    moments.add(stored)
    return adapt.fit(moments, generic_of_default()).apply(stored)


def generic_of_default() -> adapt.Generic:
    """Statistics of diverse photographs that come with the default model."""
    return adapt.Generic.load(Path(model("default").file).with_name("default.npz"))


def candidates(unit: np.ndarray, *, k: int = NEIGHBORS, lower: float = LOWER["all"]) -> tuple[np.ndarray, np.ndarray]:
    """int64 (p, 2) pairs, lower id first, and their cosines float32 (p,): what `verify` looks at."""
    graph = knn.neighbors(Arrays(np.arange(len(unit)), unit), k=k)
    rows, ranks = np.nonzero((graph.to_ids >= 0) & (graph.scores >= lower))
    pairs = np.sort(np.stack((graph.ids[rows], graph.to_ids[rows, ranks]), axis=1), axis=1)
    pairs = np.unique(pairs, axis=0)
    return pairs, np.einsum("ij,ij->i", unit[pairs[:, 0]], unit[pairs[:, 1]])


def hard_pairs(photographs: Sequence[Path]) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Pictures that share something and are no copies: bursts, the same frame, inset or window around others."""
    images: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    nothing = np.zeros((8, 8, 3), np.uint8)
    pictures = [edits.read(p) for p in photographs]
    inset = pictures[-1]
    for seed, background in enumerate(pictures):
        things = [pictures[(seed * 7 + step) % len(pictures)] for step in (1, 3, 5, 11)][: 2 + seed % 3]
        pairs.append((len(images), len(images) + 1))
        images += heavy_edits.shots(background, things=things, seed=seed)
    for make in (
        lambda image: heavy_edits.captioned(image, border=0.05),
        lambda image: heavy_edits.captioned(image, border=0.1),
        lambda image: heavy_edits.captioned(image, border=0.15),
        lambda image: heavy_edits.overlay(image, inset),
        lambda image: heavy_edits.screenshot(image, nothing),
        edits.text,
    ):
        start = len(images)
        images += [make(picture) for picture in pictures[:-1]]
        pairs += list(pairwise(range(start, len(images))))
    return images, pairs


def features(images: Iterable[np.ndarray]) -> list[kp.Keypoints]:
    """Keypoints of every image."""
    return [kp.extract(image) for image in images]


def features_of(paths: Sequence[Path]) -> list[kp.Keypoints]:
    """Keypoints of every file, read as `verify` reads it."""
    tasks = (Task(i, Reference(str(path.resolve()))) for i, path in enumerate(paths))
    tables = engine.run(tasks, margin=NO_MARGIN)
    return [kp.Keypoints.from_bytes(stored) for t in tables for stored in t.column("features").to_pylist()]


def _batches(inputs: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    while batch := list(islice(inputs, 16)):
        yield np.stack(batch)
