"""Whole or broken: what a PNG file still holds."""

from __future__ import annotations

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples a pixel, PNG specification 11.2.2
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""x start, y start, x step, y step of the seven passes, PNG specification 8.2."""
_FEED = 512  # bytes inflated at a time, so that damage costs at most what follows it


def is_whole(data: bytes | memoryview) -> bool:
    """Whether every chunk up to IEND is there with its right checksum.

    libpng would find out too, but it writes its complaint to the process's stderr. Costs 0.5 ms per MB.
    """
    position, end = len(SIGNATURE), len(data)
    view = memoryview(data)
    while position + 12 <= end:
        length = int.from_bytes(view[position : position + 4], "big")
        after = position + 8 + length
        if after + 4 > end or zlib.crc32(view[position + 4 : after]) != int.from_bytes(view[after : after + 4], "big"):
            return False
        if view[position + 4 : position + 8] == b"IEND":
            return True
        position = after + 4
    return False


def mended(data: bytes | memoryview) -> bytes | None:
    """A whole PNG with the pixels that a truncated or damaged one still holds; the rest is zero (black).

    None when not even one row of pixels can be had. Memory: the declared size, which the caller has checked.
    """
    view = memoryview(data)
    position, end = len(SIGNATURE), len(data)
    head: list[bytes] = []
    packed: list[bytes] = []
    header = b""
    while position + 8 <= end:
        length = int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        body = bytes(view[position + 8 : position + 8 + length])
        if kind == b"IHDR":
            header = body
        if kind == b"IDAT":
            packed.append(body)
        elif packed:  # what follows the pixels does not change them
            break
        elif len(body) == length:
            head.append(_chunk(kind, body))
        position += 12 + length
    if len(header) != 13 or not packed:
        return None
    passes = _passes(header)
    if not passes:
        return None
    filled = np.zeros(sum(row * rows for row, rows in passes), np.uint8)
    if _inflate(b"".join(packed), into=filled) < passes[0][0]:
        return None
    start = 0
    for row, rows in passes:  # damaged data may hold filter types that libpng refuses; there are five
        kinds = filled[start : start + row * rows : row]
        kinds[kinds > 4] = 0
        start += row * rows
    body = zlib.compress(filled.data, 1)
    return SIGNATURE + b"".join(head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _passes(header: bytes) -> list[tuple[int, int]]:
    """(bytes a row with its filter byte, rows) of each pass that the 13 bytes of IHDR declare."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS.get(colour, 0)
    found = []
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            found.append((1 + (columns * bits + 7) // 8, rows))
    return found


def _inflate(packed: bytes, *, into: np.ndarray) -> int:
    """Fill an array with what can be inflated before the data end or break: the number of bytes."""
    stream = zlib.decompressobj()
    done = 0
    for start in range(0, len(packed), _FEED):
        try:
            part = stream.decompress(packed[start : start + _FEED], len(into) - done)
        except zlib.error:
            break
        into[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
        if done == len(into) or stream.eof:
            break
    return done
