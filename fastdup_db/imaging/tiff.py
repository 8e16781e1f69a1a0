"""The first page of a TIFF: what its header declares (TIFF 6.0, BigTIFF), and its pixels by whoever reads them right.

OpenCV 5.0 reads most of them, but multiplies 8-bit colours with an alpha that is called unassociated, leaves
min-is-white values of more than 8 bits as they are, and mixes such samples when they lie in planes. Pillow 13 reads
colour in 8 bits, and does not know the headers of floats in colour, nor of gray with alpha of more than 8 bits.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from fastdup_db.errors import CORRUPT_IMAGE, ImageError
from fastdup_db.imaging import exif
from fastdup_db.imaging.pixels import by_opencv, scaled, straight

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# tag numbers: TIFF 6.0, appendix A
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANAR, _PREDICTOR = 273, 274, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_OF_EACH_PLANE = (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES)
_OF_EVERY_PLANE = (
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _ORIENTATION, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT),
    _FORMAT,
)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_LZMA, _ZSTD = 34925, 50000  # numbers of libtiff
_ASSOCIATED, _UNASSOCIATED = 1, 2  # whether the colours were multiplied with alpha
_UNSIGNED, _SIGNED = 1, 2
_TURNS_TILES = (2, 3, 6, 7)  # orientations for which OpenCV turns each tile of 8 bits within itself
_PILLOWS_SAMPLES = 6  # it refuses more, with a line on stderr
_MOST_TAGS = 65535  # as many as a classic file can have
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the header declares.

    width, height: as stored, before `orientation` (1..8) is undone.
    bits, sample_format: of the first sample. alpha: its kind in ExtraSamples, 0 when there is none or nothing is said
    of it. apart: the samples lie in planes, one after the other. tiled: they lie in tiles, not in strips.
    """

    width: int
    height: int
    bits: int
    sample_format: int
    samples: int
    compression: int
    photometric: int
    alpha: int
    apart: bool
    tiled: bool
    orientation: int

    @property
    def pixel_bytes(self) -> int:
        """Of one pixel once decoded."""
        return self.samples * -(-self.bits // 8)

    @property
    def is_gray(self) -> bool:
        return self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)


@dataclass(frozen=True, slots=True)
class _Directory:
    """The first directory of a file. tags: number -> type, count, where the values lie."""

    order: str
    big: bool
    tags: dict[int, tuple[int, int, int]]


def first_page(data: bytes | memoryview) -> Page | None:
    """The first page; None when the header is damaged or lacks a size."""
    try:
        directory = _directory(data)

        def first(tag: int, default: int) -> int:
            return next(iter(_values(data, directory, tag, most=1)), default)

        width, height, samples = first(_WIDTH, 0), first(_HEIGHT, 0), first(_SAMPLES, 1)
        photometric = first(_PHOTOMETRIC, _BLACK_IS_ZERO)
        colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(photometric, samples)
        alpha = first(_EXTRA, 0) if samples == colours + 1 else 0
        orientation = first(_ORIENTATION, 1)
        page = Page(
            width=width,
            height=height,
            bits=first(_BITS, 1),
            sample_format=first(_FORMAT, _UNSIGNED),
            samples=samples,
            compression=first(_COMPRESSION, 1),
            photometric=photometric,
            alpha=alpha if alpha in (_ASSOCIATED, _UNASSOCIATED) else 0,
            apart=samples > 1 and first(_PLANAR, 1) == 2,
            tiled=bool(first(_TILE_WIDTH, 0)),
            orientation=orientation if 1 <= orientation <= 8 else 1,
        )
    except struct.error:
        return None
    return page if width and height and samples else None


def read(data: bytes | memoryview, page: Page) -> np.ndarray:
    """Upright pixels as `Decoded` has them, colours straight whatever the file's alpha. Raises `ImageError`."""
    if page.sample_format == _SIGNED and page.samples not in (1, 3):
        raise ImageError(CORRUPT_IMAGE, "signed values with alpha, or of another kind of colour, are not read")
    image, multiplied, inverted = _pixels(data, page)
    image = scaled(image, bits=page.bits if 8 < page.bits < 16 else 16)
    if multiplied:
        image = straight(image)
    if inverted:
        colour = image[..., :3] if image.ndim == 3 else image
        np.invert(colour, out=colour)
    return np.ascontiguousarray(image)


