"""Turns any form of `input_dir` into a stream of references in a fixed order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice, tee
from typing import Any

from fastdup_db import errors
from fastdup_db.errors import BadInput
from fastdup_db.sources import files, kinds, listfile
from fastdup_db.sources.folder import WALKED, walk
from fastdup_db.sources.layout import label_and_split
from fastdup_db.sources.options import ListingOptions
from fastdup_db.sources.reference import Reference
from fastdup_db.spelling import Spelling, real
from fastdup_db.threads import mapped

InputDir = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

ALLOWED = (
    "a folder, a list of files and folders, a text or csv list file, one image, an archive "
    "(tar, tar.gz, tgz, zip), a video, a YOLO yaml, s3://bucket/prefix or minio://alias/bucket/prefix"
)


IO_THREADS = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that may become references; nothing has been opened yet.

    kind: one of `kinds`, or empty for a folder that cannot be read. root: what class folders are counted from.
    """

    path: str
    kind: str
    root: str = ""
    split: str = ""
    known: Reference | None = None


def listing(input_dir: InputDir, *, options: ListingOptions | None = None) -> Iterator[Reference]:
    """Streams the references of an input, deterministically: folders by full path, lists in their own order.

    What cannot be read is a reference with an `error_code`. Nothing of an image is read here: plain files cost a
    `stat`, archives the walk over their headers, videos the walk over their packets.

    Raises `BadInput`: the input does not exist, is of no allowed form, or mixes plain images with archives or videos
    (unless `tar_only`). An input in which nothing is found yields nothing; see `checks.check_input`.
    """
    options = options or ListingOptions()
    references = _expanded(guarded(candidates(input_dir, options=options), options=options), options=options)
    return selected(references, options=options)


def selected(references: Iterator[Reference], *, options: ListingOptions) -> Iterator[Reference]:
    """Those that the options select by name, size and position."""
    if options.find_regex:
        pattern = re.compile(options.find_regex)
        references = (r for r in references if pattern.search(r.filename))
    if options.min_file_size:
        references = (r for r in references if r.file_size < 0 or r.file_size >= options.min_file_size)
    if options.min_offset or options.max_offset is not None:
        references = islice(references, options.min_offset, options.max_offset)
    return islice(references, options.num_images) if options.num_images else references


def candidates(input_dir: InputDir, *, options: ListingOptions) -> Iterator[Candidate]:
    """Names only, in listing order. Raises `BadInput` at once when the input is of no allowed form."""
    names = names_of(input_dir)
    if isinstance(names, str):
        return _of_one(names, options=options)
    if not names:
        raise BadInput(f"input_dir is an empty list; give {ALLOWED}")
    return _of_list((n if kinds.is_remote(n) else os.path.abspath(n) for n in names), options=options)


def names_of(input_dir: Any) -> str | list[str]:
    """The path of an input, or the paths of a list, as they were given. Raises `BadInput` for any other type."""
    input_dir = plain(input_dir)
    if isinstance(input_dir, str | os.PathLike):
        return os.fspath(input_dir)
    if not isinstance(input_dir, Sequence) or isinstance(input_dir, bytes | bytearray):
        raise BadInput(f"input_dir of type {type(input_dir).__name__} is not allowed; give {ALLOWED}")
    wrong = next((item for item in input_dir if not isinstance(item, str | os.PathLike)), None)
    if wrong is not None:
        raise BadInput(f"input_dir holds {wrong!r}; a list may hold paths of files and folders only")
    return [os.fspath(item) for item in input_dir]


def plain(input_dir: Any) -> Any:
    """A column of a frame or an array as the list of its values; anything else as it is."""
    return input_dir.tolist() if hasattr(input_dir, "tolist") else input_dir


