"""TIFF: every kind of alpha, depth and layout, written by hand so that the stored values are known."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastdup_db import errors
from fastdup_db.imaging.decode import decode, upright
from fastdup_db.imaging.stats import statistics

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

GRAY, RGB, CMYK = 1, 2, 5
WHITE_IS_ZERO = 0
ASSOCIATED, UNASSOCIATED = 1, 2


def tiff(
    pixels: np.ndarray,
    photometric: int,
    *,
    extra: int | list[int] | None = None,
    apart: bool = False,
    order: str = "<",
    big: bool = False,
    orientation: int = 1,
    bits: int | None = None,
    size: tuple[int, int] | None = None,
    tile: int | None = None,
) -> bytes:
    """An uncompressed TIFF of one strip (of one a plane) with exactly these values. size: (w, h) it declares.

    tile: the sides of square tiles, which divide those of the picture; instead of the strip.
    """
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    laid = np.moveaxis(pixels, -1, 0) if apart else pixels
    packed = laid.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if bits:
        rows = ["".join(f"{value:0{bits}b}" for value in row) for row in pixels.tolist()]
        packed = b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
    strips = samples if apart else 1
    if tile:
        strips = (height // tile) * (width // tile)
        packed = pixels.reshape(height // tile, tile, width // tile, tile, samples).swapaxes(1, 2).tobytes()
    start, length = (16 if big else 8), len(packed) // strips
    declared_width, declared_height = size or (width, height)
    tags = {
        256: [declared_width],
        257: [declared_height],
        258: [bits or pixels.itemsize * 8] * samples,
        259: [1],
        262: [photometric],
        273: [start + i * length for i in range(strips)],
        274: [orientation],
        277: [samples],
        278: [height],
        279: [length] * strips,
        284: [2 if apart else 1],
        338: extra if isinstance(extra, list) else [] if extra is None else [extra],
        339: [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * samples,
    }
    if tile:
        tags |= {322: [tile], 323: [tile], 324: tags[273], 325: tags[279], 273: [], 278: [], 279: []}
    tags = {tag: values for tag, values in sorted(tags.items()) if values}
    kind, wide = ("Q", 8) if big else ("I", 4)
    at = start + len(packed)
    after = at + (8 if big else 2) + (4 + 2 * wide) * len(tags) + wide
    entries = more = b""
    for tag, values in tags.items():
        raw = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(raw) > wide:
            raw, more = struct.pack(order + kind, after + len(more)), more + raw
        entries += struct.pack(f"{order}HH{kind}", tag, 16 if big else 4, len(values)) + raw
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    return head + packed + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + bytes(wide) + more


def noise(channels: int, dtype: type = np.uint8, *, seed: int = 0) -> np.ndarray:
    shape = (24, 32) if channels == 1 else (24, 32, channels)
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return random.random(shape).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def code_of(data: bytes, **limits: int) -> str:
    with pytest.raises(errors.ImageError) as caught:
        decode(data, **limits)
    return caught.value.code


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_straight_alpha_is_what_a_png_of_the_same_pixels_gives(apart: bool, order: str, big: bool) -> None:
    colour, gray = noise(4), noise(2)
    files = [(colour, tiff(colour, RGB, extra=UNASSOCIATED, apart=apart, order=order, big=big))]
    if apart or not (big and order == ">"):  # Pillow 13 takes no BigTIFF of that order
        files.append((gray, tiff(gray, GRAY, extra=UNASSOCIATED, apart=apart, order=order, big=big)))
    for pixels, data in files:
        found, wanted = decode(data), decode(png(pixels))
        np.testing.assert_array_equal(found.image, wanted.image)
        assert statistics(found.image) == statistics(wanted.image)
    wide = noise(4, np.uint16)
    found = decode(tiff(wide, RGB, extra=UNASSOCIATED, apart=apart, order=order, big=big))
    np.testing.assert_array_equal(found.image, wide)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_associated_alpha_is_divided_out(dtype: type, apart: bool) -> None:
    unit = 1 if dtype == np.uint8 else 257
    stored = np.zeros((20, 20, 4), dtype)
    stored[:10] = (40 * unit, 20 * unit, 51 * unit, 51 * unit)  # a fifth
    stored[10:] = (40 * unit, 20 * unit, 7 * unit, 255 * unit)
    stored[0] = 0
    found = decode(tiff(stored, RGB, extra=ASSOCIATED, apart=apart)).image
    assert found.dtype == dtype
    assert (found[1:10] == [200 * unit, 100 * unit, 255 * unit, 51 * unit]).all()
    assert (found[10:] == stored[10:]).all() and (found[0] == 0).all()
    gray = decode(tiff(np.ascontiguousarray(stored[..., [0, 3]]), GRAY, extra=ASSOCIATED, apart=apart)).image
    if dtype == np.uint8 or apart:
        assert (gray[1:10] == [200 * unit] * 3 + [51 * unit]).all()


def test_opaque_alpha_is_dropped_and_a_fourth_sample_of_no_kind_stays_as_it_is() -> None:
    opaque = noise(4)
    opaque[..., 3] = 255
    for extra in (0, ASSOCIATED, UNASSOCIATED, None):
        np.testing.assert_array_equal(decode(tiff(opaque, RGB, extra=extra)).image, opaque[..., :3])
    for apart in (False, True):
        gray = np.ascontiguousarray(opaque[..., 2:])
        np.testing.assert_array_equal(decode(tiff(gray, GRAY, extra=UNASSOCIATED, apart=apart)).image, gray[..., 0])
    for pixels in (noise(4), noise(4, np.uint16)):
        np.testing.assert_array_equal(decode(tiff(pixels, RGB, extra=0)).image, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_may_be_zero(dtype: type) -> None:
    pixels = noise(1, dtype)
    np.testing.assert_array_equal(decode(tiff(pixels, WHITE_IS_ZERO)).image, np.iinfo(dtype).max - pixels)
    both = noise(2, dtype)
    found = decode(tiff(both, WHITE_IS_ZERO, extra=UNASSOCIATED, apart=True)).image
    np.testing.assert_array_equal(found[..., 0], np.iinfo(dtype).max - both[..., 0])
    np.testing.assert_array_equal(found[..., 3], both[..., 1])


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
def test_depths_between(bits: int) -> None:
    most = (1 << bits) - 1
    pixels = np.random.default_rng(bits).integers(0, most, (24, 32), dtype=np.uint16, endpoint=True)
    pixels[0, :2] = 0, most
    range_ = 255 if bits < 8 else 65535
    wanted = np.rint(pixels * (range_ / most))
    assert np.abs(decode(tiff(pixels, GRAY, bits=bits)).image - wanted).max() <= 0.5
    assert np.abs(decode(tiff(pixels, WHITE_IS_ZERO, bits=bits)).image - (range_ - wanted)).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_floats_are_scaled_by_their_unit(dtype: type, channels: int) -> None:
    pixels = noise(channels, dtype)
    for apart in (False, True) if channels > 1 else (False,):
        data = tiff(pixels, GRAY if channels == 1 else RGB, extra=UNASSOCIATED if channels == 4 else None, apart=apart)
        found = decode(data).image
        assert found.dtype == np.uint16 and found.shape == pixels.shape
        assert np.abs(found - pixels * 65535).max() <= 1
    opaque = np.dstack([noise(3, dtype) * 8 - 3, np.ones((24, 32), dtype)])
    found = decode(tiff(opaque, RGB, extra=UNASSOCIATED)).image
    assert found.shape == (24, 32, 3) and (found.min(), found.max()) == (0, 65535)
    gray = noise(1, dtype)
    assert np.abs(decode(tiff(gray, WHITE_IS_ZERO)).image - (1 - gray) * 65535).max() <= 1


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_integers_are_stretched(dtype: type, channels: int) -> None:
    pixels = noise(channels, dtype)
    low, high = int(pixels.min()), int(pixels.max())
    found = decode(tiff(pixels, GRAY if channels == 1 else RGB)).image
    wanted = (pixels.astype(np.float64) - low) / (high - low) * 65535
    assert found.dtype == np.uint16 and np.abs(found - wanted).max() <= 1


def test_wide_planes_are_not_mixed() -> None:
    for pixels in (noise(3, np.uint16), noise(4, np.uint16)):
        found = decode(tiff(pixels, RGB, extra=0 if pixels.shape[2] == 4 else None, apart=True)).image
        np.testing.assert_array_equal(found, pixels)
    both = noise(2, np.uint16)
    found = decode(tiff(both, GRAY, extra=UNASSOCIATED, apart=True)).image
    np.testing.assert_array_equal(found, both[..., [0, 0, 0, 1]])
    assert code_of(tiff(noise(4, np.uint16), CMYK, apart=True)) == errors.CORRUPT_IMAGE


def test_samples_that_only_pillow_has() -> None:
    wide = noise(4, np.uint16)
    wanted = Image.frombytes("CMYK", (32, 24), (wide >> 8).astype(np.uint8).tobytes()).convert("RGB")
    assert np.abs(decode(tiff(wide, CMYK)).image.astype(int) - np.asarray(wanted)).max() <= 1
    five = noise(5)
    np.testing.assert_array_equal(decode(tiff(five, RGB, extra=[0, 0])).image, five[..., :3])


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "F", "CMYK"])
def test_compressions_that_only_pillow_has(compression: str, mode: str) -> None:
    images = {
        "I;16": Image.fromarray(noise(1, np.uint16)),
        "F": Image.fromarray(noise(1, np.float32)),
        "RGBA": Image.fromarray(noise(4)),
        "LA": Image.fromarray(noise(2)),
    }
    image = images.get(mode) or Image.fromarray(noise(3)).convert(mode)
    for orientation in (1, 6):
        out = io.BytesIO()
        image.save(out, "TIFF", compression=compression, tiffinfo={274: orientation})
        found = decode(out.getvalue())
        wanted = image
        if mode not in ("I;16", "F"):
            wanted = image.convert("RGBA" if mode in ("LA", "RGBA") else "L" if mode in ("1", "L") else "RGB")
        pixels = np.asarray(wanted) * (65535 if mode == "F" else 1)
        turned = upright(np.ascontiguousarray(pixels), orientation=orientation)
        assert found.image.shape == turned.shape and found.orientation == orientation
        assert np.abs(found.image.astype(float) - turned).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_wide_files_are_turned_once(orientation: int) -> None:
    for pixels, photometric, apart in (
        (noise(1, np.uint16), GRAY, False),
        (noise(3, np.uint16), RGB, False),
        (noise(3, np.uint16), RGB, True),
        (noise(4), RGB, False),
    ):
        extra = UNASSOCIATED if pixels.shape[2:] == (4,) else None
        found = decode(tiff(pixels, photometric, extra=extra, apart=apart, orientation=orientation))
        np.testing.assert_array_equal(found.image, upright(pixels, orientation=orientation))
        assert (found.height, found.width) == found.image.shape[:2]


@pytest.mark.parametrize("tile", [16, 64])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_stay_where_they_belong(orientation: int, tile: int) -> None:
    random = np.random.default_rng(orientation)
    for channels, photometric in ((1, GRAY), (3, RGB), (4, RGB)):
        shape = (128, 192) if channels == 1 else (128, 192, channels)
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        extra = UNASSOCIATED if channels == 4 else None
        found = decode(tiff(pixels, photometric, extra=extra, orientation=orientation, tile=tile))
        np.testing.assert_array_equal(found.image, upright(pixels, orientation=orientation))


def test_declared_sizes_are_checked_whoever_reads_the_pixels() -> None:
    for pixels in (noise(3), noise(3, np.float32), noise(1, np.uint64).view(np.uint64)):
        photometric = RGB if pixels.ndim == 3 else GRAY
        for side in (20_000, 2**31 - 1):
            assert code_of(tiff(pixels, photometric, size=(side, side))) == errors.IMAGE_TOO_LARGE
        assert code_of(tiff(pixels, photometric), max_pixels=700) == errors.IMAGE_TOO_LARGE
        assert code_of(tiff(pixels, photometric, orientation=6), min_width=25) == errors.IMAGE_TOO_SMALL
        assert code_of(tiff(pixels, photometric, size=(0, 24))) == errors.CORRUPT_IMAGE
    # 32 bytes a pixel count as four of 8
    assert code_of(tiff(noise(4, np.float64), RGB), max_pixels=4 * 768 - 1) == errors.IMAGE_TOO_LARGE
    assert decode(tiff(noise(4, np.float64), RGB), max_pixels=4 * 768).width == 32


def test_what_nothing_reads_is_corrupt(capfd: pytest.CaptureFixture[str]) -> None:
    half = noise(1, np.float16)
    whole = tiff(noise(3, np.uint16), RGB, apart=True)
    many = tiff(noise(9), RGB, extra=0)
    for data in (
        tiff(half, GRAY),
        many,
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        whole[:300],
        tiff(noise(4, np.int16), RGB, extra=2),
    ):
        assert code_of(data) == errors.CORRUPT_IMAGE
    assert capfd.readouterr().err == ""


def test_opencv_reads_back_what_it_writes() -> None:
    pixels = noise(3, np.float32)
    data = cv2.imencode(".tiff", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()
    assert np.abs(decode(data).image - pixels * 65535).max() <= 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.data())
def test_no_damage_raises_anything_but_image_error(which: int, data: st.DataObject) -> None:
    files = (
        tiff(noise(3, np.float32), RGB),
        tiff(noise(4), RGB, extra=UNASSOCIATED),
        tiff(noise(4, np.uint16), RGB, extra=ASSOCIATED, apart=True),
        tiff(noise(2), WHITE_IS_ZERO, extra=ASSOCIATED, apart=True, big=True),
        tiff(noise(1, np.float64), GRAY, order=">"),
        tiff(noise(1, np.uint16) >> 4, GRAY, bits=12, big=True),
    )
    whole = bytearray(files[which])
    start = data.draw(st.sampled_from([0, len(whole) - 400]))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(start, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    try:
        found = decode(bytes(whole[:cut]), max_pixels=1_000_000)
    except errors.ImageError as problem:
        assert problem.code in errors.ERROR_CODES
    else:
        assert found.image.dtype in (np.uint8, np.uint16)
        assert (found.image.ndim == 2 or found.image.shape[2] in (3, 4)) and found.image.flags.c_contiguous
        assert (found.height, found.width) == found.image.shape[:2]