def _pixels(data: bytes | memoryview, page: Page) -> tuple[np.ndarray, bool, bool]:
    """`(image, multiplied, inverted)`: whether its colours are multiplied with alpha, and whether white is still 0."""
    white_is_zero = page.photometric == _WHITE_IS_ZERO
    if page.apart and (page.bits > 8 or (page.is_gray and page.alpha)):
        return _joined(data, page), page.alpha == _ASSOCIATED, white_is_zero
    image, whose = _read(data, page)
    if whose == "opencv" and page.bits == 8 and page.is_gray and page.alpha:  # OpenCV gives gray without its alpha
        found = _by_pillow(data, page)
        if found is not None:
            return found, False, False
    multiplied = whose == "opencv" and page.alpha == _ASSOCIATED
    return image, multiplied, white_is_zero and image.dtype.itemsize > 1


def _read(data: bytes | memoryview, page: Page) -> tuple[np.ndarray, str]:
    """The image and who read it: OpenCV, else Pillow where only that can."""
    if page.tiled and page.bits == 8 and page.orientation in _TURNS_TILES:
        found = _by_pillow(data, page)
        if found is not None:
            return found, "pillow"
    try:
        image = by_opencv(_unmultiplied(data) if page.alpha == _UNASSOCIATED else data)
    except ImageError:
        found = _by_pillow(data, page) if _is_pillows(page) else None
        if found is None:
            raise
        image = found
    else:
        if image.dtype == np.uint16 and 8 < page.bits < 16:
            image >>= 16 - page.bits  # OpenCV shifts them to the top, Pillow does not
        return image, "opencv"
    is_wrapped = image.dtype == np.int32 and page.bits == 32 and page.sample_format == _UNSIGNED
    return (image.view(np.uint32) if is_wrapped else image), "pillow"


def _is_pillows(page: Page) -> bool:
    """Whether only Pillow may read it. A damaged file of another kind is left alone: its libtiff writes to stderr."""
    wide_cmyk = page.photometric == _CMYK and page.bits == 16
    small_tiles = page.tiled and page.bits == 8  # OpenCV refuses some of less than 1,024 bytes
    return page.compression in (_LZMA, _ZSTD) or page.bits in (2, 4) or page.samples > 4 or wide_cmyk or small_tiles