def _of_one(name: str, *, options: ListingOptions) -> Iterator[Candidate]:
    if not name.strip():
        raise BadInput(f"input_dir is empty; give {ALLOWED}")
    if kinds.is_remote(name):
        return _of_remote(name, options=options)
    if "\0" in name:
        raise BadInput(f"input_dir {name!r} holds a NUL character, which no path can")
    path = os.path.abspath(name if os.path.lexists(name) else os.path.expanduser(name))
    if not os.path.exists(path):
        raise BadInput(f"input_dir {name!r} does not exist; give {ALLOWED}")
    path = Spelling()(path)
    if os.path.isdir(path):
        return _of_folder(path, options=options)
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise BadInput(f"input_dir {name!r} cannot be read (no permission)")
    kind = kinds.kind_of(path)
    if kind == kinds.YAML:
        return _of_yaml(path, options=options)
    if path.lower().endswith(kinds.ANNOTATION_ENDINGS):
        raise BadInput(f"{name!r} looks like annotations; give it as annotations=…, and as input_dir {ALLOWED}")
    if kind == kinds.LIST or (kind == kinds.OTHER and _is_text(path)):
        return _of_list_file(path, options=options)
    return iter([Candidate(path, kind if kind in (kinds.ARCHIVE, kinds.VIDEO) else kinds.IMAGE)])


def _of_folder(path: str, *, options: ListingOptions) -> Iterator[Candidate]:
    try:
        os.scandir(path).close()
    except OSError as exc:
        raise BadInput(f"input folder {path!r} cannot be read: {exc.strerror}") from exc
    return _walked(path, options=options)


def _walked(path: str, *, options: ListingOptions, split: str = "") -> Iterator[Candidate]:
    exclude = {real(folder) for folder in options.exclude}
    found = walk(path, sort=options.sort, follow_symlinks=options.follow_symlinks, exclude=exclude)
    return (Candidate(name, kind, root=path, split=split) for name, kind in found)


def _of_list_file(path: str, *, options: ListingOptions) -> Iterator[Candidate]:
    if next(listfile.rows(path), None) is None:
        raise BadInput(f"list file {path!r} holds no names; it wants one path a row")
    if not any(kinds.is_remote(name) or files.exists(name) for name in _rows(path)):
        first = listfile.stripped(next(listfile.rows(path)))
        where = "" if os.path.isabs(first) else f" (looked for in {os.path.dirname(path)} and in {os.getcwd()})"
        raise BadInput(f"nothing that the list file {path!r} names exists; its first name is {first!r}{where}")
    return _of_list(_rows(path), options=options)


def _of_list(names: Iterable[str], *, options: ListingOptions, split: str = "") -> Iterator[Candidate]:
    """Entries of a list. What the user named is taken whatever its extension; a folder is walked."""
    spelled = Spelling()
    for name in names:
        if kinds.is_remote(name):
            yield from _of_remote_entry(name, options=options, split=split)
            continue
        name = spelled(name)
        if _is_folder(name):
            try:
                yield from _walked(name, options=options, split=split)
            except OSError:
                yield Candidate(name, "", split=split)
        else:
            kind = kinds.kind_of(name)
            yield Candidate(name, kind if kind in (kinds.ARCHIVE, kinds.VIDEO) else kinds.IMAGE, split=split)


def _of_yaml(path: str, *, options: ListingOptions) -> Iterator[Candidate]:
    """The splits of a YOLO dataset, one after the other: train, val, test."""
    from fastdup_db.sources.yolo import read_yaml

    places = [(place, split) for split, places in read_yaml(path).splits.items() for place in places]
    return chain.from_iterable(_of_list(_entries(p), options=options, split=split) for p, split in places)


def _entries(place: str) -> Iterator[str]:
    """The rows of a list file; any other path is itself."""
    return iter([place]) if _is_folder(place) or kinds.kind_of(place) != kinds.LIST else _rows(place)


def _rows(list_file: str) -> Iterator[str]:
    folder = os.path.dirname(list_file)
    return (listfile.resolve(row, folder=folder) for row in listfile.rows(list_file))


