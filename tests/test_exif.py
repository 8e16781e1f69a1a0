"""Planted Exif facts come back, damaged ones harm nobody, equal bytes hash alike."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastdup_db.imaging.exif import Exif, content_hash, exif, parse

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # the library does; pytest undoes it
PLANTED = Exif(datetime(2021, 7, 4, 12, 30, 59), "Canon", "EOS 5D", -33.5, 151.25, 6)


def tags() -> Image.Exif:
    found = Image.Exif()
    found[0x010F], found[0x0110], found[0x0112], found[0x0132] = "Canon", "EOS 5D\0", 6, "2022:01:01 00:00:00"
    found.get_ifd(0x8769)[0x9003] = "2021:07:04 12:30:59"
    found.get_ifd(0x8825).update({1: "S", 2: (33.0, 30.0, 0.0), 3: "E", 4: (151.0, 15.0, 0.0)})
    return found


def photo(kind: str, payload: object = None) -> bytes:
    out = io.BytesIO()
    options = {} if payload is None else {"exif": payload}
    Image.new("RGB", (32, 24), (90, 120, 30)).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_planted_facts_come_back(kind: str) -> None:
    found = exif(photo(kind, tags().tobytes()))
    if kind == "AVIF":  # its own boxes hold the turn
        found = found._replace(orientation=6)
    assert found == PLANTED


def test_tiff_is_its_own_block() -> None:
    plain = Image.Exif()
    plain[0x010F], plain[0x0132] = "Nikon", "2001:02:03 04:05:06"
    found = exif(photo("TIFF", plain))
    assert (found.camera_make, found.taken_at) == ("Nikon", datetime(2001, 2, 3, 4, 5, 6))


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(out, exif=tags().tobytes())
    assert exif(out.getvalue())[:5] == PLANTED[:5]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "JPEG2000"])
def test_without_exif(kind: str) -> None:
    assert exif(photo(kind)) == Exif()


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"text", b"\xff\xd8\xff\xe1\xff\xffExif\0\0", b"II*\0" + bytes(20)])
def test_no_image_at_all(data: bytes) -> None:
    assert exif(data) == Exif()


@pytest.mark.parametrize(
    "date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2021-07-04", "", "2021:13:40 12:00:00"]
)
def test_dates_of_cameras_without_a_clock(date: str) -> None:
    found = Image.Exif()
    found[0x0132] = date
    assert exif(photo("JPEG", found.tobytes())).taken_at is None


@pytest.mark.parametrize(
    "place", [{1: "N", 2: (91.0, 0.0, 0.0)}, {2: (10.0, 0.0, 0.0)}, {1: "N"}, {2: (1.0, 2.0), 4: 3.0}]
)
def test_half_a_place_is_no_place(place: dict) -> None:
    found = Image.Exif()
    found.get_ifd(0x8825).update(place)
    assert exif(photo("JPEG", found.tobytes()))[3:5] == (None, None)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_never_raises(data: st.DataObject) -> None:
    payload = bytearray(tags().tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    assert isinstance(parse(cut), Exif)
    assert 1 <= exif(photo("JPEG")[:2] + b"\xff\xe1" + (len(cut) + 2).to_bytes(2, "big") + cut).orientation <= 8


def test_content_hash() -> None:
    data = photo("PNG")
    assert content_hash(data) == content_hash(memoryview(data)) and len(content_hash(data)) == 32
    assert content_hash(data) != content_hash(data + b"\0")
    assert content_hash(b"") == "99aa06d3014798d86001c324468d497f"  # XXH3-128 of nothing, as its authors give it