def _by_pillow(data: bytes | memoryview, page: Page) -> np.ndarray | None:
    """Upright pixels, alpha straight, in 8 bits where there is colour; None where Pillow cannot read them."""
    from PIL import TiffImagePlugin  # importing it registers it

    if page.samples > _PILLOWS_SAMPLES:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=[TiffImagePlugin.TiffImageFile.format]) as picture:
            picture.load()
            mode = picture.mode
            if mode.startswith(("I", "F")):
                return np.array(picture, dtype=np.asarray(picture).dtype.newbyteorder("="))
            if mode in ("LA", "La", "PA", "RGBA", "RGBa"):
                image = np.array((picture.convert("LA") if mode == "La" else picture).convert("RGBA"))
                if image[..., 3].min() < 255:
                    return image
            return np.array(picture.convert("L" if mode in ("1", "L", "LA", "La") else "RGB"))
    except (*exif.UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def _unmultiplied(data: bytes | memoryview) -> bytes:
    """The same file with its alpha called associated: OpenCV then leaves the colours as they are stored."""
    directory = _directory(data)
    kind, _, where = directory.tags[_EXTRA]
    patched = bytearray(data)
    struct.pack_into(directory.order + _TYPES[kind], patched, where, _ASSOCIATED)
    return bytes(patched)


def _joined(data: bytes | memoryview, page: Page) -> np.ndarray:
    """Planes read one by one: gray, RGB or RGBA as they are stored."""
    if not page.is_gray and page.photometric != _RGB:
        raise ImageError(CORRUPT_IMAGE, "nothing here reads planes of this kind of colour in more than 8 bits")
    colours = 1 if page.is_gray else 3
    count = colours + (page.samples == colours + 1)
    try:
        directory, alone = _directory(data), replace(page, alpha=0)
        planes = [_read(_plane(data, directory, page, number), alone)[0] for number in range(count)]
    except struct.error as problem:
        raise ImageError(CORRUPT_IMAGE, "the pixels cannot be decoded") from problem
    if len({(plane.shape, plane.dtype) for plane in planes}) != 1 or planes[0].ndim != 2:
        raise ImageError(CORRUPT_IMAGE, "the planes do not fit together")
    alpha = planes[colours:]
    if alpha and alpha[0].dtype.kind != "f" and alpha[0].min() == np.iinfo(alpha[0].dtype).max:
        alpha = []
    if colours == 1 and not alpha:
        return planes[0]
    return np.dstack([*(planes[:colours] * (3 // colours)), *alpha])


def _plane(data: bytes | memoryview, directory: _Directory, page: Page, number: int) -> bytes:
    """The same file with one plane as its first page: gray, black at zero."""
    wanted = {_PHOTOMETRIC: [_BLACK_IS_ZERO], _SAMPLES: [1]}
    for tag in _OF_EVERY_PLANE:
        wanted[tag] = list(_values(data, directory, tag, most=1))
    for tag in _OF_EACH_PLANE:
        every = _values(data, directory, tag)
        size = len(every) // page.samples
        wanted[tag] = list(every[number * size : (number + 1) * size])
    order, (kind, width) = directory.order, ("Q", 8) if directory.big else ("I", 4)
    start = len(data) + len(data) % 2
    rows = sorted((tag, values) for tag, values in wanted.items() if values)
    counted = struct.pack(order + ("Q" if directory.big else "H"), len(rows))
    after = start + len(counted) + (4 + 2 * width) * len(rows) + width
    entries = more = b""
    for tag, values in rows:
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > width:
            packed, more = struct.pack(order + kind, after + len(more)), more + packed
        entries += struct.pack(f"{order}HH{kind}", tag, 16 if directory.big else 4, len(values)) + packed
    at = 8 if directory.big else 4
    head = bytes(data[:at]) + struct.pack(order + kind, start)
    return b"".join((head, data[len(head) :], bytes(len(data) % 2), counted, entries, bytes(width), more))


def _directory(data: bytes | memoryview) -> _Directory:
    """Raises struct.error when the data end before it does, or it is larger than any."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset = order + ("Q" if big else "I")
    (start,) = _unpack(offset, data, 8 if big else 4)
    counted, entry = (order + "Q", order + "HHQ") if big else (order + "H", order + "HHI")
    (count,) = _unpack(counted, data, start)
    if count > _MOST_TAGS:
        raise struct.error("no directory")
    at = start + struct.calcsize(counted)
    fixed, inline = struct.calcsize(entry), 8 if big else 4
    tags: dict[int, tuple[int, int, int]] = {}
    for _ in range(count):
        tag, kind, number = _unpack(entry, data, at)
        where = at + fixed
        if kind in _TYPES and number * struct.calcsize(order + _TYPES[kind]) > inline:
            (where,) = _unpack(offset, data, where)
        tags.setdefault(tag, (kind, number, where))
        at += fixed + inline
    return _Directory(order, big, tags)


def _values(data: bytes | memoryview, directory: _Directory, tag: int, *, most: int | None = None) -> tuple[int, ...]:
    """The whole numbers of a tag, the first `most` of them; none when it is absent or of another type."""
    kind, number, where = directory.tags.get(tag, (0, 0, 0))
    if kind not in _TYPES:
        return ()
    count = number if most is None else min(number, most)
    if count > len(data):
        raise struct.error("more values than bytes")
    return _unpack(f"{directory.order}{count}{_TYPES[kind]}", data, where)


def _unpack(form: str, data: bytes | memoryview, at: int) -> tuple[int, ...]:
    if at > len(data):  # beyond 2**63 struct would raise OverflowError
        raise struct.error("an offset lies beyond the end")
    return struct.unpack_from(form, data, at)
