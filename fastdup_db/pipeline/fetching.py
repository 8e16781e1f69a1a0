"""Copying from a bucket first: images are fetched before the listing, and deleted after the run if asked for.

Copies lie in `<work_dir>/copied/<bucket>-<digest of the input's name>`, one folder an input, under the keys they have
below it. A fresh run keeps that folder, so that the next copying fetches only what is new or changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from fastdup_db.config import RunConfig
from fastdup_db.errors import BadArgument
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.progress import progress_bar
from fastdup_db.sources import kinds

COPIED = "copied"


def check(config: RunConfig, input_dir: str | Sequence[str] | None, *, reads_images: bool) -> None:
    """Raises `BadArgument` where copying first, or deleting the copies, makes no sense."""
    if config.engine == "ray" and (config.s3_endpoint_url or config.s3_region or config.s3_anonymous):
        raise BadArgument("s3_… reach this process only; with engine='ray' set AWS_ENDPOINT_URL, … on all machines")
    names = _names(input_dir)
    remote = [name for name in names if kinds.is_remote(name)]
    if config.sync_s3_to_local:
        if not reads_images:
            raise BadArgument("sync_s3_to_local copies images, and this run reads none: leave it out")
        if not remote:
            raise BadArgument("sync_s3_to_local needs an input_dir of the form s3://bucket/prefix or minio://…")
        listed = next((name for name in remote if kinds.kind_of(name) in (kinds.LIST, kinds.YAML)), None)
        if listed is not None:
            raise BadArgument(f"sync_s3_to_local copies prefixes and single objects, not what the list {listed} names")
    for name in ("delete_img", "delete_tar"):
        if getattr(config, name) and not remote:
            raise BadArgument(f"{name} deletes what was copied from a bucket; files of your own are never deleted")


@contextmanager
def server(
    *, s3_endpoint_url: str | None = None, s3_region: str | None = None, s3_anonymous: bool = False
) -> Iterator[None]:
    """Reach `s3://` by these settings during a block, in all threads of this process."""
    if not (s3_endpoint_url or s3_region or s3_anonymous):
        yield
        return
    from fastdup_db.sources import bucket

    with bucket.reached(bucket.Settings(s3_endpoint_url, s3_region, s3_anonymous)):
        yield


def server_of(config: RunConfig) -> AbstractContextManager[None]:
    """`server` as a run's settings say."""
    return server(s3_endpoint_url=config.s3_endpoint_url, s3_region=config.s3_region, s3_anonymous=config.s3_anonymous)


def fetch(request: RunRequest) -> RunRequest:
    """Copies the bucket parts of the input, only what is new or changed, and lists the copies instead.

    Names under an input, in the annotations and in the subset, are those of the copies from here on.
    Raises `BadInput`, `RemoteError`; what is copied by then is not copied again.
    """
    if not request.config.sync_s3_to_local:
        return request
    from fastdup_db.sources import copies

    names = _names(request.input_dir)
    places = {name: folder(request.work_dir, name) for name in names if kinds.is_remote(name)}
    with progress_bar(shown=request.config.progress, unit="file", desc="copying") as bar:
        for name, place in places.items():
            copies.sync_s3_to_local(name, folder=place, prune=True, progress=bar.update)
    read = [str(places.get(name, name)) for name in names]
    rename = _renaming(places)
    frame = request.annotations
    return replace(
        request,
        read_from=read[0] if isinstance(request.input_dir, str) else read,
        annotations=None if frame is None else frame.assign(filename=[rename(n) for n in frame["filename"]]),
        subset=None if request.subset is None else [rename(name) for name in request.subset],
        bases=(*map(str, places.values()), *request.bases),
    )


def delete(request: RunRequest) -> None:
    """After the run: deletes the copies of the kinds asked for. Their thumbnails cannot be made any more then."""
    config = request.config
    wanted = {kinds.IMAGE} if config.delete_img else set()
    wanted |= {kinds.ARCHIVE} if config.delete_tar else set()
    if not config.sync_s3_to_local or not wanted:
        return
    from fastdup_db.sources import copies

    for name in filter(kinds.is_remote, _names(request.input_dir)):
        copies.delete_copied(folder(request.work_dir, name) / copies.MANIFEST, kinds=wanted)


def folder(work_dir: Path, uri: str) -> Path:
    """Where the copies of an input lie; another input of the same bucket has a folder of its own."""
    from fastdup_db.sources import bucket

    digest = hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:8]
    return work_dir / COPIED / f"{bucket.parse(uri).bucket}-{digest}"


def _renaming(places: dict[str, Path]) -> Callable[[str], str]:
    """From a name in the bucket to that of its copy; other names stay as they are."""
    from fastdup_db.sources import copies
    from fastdup_db.sources.local_names import local_name

    roots, others = {}, {}
    for uri, place in places.items():
        single = place / local_name(uri.rpartition("/")[2])
        roots[uri.rstrip("/")] = single if single.is_file() else place
        paths = copies.renamed(place / copies.MANIFEST, prefix=uri.rstrip("/") + "/")
        others.update({name: str(place / path) for name, path in paths.items()})

    def renamed(name: str) -> str:
        if name in others:
            return others[name]
        for prefix, root in roots.items():
            if name == prefix:
                return str(root)
            if name.startswith(prefix + "/"):
                return str(root / local_name(name.removeprefix(prefix + "/")))
        return name

    return renamed


def _names(input_dir: str | Sequence[str] | None) -> list[str]:
    return [input_dir] if isinstance(input_dir, str) else list(input_dir or ())
