"""Encoded bytes -> one upright array of pixels, or the error code of the image's row."""

from __future__ import annotations

import functools
import io
import os
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from fastdup_db.errors import (
    CORRUPT_IMAGE,
    IMAGE_TOO_LARGE,
    IMAGE_TOO_SMALL,
    ZERO_SIZE_FILE,
    ImageError,
    MissingExtra,
)
from fastdup_db.imaging import exif, png, tiff
from fastdup_db.imaging.pixels import by_opencv, scaled

MIN_SIDE = 10
"""Pixels; smaller images are ERROR_IMAGE_TOO_SMALL, as in fastdup."""

MAX_PIXELS = 178_956_970
"""Larger images are ERROR_IMAGE_TOO_LARGE: where Pillow speaks of a decompression bomb (512 MB of RGB)."""

if "OPENCV_LOG_LEVEL" not in os.environ:  # a broken file is a row here, not a line on stderr
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is checked below

_SCAN = b"\xff\xda"  # the marker before each scan of a JPEG; never within one
_WIDEST = 8  # bytes a pixel within the limit, of 16-bit RGBA; OpenCV reads TIFF of up to 32


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded image, upright.

    image: uint8 or uint16, (h, w) gray, (h, w, 3) RGB, or (h, w, 4) RGBA with straight alpha that hides something.
        16-bit values use the whole range whatever the file's depth (10-bit white is 65535); gray with alpha comes as
        RGBA; CMYK as RGB. The first frame of an animation, the first page of a TIFF. Colour profiles are not applied.
        TIFF: floats and integers of 32 and 64 bits as uint16, stretched unless they are floats in [0, 1]; associated
        alpha is divided out; gray with alpha comes as gray when it has more than 8 bits (then in 8) or white at zero.
        What neither OpenCV nor Pillow reads is CORRUPT_IMAGE: half floats, planes of CMYK in 16 bits, colours in more
        than 16 bits under zstd or LZMA.
    width, height: of the upright image.
    orientation: the EXIF orientation that was undone, 1 for none.
    truncated: the file ends too early or is damaged inside; what could not be read is gray or black.
    """

    image: np.ndarray
    width: int
    height: int
    orientation: int = 1
    truncated: bool = False


def decode(
    data: bytes | memoryview,
    *,
    min_width: int = MIN_SIDE,
    min_height: int = MIN_SIDE,
    max_pixels: int = MAX_PIXELS,
) -> Decoded:
    """The pixels of an encoded image: JPEG, PNG, BMP, WebP, TIFF, GIF, JPEG 2000, AVIF, PNM, HEIC/HEIF (extra `heif`).

    The content decides, not the file's name. The declared size is read and checked before any pixel is decoded.
    Raises `ImageError` with ZERO_SIZE_FILE, CORRUPT_IMAGE, IMAGE_TOO_SMALL or IMAGE_TOO_LARGE.
    """
    if not len(data):
        raise ImageError(ZERO_SIZE_FILE, "the file is empty")
    limits = _Limits(min_width, min_height, max_pixels)
    if data[:2] == b"\xff\xd8":
        found = _jpeg(data, limits)
        if found is not None:
            return found
    if data[:4] in tiff.SIGNATURES:
        return _tiff(data, limits)
    return _heif(data, limits) if exif.is_heif(data) else _other(data, limits)


def flatten(image: np.ndarray) -> np.ndarray:
    """An image of `decode` as (h, w, 3) uint8 RGB, as a viewer shows it: transparency over white.

    Without this an icon set, black everywhere and drawn in its alpha, would be one black square many times.
    """
    image = to_uint8(image)
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 3:
        return image
    colour, alpha = np.ascontiguousarray(image[..., :3]), image[..., 3]
    if alpha.min() == 255:
        return colour
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    # c·a + 255·(1 − a) = 255 − (255 − c)·a, in bytes
    return cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(colour), weight, scale=1 / 255))


def plain(pixels: np.ndarray) -> np.ndarray:
    """8-bit gray or RGB as it is; deep or transparent images as a viewer shows them."""
    is_plain = pixels.dtype == np.uint8 and (pixels.ndim == 2 or pixels.shape[2] == 3)
    return pixels if is_plain else flatten(pixels)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """The image in 8 bits a channel: 16-bit values / 257, rounded; scaled by bit depth, never stretched."""
    return image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=1 / 257)


def upright(image: np.ndarray, *, orientation: int) -> np.ndarray:
    """The image as its EXIF orientation (1..8, Exif 2.32 section 4.6.4 A) wants it seen."""
    match orientation:
        case 2:
            return cv2.flip(image, 1)
        case 3:
            return cv2.rotate(image, cv2.ROTATE_180)
        case 4:
            return cv2.flip(image, 0)
        case 5:
            return cv2.transpose(image)
        case 6:
            return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            return cv2.rotate(cv2.transpose(image), cv2.ROTATE_180)
        case 8:
            return cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return image


@dataclass(frozen=True, slots=True)
class _Limits:
    min_width: int
    min_height: int
    max_pixels: int

    def check(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise ImageError(IMAGE_TOO_LARGE, f"{width}×{height} is more than {self.max_pixels} pixels")
        if width < self.min_width or height < self.min_height:
            raise ImageError(IMAGE_TOO_SMALL, f"{width}×{height} is less than {self.min_width}×{self.min_height}")


def _jpeg(data: bytes | memoryview, limits: _Limits) -> Decoded | None:
    """A JPEG by libjpeg-turbo through simplejpeg, a sixth faster than OpenCV; None if it cannot (12-bit, lossless)."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # KeyError: 1.9 does not find a name for an undetermined subsampling
        return None
    block = exif.jpeg_block(data)
    orientation = exif.orientation(block) if block else 1
    swapped = orientation > 4
    limits.check(height if swapped else width, width if swapped else height)
    space = "GRAY" if colours == "Gray" else "RGB"
    truncated = False
    try:
        image = simplejpeg.decode_jpeg(data, space)
    except ValueError as problem:
        # strict mode raises on any warning of the codec; not every warning is a loss
        image, some_is_missing = _damaged_jpeg(data, space, height, width)
        if image is None:
            return None
        truncated = some_is_missing or "remature end" in str(problem) or "orrupt" in str(problem)
    if space == "GRAY":
        image = image[:, :, 0]
    return _decoded(upright(image, orientation=orientation), orientation, truncated)


