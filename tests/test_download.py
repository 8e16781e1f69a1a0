"""Model downloads against a real HTTP server that can cut connections, forget ranges and lie."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fastdup_db.errors import ModelUnavailable
from fastdup_db.models.download import RemoteFile, cache_folder, fetch, temporary_folder

BODY = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@dataclass
class Provider:
    """What the server does, and what it was asked for."""

    url: str = ""
    body: bytes = BODY
    etag: str = '"v1"'
    cut_after: int = 0  # bytes of one answer, 0 = never
    cuts: int = 0  # how many answers are cut
    ranges: bool = True
    statuses: list[int] = field(default_factory=list)  # answered before the file
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def provider() -> Iterator[Provider]:
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers.get("Range"))
            if state.statuses:
                self.send_response(state.statuses.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            wanted = self.headers.get("Range")
            if wanted and state.ranges and self.headers.get("If-Range", state.etag) == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            else:
                self.send_response(200)
            body = state.body[start:]
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.etag)
            self.end_headers()
            if state.cuts > 0:
                state.cuts -= 1
                self.wfile.write(body[: state.cut_after])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/model.onnx"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTDUP_DB_OFFLINE", raising=False)
    return tmp_path / "cache"


def get(provider: Provider, *, sha256: str | None = DIGEST, size: int = len(BODY)) -> Path:
    file = RemoteFile("model.onnx", provider.url, sha256, size)
    return fetch(file, progress=False, backoff_s=0.001)


def test_a_file_is_downloaded_once_and_then_served_from_the_cache(provider: Provider, cache: Path) -> None:
    path = get(provider)
    assert path == cache / "model.onnx"
    assert path.read_bytes() == BODY
    assert get(provider) == path
    assert provider.asked == [None]
    assert sorted(p.name for p in cache.iterdir() if p.suffix != ".lock") == ["model.onnx", "model.onnx.verified.json"]


def test_a_cut_connection_goes_on_where_it_stopped(provider: Provider) -> None:
    provider.cut_after, provider.cuts = 1_000_000, 2
    assert get(provider).read_bytes() == BODY
    assert provider.asked[0] is None
    starts = [int((r or "").removeprefix("bytes=").rstrip("-")) for r in provider.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] <= 1_000_000 < starts[1] <= 2_000_000


def test_many_cuts_are_survived_as_long_as_each_brings_bytes(provider: Provider) -> None:
    provider.cut_after, provider.cuts = 250_000, 11
    assert get(provider).read_bytes() == BODY
    assert len(provider.asked) == 12


def test_a_killed_download_goes_on_in_the_next_call(provider: Provider, cache: Path) -> None:
    cache.mkdir()
    (cache / "model.onnx.part").write_bytes(BODY[:2_000_000])
    assert get(provider).read_bytes() == BODY
    assert provider.asked == ["bytes=2000000-"]


def test_a_download_killed_after_its_last_byte_is_finished(provider: Provider, cache: Path) -> None:
    cache.mkdir()
    (cache / "model.onnx.part").write_bytes(BODY)
    assert get(provider).read_bytes() == BODY
    assert provider.asked == [f"bytes={len(BODY)}-"]


def test_a_server_without_ranges_sends_the_whole_file_again(provider: Provider) -> None:
    provider.ranges, provider.cut_after, provider.cuts = False, 1_000_000, 1
    assert get(provider).read_bytes() == BODY


def test_a_part_of_an_older_version_is_thrown_away(provider: Provider, cache: Path) -> None:
    cache.mkdir()
    (cache / "model.onnx.part").write_bytes(b"x" * 1000)
    (cache / "model.onnx.part.etag").write_text('"v0"')
    assert get(provider).read_bytes() == BODY


def test_a_part_of_other_bytes_is_found_by_the_checksum_and_downloaded_anew(provider: Provider, cache: Path) -> None:
    cache.mkdir()
    (cache / "model.onnx.part").write_bytes(b"x" * 1000)
    assert get(provider).read_bytes() == BODY
    assert provider.asked == ["bytes=1000-", None]


def test_a_wrong_checksum_is_refused_and_leaves_no_file(provider: Provider, cache: Path) -> None:
    provider.body = b"not a model" * 1000
    with pytest.raises(ModelUnavailable, match=r"sha256 is .* instead of"):
        get(provider, size=-1)
    assert not (cache / "model.onnx").exists()
    assert not (cache / "model.onnx.part").exists()


def test_a_wrong_size_is_refused_where_no_checksum_is_known(provider: Provider, cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match="instead of 5"):
        get(provider, sha256=None, size=5)
    assert not (cache / "model.onnx").exists()


def test_a_busy_server_is_asked_again(provider: Provider) -> None:
    provider.statuses = [503, 429]
    assert get(provider).read_bytes() == BODY


def test_a_missing_file_fails_at_once(provider: Provider) -> None:
    provider.statuses = [404]
    with pytest.raises(ModelUnavailable, match="answered 404"):
        get(provider)
    assert len(provider.asked) == 1


def test_no_network_says_which_file_to_put_where(cache: Path) -> None:
    with socket.socket() as s:  # a port that nothing listens on
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    file = RemoteFile("m.onnx", f"http://127.0.0.1:{port}/m.onnx", DIGEST)
    with pytest.raises(ModelUnavailable) as e:
        fetch(file, progress=False, backoff_s=0.001)
    for said in (file.url, DIGEST, str(cache / "m.onnx"), "FASTDUP_DB_CACHE"):
        assert said in str(e.value)


def test_offline_makes_no_request(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDUP_DB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="FASTDUP_DB_OFFLINE forbids"):
        get(provider)
    assert provider.asked == []


def test_a_file_put_there_by_hand_is_used_offline_and_checked(
    provider: Provider, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTDUP_DB_OFFLINE", "1")
    cache.mkdir()
    (cache / "model.onnx").write_bytes(BODY)
    assert get(provider) == cache / "model.onnx"
    (cache / "model.onnx").write_bytes(BODY[:-1] + b"?")
    with pytest.raises(ModelUnavailable, match="Remove it"):
        get(provider)
    assert provider.asked == []


def test_eight_threads_download_once(provider: Provider) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: get(provider), range(8)))
    assert len(paths) == 1
    assert provider.asked == [None]


def test_the_cache_folder_is_the_platform_s_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTDUP_DB_CACHE")
    assert cache_folder().name == "fastdup_db"


def test_without_a_home_there_are_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("FASTDUP_DB_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder() == temporary_folder() and temporary_folder().parent == tmp_path