def _of_remote(uri: str, *, options: ListingOptions, split: str = "") -> Iterator[Candidate]:
    """A prefix taken as a folder, or one object: an image, archive, video, list file. A list file is downloaded."""
    from fastdup_db.sources import objects

    kind = kinds.kind_of(uri)
    if kind == kinds.YAML:
        raise BadInput(f"{uri}: a YOLO yaml in a bucket is not supported; copy it and its labels first")
    if kind == kinds.LIST:
        folder = uri.rpartition("/")[0]
        bare = (listfile.stripped(row) for row in listfile.remote_rows(uri))
        names = (name if kinds.is_remote(name) else kinds.joined(folder, name) for name in bare)
        return _of_list(names, options=options, split=split)
    if kind != kinds.OTHER and objects.exists(uri):
        return iter([Candidate(uri, kind, root=uri.rpartition("/")[0], split=split)])
    found = ((r, kinds.kind_of(r.filename)) for r in objects.listed(uri))
    return (
        Candidate(r.filename, kind, root=uri, split=split, known=r if kind == kinds.IMAGE else None)
        for r, kind in found
        if kind in WALKED
    )


def _of_remote_entry(uri: str, *, options: ListingOptions, split: str) -> Iterator[Candidate]:
    """An entry of a list: an object by its known extension, asked about later and many at once; else a prefix."""
    kind = kinds.kind_of(uri)
    if kind != kinds.OTHER:
        return iter([Candidate(uri, kind if kind in WALKED else kinds.IMAGE, split=split)])
    under = _of_remote(uri, options=options, split=split)
    first = next(under, None)
    return iter([Candidate(uri, kinds.IMAGE, split=split)]) if first is None else chain([first], under)


def guarded(found: Iterator[Candidate], *, options: ListingOptions) -> Iterator[Candidate]:
    """Refuses plain images beside archives or videos; `tar_only` drops the plain ones instead."""
    plain = packed = ""
    for candidate in found:
        if candidate.kind in (kinds.ARCHIVE, kinds.VIDEO):
            packed = packed or candidate.path
        elif candidate.kind and options.tar_only:
            continue
        elif candidate.kind:
            plain = plain or candidate.path
        if plain and packed:
            raise BadInput(
                f"the input mixes plain images ({files.shown(plain)}) with archives or videos "
                f"({files.shown(packed)}); use tar_only=True to ignore the plain images, or run them apart"
            )
        yield candidate


def _expanded(found: Iterator[Candidate], *, options: ListingOptions) -> Iterator[Reference]:
    for candidate, references in _each(found, options=options):
        for reference in references:
            label, split = reference.label, candidate.split
            if options.label_from_folder:
                label, found_split = label_and_split(
                    reference.filename, root=files.shown(files.opened_by(reference.container or candidate.root))
                )
                split = split or found_split
            yield replace(reference, label=label, split=split) if label or split else reference


def _each(found: Iterator[Candidate], *, options: ListingOptions) -> Iterator[tuple[Candidate, Iterable[Reference]]]:
    """Candidates with their references; single objects of buckets are asked about many at a time, after the first one
    has shown that there is a server."""
    answered = False
    for single, group in groupby(found, key=_is_single_object):
        if single:
            from fastdup_db.sources import objects

            candidates, uris = tee(group)
            if not answered:
                answered, first = True, next(candidates)
                yield first, (objects.reference(next(uris).path, patient=False),)
            asked = mapped(objects.reference, (c.path for c in uris), threads=IO_THREADS)
            yield from ((candidate, (reference,)) for candidate, reference in zip(candidates, asked, strict=True))
        else:
            yield from ((candidate, _references(candidate, options=options)) for candidate in group)


def _is_single_object(candidate: Candidate) -> bool:
    return candidate.kind == kinds.IMAGE and candidate.known is None and kinds.is_remote(candidate.path)


def _references(candidate: Candidate, *, options: ListingOptions) -> Iterator[Reference]:
    if candidate.known is not None:
        yield candidate.known
    elif candidate.kind == kinds.IMAGE:
        yield files.reference(candidate.path)
    elif not candidate.kind:
        yield Reference(files.shown(candidate.path), error_code=errors.UNREADABLE_FILE)
    elif candidate.kind == kinds.ARCHIVE:
        from fastdup_db.sources import archives

        yield from archives.references(files.stored(candidate.path))
    else:
        from fastdup_db.sources import video

        yield from video.references(
            files.stored(candidate.path), fps=options.video_fps, keyframes_only=options.video_keyframes_only
        )


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:
        return False


def _is_text(path: str) -> bool:
    try:
        return listfile.looks_like_text(path)
    except OSError as exc:
        raise BadInput(f"input {path!r} cannot be read: {exc.strerror}") from exc
