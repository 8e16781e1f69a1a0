"""Fits `fastdup_db.graph.verdict.COEFFICIENTS`: python -m tests.benchmarks.fit_verification [count]

True pairs: edited and heavily edited copies of `count` photographs of `bsds500` and `coco128`, which no benchmark of
verification uses. False pairs: candidates of other photographs, and `copies_rig.hard_pairs`, counted tenfold. Prints
the constants and what they do to the pairs they were fitted on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from fastdup_db.graph import verdict
from fastdup_db.graph.evidence import gather
from fastdup_db.graph.packing import pack
from fastdup_db.imaging import keypoints as kp
from tests.benchmarks import copies_rig, edits
from tests.conftest import data_folder

PENALTY = 1e-4
"""L2, on standardised columns."""

HARD_WEIGHT = 10.0
SEED = 20


def columns(features: list[kp.Keypoints], pairs: np.ndarray) -> np.ndarray:
    """float64 (p, 5), the columns of the score in the order of `COEFFICIENTS`."""
    rows = []
    for start in range(0, len(pairs), 32):
        ids, where = np.unique(pairs[start : start + 32], return_inverse=True)
        where = where.reshape(-1, 2)
        evidence = gather(pack([features[i] for i in ids]), where[:, 0], where[:, 1])
        given = verdict.columns(evidence)
        rows.append(np.stack([given[name] for name in verdict.COEFFICIENTS if name != "intercept"], axis=1))
    return np.concatenate(rows)


def fit(given: np.ndarray, true: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Intercept and coefficients of the weighted, penalised logistic regression."""
    mean, spread = given.mean(axis=0), given.std(axis=0)
    design = np.column_stack((np.ones(len(given)), (given - mean) / spread))

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = design @ beta
        each = np.logaddexp(0, np.where(true, -logit, logit))
        slope = design.T @ ((1 / (1 + np.exp(-logit)) - true) * weight) / weight.sum()
        slope[1:] += 2 * PENALTY * beta[1:]
        return float(each @ weight / weight.sum() + PENALTY * beta[1:] @ beta[1:]), slope

    beta = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 5000}).x
    return np.concatenate(([beta[0] - (beta[1:] * mean / spread).sum()], beta[1:] / spread))


def main(count: int) -> None:
    data = data_folder()
    assert data is not None, "real images are absent"
    every = sorted([*(data / "bsds500").glob("*.jpg"), *(data / "coco128").rglob("*.jpg")])
    chosen = edits.spread(every, count=count)
    others = [path for path in every if path not in set(chosen)][::5]
    random = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        written = copies_rig.write(chosen, others=others, folder=Path(folder), heavy=True)
        features = copies_rig.features(edits.read(c.path) for c in written)
        unit = copies_rig.vectors(edits.read(c.path) for c in written)
    groups = np.array([c.group for c in written])
    first, second = np.triu_indices(len(written), 1)
    same = groups[first] == groups[second]
    true = np.stack((first[same], second[same]), axis=1)
    true = true[np.sort(random.choice(len(true), min(len(true), 15_000), replace=False))]
    near, _ = copies_rig.candidates(unit, k=40, lower=0.05)
    near = near[groups[near[:, 0]] != groups[near[:, 1]]]
    near = near[np.sort(random.choice(len(near), min(len(near), 15_000), replace=False))]
    images, hard = copies_rig.hard_pairs(edits.spread(every, count=count // 2))
    parts = [columns(features, true), columns(features, near), columns(copies_rig.features(images), np.array(hard))]
    given = np.concatenate(parts)
    is_true = np.repeat([True, False, False], [len(p) for p in parts])
    weight = np.repeat([1.0, 1.0, HARD_WEIGHT], [len(p) for p in parts])
    beta = fit(given, is_true, weight)
    for name, value in zip(verdict.COEFFICIENTS, beta, strict=True):
        print(f'    "{name}": {value:.2f},')
    score = 1 / (1 + np.exp(-(beta[0] + given @ beta[1:])))
    counts = np.cumsum([len(p) for p in parts])[:-1]
    for line in (0.5, 0.75, 0.9):
        shares = [(s >= line).mean() for s in np.split(score, counts)]
        print(f"score >= {line}: true {shares[0]:.4f}, neighbours {shares[1]:.5f}, hard {shares[2]:.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
