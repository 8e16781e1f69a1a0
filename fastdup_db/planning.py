"""What a collection will take on given machines, from constants measured at sizes that fit on a desk.

Every constant says where it was measured; `tests/benchmarks/test_plan.py` measures two sizes again and compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastdup_db.errors import BadArgument


@dataclass(frozen=True, slots=True)
class Constants:
    """Measured on 2 x86-64 cores with AVX-512. cpu: processor seconds of one core, which others on the machine stretch
    less than seconds on the clock.

    image_cpu: read, decode, statistics and embedding of one photograph of about 500 x 375 pixels from a local disk with
        the default model. start_cpu: of each core, what it takes to load the libraries and the model of its worker.
        Fitted to runs of 1,000 and 4,000 images by one worker of two threads of Ray: 8.9 and 27.3 s; four runs of
        5,000 took 32.7 to 34.5 s (planned: 33.3).
    assign_cpu: one multiplication and addition where lists are chosen or trained; join_cpu: one where neighbours are
        found in the product; column_cpu: each number of a vector that is read, prepared, written for another worker
        and read there; driver_cpu: each number that the driver surveys and prepares. From joins of 100,000 x 576
        vectors (632 lists, 1 joined: driver 4.1 s, tasks 4.5 s) and 300,000 x 576 (1,094 lists, 3 joined: 12.1, 23.9);
        within 5 % of later ones of 150,000 and 200,000.
    row_bytes, edge_bytes: DuckDB's rows of one image and one edge, counted from their columns before compression.
    vector_bytes, neighbor_bytes: the driver's memory, counted from its arrays: id 8, fingerprint 16, its order 8, group
        16; of each neighbour id and score, twice while they are expanded.
    worker_bytes: the largest worker that joined 1,000,000 vectors (tests/benchmarks/test_ray_speed.py); one that reads
        images is smaller.
    start_seconds: connecting and starting workers.
    """

    image_cpu: float = 6.1e-3
    start_cpu: float = 1.4
    assign_cpu: float = 2.7e-11
    join_cpu: float = 9.0e-11
    column_cpu: float = 1.9e-8
    driver_cpu: float = 2.5e-8
    row_bytes: float = 320.0
    edge_bytes: float = 28.0
    vector_bytes: float = 48.0
    neighbor_bytes: float = 24.0
    worker_bytes: float = 0.7e9
    start_seconds: float = 12.0


MEASURED = Constants()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect: seconds, CPU-hours, bytes."""

    images: int
    cores: int
    ingest_cpu: float
    join_cpu: float
    serial_cpu: float
    seconds: float
    storage_bytes: float
    shuffle_bytes: float
    driver_bytes: float
    worker_bytes: float

    @property
    def cpu_hours(self) -> float:
        """Processor time over all machines."""
        return (self.ingest_cpu + self.join_cpu + self.serial_cpu) / 3600

    def lines(self) -> list[str]:
        """The estimate as text."""
        together = _hours(self.ingest_cpu + self.join_cpu + self.serial_cpu)
        return [
            f"{self.images:,} images on {self.cores:,} cores",
            f"time      {_duration(self.seconds)}, {together} CPU-hours "
            f"(images {_hours(self.ingest_cpu)}, neighbours {_hours(self.join_cpu)}, "
            f"driver alone {_hours(self.serial_cpu)})",
            f"storage   {_size(self.storage_bytes)} in the work_dir, {_size(self.shuffle_bytes)} more while joining",
            f"shuffle   {_size(self.shuffle_bytes)} written and read once per partition of the vectors",
            f"memory    {_size(self.worker_bytes)} per worker process, {_size(self.driver_bytes)} on the driver",
        ]


def estimate(
    images: float,
    *,
    workers: int = 1,
    cores_per_worker: int = 2,
    dimension: int = 576,
    k: int = 2,
    partitions: int = 3,
    probes: int = 2,
) -> Estimate:
    """The estimate for a number of images (1e9 is a number) on `workers` machines whose cores have nothing else to do.

    partitions, probes: how many independent partitions into lists, and lists of each joined per vector, reach a recall
    of 0.99; the run chooses them by measuring its own vectors (3 and 2 for the 1,000,000 of the benchmark).
    cores_per_worker: the driver has as many.
    """
    numbers = {"images": images, "workers": workers, "cores": cores_per_worker, "k": k, "dimension": dimension}
    numbers |= {"partitions": partitions, "probes": probes}
    for name, value in numbers.items():
        if not value >= 1 or not math.isfinite(value):
            raise BadArgument(f"{name}={value!r}; allowed: a number of at least 1")
    n, c, cores = int(images), MEASURED, workers * cores_per_worker
    lists = max(1, 2 * math.isqrt(n))
    # Lists are numbered by nearness, so about half of the others that a row looks into share a bin with its own.
    copies = 1 + (probes - 1) / 2
    products = n * (lists * c.assign_cpu + probes * n / lists * c.join_cpu)
    join_cpu = partitions * dimension * (products + n * (1 + copies) * c.column_cpu)
    # On the driver: exact neighbours of 1,000 rows, and k-means whose steps see 3.5 times 48 vectors a list.
    training = (1000 * n + partitions * 3.5 * 48 * lists * lists) * c.assign_cpu
    serial_cpu = dimension * (training + n * c.driver_cpu)
    ingest_cpu = n * c.image_cpu + cores * c.start_cpu
    seconds = (ingest_cpu + join_cpu) / cores + serial_cpu / cores_per_worker
    shuffle = n * copies * (4 * dimension + 8 + 4 * probes)
    return Estimate(
        images=n,
        cores=cores,
        ingest_cpu=ingest_cpu,
        join_cpu=join_cpu,
        serial_cpu=serial_cpu,
        seconds=seconds + c.start_seconds,
        storage_bytes=n * (2 * 4 * dimension + c.row_bytes + k * c.edge_bytes),
        shuffle_bytes=shuffle,
        driver_bytes=n * (c.vector_bytes + 4 * probes + k * c.neighbor_bytes) + min(4 << 30, n * 4 * dimension),
        worker_bytes=c.worker_bytes,
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.0f}" if seconds >= 360_000 else f"{seconds / 3600:.2f}"


def _duration(seconds: float) -> str:
    for name, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.0f} seconds"


def _size(count: float) -> str:
    for name, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {name}"
    return f"{count / 1e3:.0f} KB"
