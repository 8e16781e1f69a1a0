"""What checking near-duplicates adds to a run on an ordinary collection, `imagenet-sample` and `bsds500`; one command:

    python -m tests.benchmarks.verification_cost

Wanted: at most 30 % of the run's time, at most 3 ms of one core a pair.
"""

from __future__ import annotations

import tempfile
import time
from itertools import combinations

import numpy as np

import fastdup_db
from fastdup_db.graph.verify import verify_pairs
from fastdup_db.imaging import keypoints as kp
from tests.benchmarks import edits
from tests.conftest import data_folder

PAIRS_OF = 64
"""Photographs whose 2,016 pairs are checked for the time of one pair."""


def main() -> None:
    data = data_folder()
    if data is None:
        raise SystemExit("real images are absent (set FASTDUP_DB_DATA)")
    with tempfile.TemporaryDirectory() as work_dir:
        fd = fastdup_db.create(work_dir=work_dir, input_dir=[str(data / "imagenet-sample"), str(data / "bsds500")])
        started = time.perf_counter(), time.process_time()
        fd.run(progress=False)
        ran = time.perf_counter(), time.process_time()
        found = fd.verify("auto", progress=False)
        checked = time.perf_counter(), time.process_time()
        counts = fd.sql("select (select count(*) from candidates) as pairs, (select count(*) from keypoints) as images")
    run, check = (np.subtract(b, a) for a, b in ((started, ran), (ran, checked)))
    pairs, images = (int(v) for v in counts.iloc[0])
    print(f"run {run[0]:.2f} s ({run[1]:.2f} of CPU), verify {check[0]:.2f} s ({check[1]:.2f})")
    print(f"{pairs} candidates, {images} images read, {len(found)} found")
    features = [kp.extract(edits.read(path)) for path in sorted((data / "bsds500").glob("*.jpg"))[:PAIRS_OF]]
    every = np.array(list(combinations(range(PAIRS_OF), 2)))
    cpu = time.process_time()
    verify_pairs(every, lambda ids: [features[i] for i in ids], threads=1)
    milliseconds = 1000 * (time.process_time() - cpu) / len(every)
    wall, cpu = check / run
    print(f"RATIO verification adds {wall:.2f} of the run's time, {cpu:.2f} of its CPU; wanted 0.30")
    print(f"RATIO {milliseconds:.2f} ms of one core a pair, wanted 3")


if __name__ == "__main__":
    main()
