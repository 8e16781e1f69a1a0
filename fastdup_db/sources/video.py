"""Videos: which frames there are, told by packets alone, and the frames themselves, in one pass or one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from fastdup_db import errors
from fastdup_db.errors import FastdupError, ImageError
from fastdup_db.sources import containers, files
from fastdup_db.sources.kinds import is_remote
from fastdup_db.sources.reference import Load, Reference, failing
from fastdup_db.threads import mapped

KEYFRAME = "keyframe"
"""`Reference.member` of frames listed as keyframes: they are read without decoding what lies between them."""

MAX_PIXELS = 1 << 28
_SEEK_AFTER_MS = 10_000  # x264 and x265 put a keyframe every 250 frames: a seek saves nothing on shorter gaps
_REORDERED = 16  # the longest reordering that H.264 allows
_DEPTH = 4  # frames waiting: 25 MB each at 4K
# playlists and the like would make ffmpeg open further files and hosts
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,m4v,asf,flv,h264,hevc",
}


def references(container: str, *, fps: float = 1.0, keyframes_only: bool = False) -> Iterator[Reference]:
    """The frames of one video to look at, in the order they are shown, named `video.mp4#t=12.000` (seconds).

    container: path or URL as `containers.open_container` takes it. Packets are read, nothing is decoded. The frames are
    the first at or after each multiple of 1/fps seconds, by their presentation times, so that variable frame rates come
    out right; fewer when the video has fewer. `frame_ms` counts from the stream's start, `frame_number` all frames.

    A video that is broken, or breaks off where FFmpeg can tell (Matroska looks like one that ends there), ends with a
    reference of its own: ERROR_CORRUPT_CONTAINER.
    """
    name = files.shown(files.opened_by(container))
    version, failure, times, keys = "", "", np.empty(0, np.int64), np.empty(0, bool)
    try:
        with _Player(container) as player:
            version = player.version
            times, keys, failure = player.packets()
    except FastdupError:
        raise
    except (FFmpegError, OSError, ValueError, IndexError) as exc:
        failure = containers.code_of(exc)
    numbers = np.flatnonzero(keys) if keyframes_only else _sampled(times, fps=fps)
    for number in numbers.tolist():
        ms = int(times[number])
        yield Reference(
            f"{name}#t={ms / 1000:.3f}",
            container=container,
            member=KEYFRAME if keyframes_only else "",
            version=version,
            frame_ms=ms,
            frame_number=number,
        )
    if failure or not len(times):
        yield Reference(name, error_code=failure or errors.CORRUPT_CONTAINER)


def _sampled(times: np.ndarray, *, fps: float) -> np.ndarray:
    """Positions of the first time in each interval of 1/fps seconds; times: sorted int64 milliseconds."""
    # half a millisecond more: times are rounded, and a frame due at 33.3 ms must not count as just before 33.4
    return np.unique(np.floor((times + 0.5) * (fps / 1000)).astype(np.int64), return_index=True)[1]


def loads(frames: Iterator[Reference]) -> Iterator[tuple[Reference, Load]]:
    """Pairs for consecutive frames of one video, which is decoded once, in order, a few frames ahead of the caller."""
    player: _Player | None = None

    def frame_of(reference: Reference) -> tuple[Reference, Load]:
        nonlocal player
        try:
            player = player or _Player(reference.container)
            frame = player.frame(reference.frame_ms, keyframe=reference.member == KEYFRAME)
        except FastdupError as exc:
            return reference, failing(exc)
        except (FFmpegError, OSError, ValueError, IndexError) as exc:
            return reference, failing(ImageError(containers.code_of(exc), f"{reference.filename}: {exc}"))
        if frame is None:
            return reference, failing(ImageError(errors.CORRUPT_IMAGE, f"{reference.filename}: not decodable"))
        return reference, lambda: frame

    try:
        yield from mapped(frame_of, frames, depth=_DEPTH)
    finally:
        if player is not None:
            player.close()


class _Player(AbstractContextManager["_Player"]):
    """One open video and the place it has been decoded to.

    Raises FFmpegError, OSError, ValueError (too large) or IndexError (no video stream) when it cannot be opened.
    """

    def __init__(self, container: str) -> None:
        self._name = container
        self._disordered = False
        self._recovers: bool | None = None  # whether keyframes show only when what lies between them is decoded too
        self._open()

    def _open(self) -> None:
        self._file, self.version = containers.open_binary(self._name)
        try:
            path = files.opened_by(self._name)
            plain = not is_remote(self._name) and files.shown(path) == path
            # by name where possible: ffmpeg's own file access is faster than calls back into Python
            self._container = av.open("file:" + path if plain else self._file, mode="r", options=_OPTIONS)
        except BaseException:
            self._file.close()
            raise
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        if codec is None or codec.width * codec.height > MAX_PIXELS:
            self.close()
            raise ValueError("unknown codec" if codec is None else f"frames of {codec.width}×{codec.height}")
        self._stream.thread_type = "AUTO"
        self._start = self._stream.start_time or 0
        self._base = Fraction(self._stream.time_base or Fraction(1, 1000)) * 1000
        self._frames = self._decode()
        self._held: tuple[int, Any] | None = None
        self._keyframes = False

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def packets(self) -> tuple[np.ndarray, np.ndarray, str]:
        """`(times, keyframes, code)`: sorted int64 milliseconds, bool of the same length, why it broke off or ""."""
        times, keys, code = [], [], ""
        try:
            for packet in self._container.demux(self._stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is not None and not packet.is_discard:
                    times.append(self._ms(stamp))
                    keys.append(packet.is_keyframe)
                if packet.is_corrupt:
                    code = errors.CORRUPT_CONTAINER
        except (FFmpegError, OSError):
            code = errors.CORRUPT_CONTAINER
        found = np.array(times, np.int64)
        order = np.argsort(found, kind="stable")  # packets come in the order of decoding
        return found[order], np.array(keys, bool)[order], code

    def frame(self, ms: int, *, keyframe: bool = False) -> np.ndarray | None:
        """The frame shown at `ms`, RGB uint8 (h, w, 3), upright; None when it cannot be decoded."""
        keyframe = keyframe and not self._recovers
        if keyframe != self._keyframes:
            self._stream.codec_context.skip_frame = "NONKEY" if keyframe else "DEFAULT"
            self._keyframes = keyframe
        now = self._held[0] if self._held else 0
        sought = ms < now or ms - now > _SEEK_AFTER_MS
        if sought:
            self._seek(ms)
        untried = keyframe and self._recovers is None
        if not self._advance(ms) and (sought or self._disordered or untried):
            # some containers seek past the target, the frame went by out of its order, or what is called a keyframe is
            # a point of H.264's intra refresh, which builds upon the frames before it: begin at the beginning
            self.close()
            self._open()
            found = self._advance(ms)
            self._recovers = found if untried else self._recovers
        return _upright(self._held[1]) if self._held and self._is_at(ms) else None

    def _advance(self, ms: int) -> bool:
        """Decodes up to the frame at `ms` and holds it; False when only a later one is there."""
        if self._held is None or self._held[0] < ms:
            self._held = next((f for f in self._frames if f[0] >= ms), None)
            if not self._is_at(ms):  # H.264 in AVI: times are guesses, frames come some places out of their order
                near = next((f for f in islice(self._frames, _REORDERED) if abs(f[0] - ms) <= 1), None)
                self._disordered = self._disordered or near is not None
                self._held = near or self._held
        return self._is_at(ms)

    def _is_at(self, ms: int) -> bool:
        return self._held is not None and abs(self._held[0] - ms) <= 1

    def _seek(self, ms: int) -> None:
        self._held = None
        self._container.seek(self._start + int(ms / self._base), stream=self._stream, backward=True)
        self._frames = self._decode()

    def _decode(self) -> Iterator[tuple[int, Any]]:
        """`(ms, frame)` from where the file stands; a damaged packet is passed over, the rest still comes."""
        for packet in self._container.demux(self._stream):
            try:
                decoded = packet.decode()
            except FFmpegError:
                continue
            for frame in decoded:
                stamp = frame.pts if frame.pts is not None else frame.dts
                if stamp is not None:
                    yield self._ms(stamp), frame

    def _ms(self, stamp: int) -> int:
        return max(0, round((stamp - self._start) * self._base))


def _upright(frame: Any) -> np.ndarray:
    """RGB, turned and mirrored as the display matrix says: phones store portrait videos lying on their side, and
    mirrored ones of the camera on their front."""
    rgb = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return rgb
    # x' = a·x + c·y, y' = b·x + d·y, y downwards: av_display_rotation_get tells the angle alone, not what is mirrored
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        rgb, across, down = rgb.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(rgb[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
