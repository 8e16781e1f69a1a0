"""Every format, depth and orientation that is promised; every kind of broken file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fastdup_db import errors
from fastdup_db.imaging import png
from fastdup_db.imaging.decode import decode, flatten, to_uint8, upright
from fastdup_db.imaging.exif import exif

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # the library does; pytest undoes it
LOSSY = 8  # mean absolute difference allowed to lossy formats


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    """Four quadrants of different colour: every flip, turn and channel swap shows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (200, 30, 60)
    image[: height // 2, width // 2 :] = (20, 230, 90)
    image[height // 2 :, : width // 2] = (10, 50, 220)
    image[height // 2 :, width // 2 :] = (240, 200, 130)
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise_jpeg() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 160, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG")


def distance(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(np.int64) - b.astype(np.int64)).mean())


def code_of(data: bytes, **limits: int) -> str:
    with pytest.raises(errors.ImageError) as caught:
        decode(data, **limits)
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF", "PPM"])
def test_rgb(kind: str) -> None:
    found = decode(encoded(Image.fromarray(picture()), kind))
    assert (found.width, found.height, found.orientation, found.truncated) == (80, 60, 1, False)
    assert found.image.dtype == np.uint8
    assert distance(found.image, picture()) <= (LOSSY if kind in ("JPEG", "WEBP", "AVIF") else 0)


def test_progressive_jpeg_and_memoryview() -> None:
    data = encoded(Image.fromarray(picture()), "JPEG", progressive=True, quality=95)
    assert distance(decode(memoryview(data)).image, picture()) <= LOSSY
    assert decode(data[: len(data) // 2]).truncated


def test_images_of_several_bands() -> None:
    pixels = np.random.default_rng(4).integers(0, 255, (700, 900, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(pixels), "BMP")).image, pixels)


def test_gif_is_its_first_frame() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    found = decode(encoded(first, "GIF", save_all=True, append_images=[second]))
    assert distance(flatten(found.image), picture()) <= 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "JPEG2000", "AVIF"])
def test_gray_stays_gray(kind: str) -> None:
    gray = Image.fromarray(picture()).convert("L")
    found = decode(encoded(gray, kind))
    assert found.image.shape == (60, 80)
    assert distance(found.image, np.asarray(gray)) <= (LOSSY if kind in ("JPEG", "AVIF") else 0)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    assert distance(decode(encoded(Image.fromarray(picture()).convert("CMYK"), kind)).image, picture()) <= LOSSY


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG2000"])
def test_alpha_is_kept_straight(kind: str) -> None:
    rgba = np.dstack([picture(), np.full((60, 80), 128, np.uint8)])
    found = decode(
        encoded(Image.fromarray(rgba), kind, lossless=True) if kind == "WEBP" else encoded(Image.fromarray(rgba), kind)
    )
    np.testing.assert_array_equal(found.image, rgba)


@pytest.mark.parametrize("kind", ["PNG", "JPEG2000"])
def test_gray_with_alpha_is_rgba_or_rgb(kind: str) -> None:
    found = decode(encoded(Image.fromarray(picture()).convert("LA"), kind))
    assert found.image.ndim == 3
    np.testing.assert_array_equal(found.image[..., 0], np.asarray(Image.fromarray(picture()).convert("L")))


def test_palettes_and_bits() -> None:
    few = Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE)
    assert distance(decode(encoded(few, "PNG")).image, picture()) == 0
    bits = decode(encoded(Image.fromarray(picture()).convert("1"), "PNG")).image
    assert set(np.unique(bits)) <= {0, 255}