def _damaged_jpeg(data: bytes | memoryview, space: str, height: int, width: int) -> tuple[np.ndarray | None, bool]:
    """What can be read of a damaged JPEG, the rest black, and whether there is a rest; None where that is all of it.

    Where a progressive one ends within the header of a scan, the codec gives up and simplejpeg returns what lay in
    memory before: so it decodes twice, over black and over white, and then what comes before the last scan.
    """
    data, shape = bytes(data), (height, width, 1 if space == "GRAY" else 3)
    for part in (data, data[: data.rfind(_SCAN)]):
        black, white = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
        try:
            for canvas in (black, white):
                simplejpeg.decode_jpeg(part, space, buffer=canvas, strict=False)
        except ValueError:
            break
        missing = black != white
        if not missing.all():
            return black, part is not data or bool(missing.any())
    return None, True


@functools.cache
def _formats() -> list[str]:
    """Whose headers Pillow reads: importing a plug-in registers it. JPEGs, which most images are, need none."""
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        WebPImagePlugin,
    )

    return [
        AvifImagePlugin.AvifImageFile.format,
        BmpImagePlugin.BmpImageFile.format,
        GifImagePlugin.GifImageFile.format,
        Jpeg2KImagePlugin.Jpeg2KImageFile.format,
        JpegImagePlugin.JpegImageFile.format,
        PngImagePlugin.PngImageFile.format,
        PpmImagePlugin.PpmImageFile.format,
        WebPImagePlugin.WebPImageFile.format,
    ]


def _other(data: bytes | memoryview, limits: _Limits) -> Decoded:
    """Anything else: Pillow reads the header (size, orientation), OpenCV the pixels."""
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as header:
            kind, (width, height) = header.format, header.size
            block = header.info.get("exif", b"")
            orientation = exif.orientation(block) if block else 1
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise ImageError(IMAGE_TOO_LARGE, str(problem)) from problem
    except exif.UNREADABLE as problem:
        raise ImageError(CORRUPT_IMAGE, "not an image in a known format") from problem
    swapped = orientation > 4
    limits.check(height if swapped else width, width if swapped else height)
    truncated = False
    if kind == "PNG" and not png.is_whole(data):
        mended = png.mended(data)
        if mended is None:
            raise ImageError(CORRUPT_IMAGE, "the PNG ends before its first row of pixels")
        data, truncated = mended, True
    image = scaled(by_opencv(data), bits=_bits(data, kind))
    return _decoded(upright(image, orientation=orientation), orientation, truncated)


def _tiff(data: bytes | memoryview, limits: _Limits) -> Decoded:
    """A TIFF: both readers turn it themselves."""
    page = tiff.first_page(data)
    if page is None:
        raise ImageError(CORRUPT_IMAGE, "not an image in a known format")
    swapped = page.orientation > 4
    width, height = (page.height, page.width) if swapped else (page.width, page.height)
    limits.check(width, height)
    if width * height * page.pixel_bytes > limits.max_pixels * _WIDEST:
        raise ImageError(IMAGE_TOO_LARGE, f"{width}×{height} of {page.pixel_bytes} bytes each")
    return _decoded(tiff.read(data, page), page.orientation, False)


def _heif(data: bytes | memoryview, limits: _Limits) -> Decoded:
    """HEIC/HEIF by libheif, which turns the image itself (ISO 23008-12: irot and imir rule, EXIF does not)."""
    try:
        import pillow_heif
    except ImportError as problem:
        raise ImageError(CORRUPT_IMAGE, str(MissingExtra("Reading HEIC and HEIF", "heif"))) from problem
    try:
        container = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        picture = container[container.primary_index]
        limits.check(*picture.size)
        image = np.asarray(picture)
    except exif.UNREADABLE as problem:
        raise ImageError(CORRUPT_IMAGE, f"libheif: {problem}") from problem
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    elif image.ndim == 3 and image.shape[2] == 2:
        image = np.ascontiguousarray(image[:, :, [0, 0, 0, 1]])
    return _decoded(image, 1, False)


def _decoded(image: np.ndarray, orientation: int, truncated: bool) -> Decoded:
    height, width = image.shape[:2]
    return Decoded(image, width, height, orientation, truncated)


def _bits(data: bytes | memoryview, kind: str | None) -> int:
    """Bits a sample where OpenCV returns fewer than 16 unscaled in a uint16: AVIF and JPEG 2000; else 16."""
    head = bytes(data[:4096])
    if kind == "AVIF" and (at := head.find(b"pixi")) >= 0:  # full box: version, flags, channel count, depths
        bits = head[at + 9 : at + 10]
    elif kind == "JPEG2000" and (at := head.find(b"ihdr")) >= 0:  # height, width, components, depth − 1
        bits = bytes(((b & 0x7F) + 1) for b in head[at + 14 : at + 15])
    else:
        return 16
    return bits[0] if bits and 8 < bits[0] <= 16 else 16