@pytest.mark.parametrize("extension", [".png", ".tiff", ".jp2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits(extension: str, channels: int) -> None:
    wide = picture().astype(np.uint16) * 257
    wide = wide[..., 0] if channels == 1 else wide
    stored = wide if channels == 1 else cv2.cvtColor(wide, cv2.COLOR_RGB2BGR)
    found = decode(cv2.imencode(extension, stored)[1].tobytes())
    np.testing.assert_array_equal(found.image, wide)
    np.testing.assert_array_equal(to_uint8(found.image), wide // 257)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_ten_and_twelve_bits_fills_the_range(bits: int) -> None:
    wide = cv2.cvtColor(picture().astype(np.uint16), cv2.COLOR_RGB2BGR) << (bits - 8)
    data = cv2.imencode(".avif", wide, [cv2.IMWRITE_AVIF_DEPTH, bits])[1].tobytes()
    assert distance(to_uint8(decode(data).image), picture()) <= LOSSY


def test_float_tiff() -> None:
    unit = picture()[..., 0].astype(np.float32) / 255
    assert distance(to_uint8(decode(encoded(Image.fromarray(unit), "TIFF")).image), picture()[..., 0]) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_undone(kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(Image.fromarray(picture()), kind, exif=tags)
    with Image.open(io.BytesIO(data)) as reference:
        wanted = np.asarray(ImageOps.exif_transpose(reference).convert("RGB"))
    found = decode(data)
    assert found.orientation == orientation
    assert (found.height, found.width) == found.image.shape[:2]
    assert distance(found.image, wanted) <= LOSSY
    assert distance(upright(picture(), orientation=orientation), wanted) <= LOSSY


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture())).save(out, quality=95)
    assert distance(decode(out.getvalue()).image, picture()) <= LOSSY
    assert code_of(out.getvalue()[:300]) == errors.CORRUPT_IMAGE
    assert code_of(out.getvalue(), max_pixels=4000) == errors.IMAGE_TOO_LARGE


def test_heic_without_the_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(errors.ImageError, match=r"fastdup-db\[heif\]") as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert caught.value.code == errors.CORRUPT_IMAGE


def test_flatten_shows_transparency_as_white() -> None:
    icon = np.zeros((20, 20, 4), np.uint8)
    icon[5:15, 5:15, 3] = 255
    seen = flatten(icon)
    assert seen.shape == (20, 20, 3)
    assert (seen[0, 0] == 255).all() and (seen[10, 10] == 0).all()
    half = np.dstack([picture(), np.full((60, 80), 128, np.uint8)])
    wanted = np.rint(255 - (255 - picture().astype(float)) * 128 / 255)
    assert np.abs(flatten(half) - wanted).max() <= 1
    np.testing.assert_array_equal(flatten(picture()[..., 0])[..., 2], picture()[..., 0])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", errors.ZERO_SIZE_FILE),
        (b"this is a text, not an image\n" * 30, errors.CORRUPT_IMAGE),
        (np.random.default_rng(1).bytes(5000), errors.CORRUPT_IMAGE),
        (b"\xff\xd8\xff", errors.CORRUPT_IMAGE),
        (png.SIGNATURE, errors.CORRUPT_IMAGE),
        (encoded(Image.new("RGB", (100, 9)), "PNG"), errors.IMAGE_TOO_SMALL),
        (encoded(Image.new("RGB", (9, 100)), "JPEG"), errors.IMAGE_TOO_SMALL),
        (encoded(Image.new("RGB", (1, 1)), "GIF"), errors.IMAGE_TOO_SMALL),
    ],
    ids=["empty", "text", "random", "jpeg start", "png start", "flat", "thin", "pixel"],
)
def test_bad_files(data: bytes, code: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(data) == code
    assert capfd.readouterr().err == ""


def test_ten_by_ten_is_large_enough() -> None:
    assert decode(encoded(Image.new("RGB", (10, 10)), "PNG")).width == 10
    assert decode(encoded(Image.new("RGB", (4, 4)), "PNG"), min_width=1, min_height=1).width == 4


@pytest.mark.parametrize("side", [20_000, 100_000, 2**31 - 1])
def test_declared_size_bombs(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = png.SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    assert code_of(bomb) == errors.IMAGE_TOO_LARGE
    bmp = bytearray(encoded(Image.new("RGB", (16, 16)), "BMP"))
    bmp[18:26] = struct.pack("<ii", min(side, 100_000), min(side, 100_000))
    assert code_of(bytes(bmp)) == errors.IMAGE_TOO_LARGE
    jpeg = noise_jpeg()
    at = jpeg.index(b"\xff\xc0")
    assert code_of(jpeg[: at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9 :]) == errors.IMAGE_TOO_LARGE


def test_truncated_jpeg_is_valid_and_flagged(capfd: pytest.CaptureFixture[str]) -> None:
    data = noise_jpeg()
    whole = decode(data)
    assert not whole.truncated
    for cut in (len(data) // 2, len(data) - 2):
        found = decode(data[:cut])
        assert found.truncated and found.image.shape == whole.image.shape
        np.testing.assert_array_equal(found.image[:64], whole.image[:64])
    assert not decode(data + b"trailing bytes").truncated
    assert decode(data[:5000] + bytes(300) + data[5300:]).truncated
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_ends_in_the_header_of_a_scan_is_not_what_lay_in_memory(capfd: pytest.CaptureFixture[str]) -> None:
    """The codec gives up there, and no pixel is written; the scans before it are whole."""
    data = encoded(Image.fromarray(np.full((100, 120, 3), 90, np.uint8)), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    for cut in range(scan, scan + 10):
        used = np.full((100, 120, 3), 200, np.uint8)  # memory of this size that is free again
        del used
        found = decode(data[:cut])
        assert found.truncated
        np.testing.assert_allclose(found.image, 90, atol=4)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_truncated_png_is_valid_and_flagged(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (120, 90, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels).convert(mode), "PNG")
    whole = decode(data)
    assert not whole.truncated
    half = decode(data[: len(data) // 2])
    assert half.truncated and half.image.shape[:2] == whole.image.shape[:2]
    np.testing.assert_array_equal(flatten(half.image)[:30], flatten(whole.image)[:30])
    without_end = decode(data[:-12])
    assert without_end.truncated
    np.testing.assert_array_equal(without_end.image, whole.image)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    assert decode(bytes(damaged)).truncated
    assert code_of(data[:60]) == errors.CORRUPT_IMAGE
    assert capfd.readouterr().err == ""


def test_interlaced_png_is_mended() -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (33, 21, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + pixels[y, x::dx].tobytes() for x, y0, dx, dy in png._ADAM7 for y in range(y0, 33, dy))
    header = struct.pack(">IIBBBBB", 21, 33, 8, 2, 0, 0, 1)
    data = png.SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode(data).image, pixels)
    found = decode(data[:-20])
    assert found.truncated
    np.testing.assert_array_equal(found.image[::8, ::8], pixels[::8, ::8])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF"]), st.data())
def test_no_damage_raises_anything_but_image_error(kind: str, data: st.DataObject) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    whole = bytearray(encoded(Image.fromarray(picture(24, 32)), kind, exif=tags))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    assert 1 <= exif(bytes(whole[:cut])).orientation <= 8
    try:
        found = decode(bytes(whole[:cut]), max_pixels=1_000_000)
    except errors.ImageError as problem:
        assert problem.code in errors.ERROR_CODES
    else:
        assert found.image.dtype in (np.uint8, np.uint16)
        assert found.image.ndim == 2 or found.image.shape[2] in (3, 4)
        assert (found.height, found.width) == found.image.shape[:2]


def test_photographs_decode_as_pillow_sees_them(real_images: Path) -> None:
    for path in sorted((real_images / "imagenet-sample").iterdir())[::50]:
        found = decode(path.read_bytes())
        with Image.open(path) as reference:
            assert distance(flatten(found.image), np.asarray(ImageOps.exif_transpose(reference).convert("RGB"))) < 1
        assert not found.truncated


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
