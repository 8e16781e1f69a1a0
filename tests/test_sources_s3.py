"""Buckets: what is listed and read through a real server, and what happens when it refuses or is away."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from drawn import jpeg
from test_sources_archives import CONTENT, pack, read_all
from test_sources_video import film, number_of

from fastdup_db import errors
from fastdup_db.errors import BadInput, ImageError, RemoteError
from fastdup_db.sources import (
    ListingOptions,
    bucket,
    check_input,
    copies,
    files,
    listing,
    load,
    local_names,
    named,
    objects,
    payloads,
)
from fastdup_db.sources.direct import Direct
from fastdup_db.sources.prefetch import prefetched
from tests.s3_server import KEY, READER_KEY, READER_SECRET, SECRET, Server

PHOTOS = {
    "in/a b.jpg": jpeg(1),
    "in/deep/er/ü#, 'q'.png": jpeg(2, suffix=".png"),
    "in/cat/1.jpeg": jpeg(3),
    "in/notes.txt": b"no image",
    "in/._a.jpg": b"junk",
    "in/marker.jpg/": b"",
    "in2/other.jpg": jpeg(4),
    "exact.jpg": jpeg(5),
    "noextension": jpeg(6),
}
UNDER_IN = ["in/a b.jpg", "in/cat/1.jpeg", "in/deep/er/ü#, 'q'.png"]


@pytest.fixture
def photos(s3: Server) -> Server:
    s3.fill("photos", PHOTOS)
    return s3


@pytest.mark.parametrize("base", ["s3://photos/", "minio://test/photos/"])
def test_a_prefix_is_a_folder(photos: Server, base: str) -> None:
    for uri in (f"{base}in", f"{base}in/"):
        check_input(uri)
        references = list(listing(uri))
        assert [r.filename for r in references] == [base + key for key in UNDER_IN]
        assert [r.file_size for r in references] == [len(PHOTOS[key]) for key in UNDER_IN]
        assert len({r.version for r in references}) == 3
        assert [read() for _, read in payloads(references)] == [PHOTOS[key] for key in UNDER_IN]
    assert [r.filename for r in listing(base.rstrip("/"))] == [
        base + key for key in ("exact.jpg", *UNDER_IN, "in2/other.jpg")
    ]
    (reference,) = listing(base + "exact.jpg")
    assert load(reference) == PHOTOS["exact.jpg"]
    options = ListingOptions(label_from_folder=True, find_regex="cat")
    assert [r.label for r in listing(base + "in", options=options)] == ["cat"]


def test_lists_of_objects(photos: Server, tmp_path: Path) -> None:
    entries = ["s3://photos/exact.jpg", "s3://photos/gone.jpg", "s3://photos/noextension", "s3://photos/in"]
    wanted = [
        ("exact.jpg", ""),
        ("gone.jpg", errors.MISSING_FILE),
        ("noextension", ""),
        *((key, "") for key in UNDER_IN),
    ]
    text = tmp_path / "list.txt"
    text.write_text("\n".join(entries))
    photos.fill("photos", {"lists/all.txt": text.read_bytes(), "in/here.csv": b"a b.jpg\ncat/1.jpeg\n"})
    for source in (entries, text, "s3://photos/lists/all.txt"):
        found = list(listing(source))
        assert [(r.filename.removeprefix("s3://photos/"), r.error_code) for r in found] == wanted
        assert all(r.version for r in found if not r.error_code)
        data = read_all(source)
        assert data["s3://photos/noextension"] == PHOTOS["noextension"]
        assert data["s3://photos/gone.jpg"] == errors.MISSING_FILE
    photos.fill("photos", {"in/wide.txt": '"a b.jpg"\r\ncat/1.jpeg\r\n'.encode("utf-16")})
    for list_file in ("here.csv", "wide.txt"):
        assert [r.filename for r in listing(f"s3://photos/in/{list_file}")] == [
            "s3://photos/in/a b.jpg",
            "s3://photos/in/cat/1.jpeg",
        ]


@pytest.mark.parametrize("count", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_small_objects(s3: Server, count: int) -> None:
    client = s3.client()
    name = f"many-{count}"
    s3.fill(name, {})
    content = {f"{i:05d}.jpg": f"object {i}".encode() for i in range(count)}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda item: client.put_object(Bucket=name, Key=item[0], Body=item[1]), content.items()))
    found = {r.filename.rpartition("/")[2]: read() for r, read in payloads(listing(f"s3://{name}"), io_threads=8)}
    assert list(found.items()) == list(content.items())


@pytest.mark.parametrize("packing", ["x.tar", "x.tgz", "x.zip", "stored.zip"])
@pytest.mark.parametrize("base", ["s3://packed/", "minio://test/packed/"])
def test_archives_in_a_bucket(s3: Server, tmp_path: Path, packing: str, base: str) -> None:
    s3.fill("packed", {f"{packing}.d/{packing}": pack(tmp_path / packing, CONTENT).read_bytes()})
    uri = f"{base}{packing}.d/{packing}"
    wanted = {f"{uri}/{name}": data for name, data in CONTENT.items()}
    for source in (uri, uri.rpartition("/")[0], [uri]):
        assert read_all(source) == wanted
    last = list(listing(uri))[-1]
    assert load(last) == list(CONTENT.values())[-1]
    assert named(last.filename) == last
    assert named(f"{uri}/gone.jpg").error_code == errors.MISSING_FILE


def test_a_large_archive_is_not_fetched_whole_to_list_it(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for i in range(20):
            archive.writestr(f"{i}.jpg", bytes([i]) * 100_000)
    s3.fill("packed", {"large/large.zip": data.getvalue()})
    asked: list[int] = []
    whole = objects.read_at
    monkeypatch.setattr(objects, "read_at", lambda u, o, n: asked.append(n) or whole(u, o, n))
    monkeypatch.setattr(objects, "BUFFER", 1 << 16)
    references = list(listing("s3://packed/large/large.zip"))
    assert len(references) == 20
    assert sum(asked) < 300_000
    del asked[:]
    assert load(references[7]) == bytes([7]) * 100_000
    assert len(asked) <= 4


def test_a_video_in_a_bucket(s3: Server, tmp_path: Path) -> None:
    s3.fill("films", {"v/a.mp4": film(tmp_path / "a.mp4").read_bytes(), "v/b.mp4": b"broken"})
    references = list(listing("s3://films/v"))
    assert references[2].filename == "s3://films/v/a.mp4#t=2.000"
    assert references[-1].error_code == errors.CORRUPT_CONTAINER
    assert [number_of(read()) for _, read in payloads(references[:-1])] == [r.frame_number for r in references[:-1]]


def test_objects_that_are_missing_forbidden_empty_or_too_large(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.fill("photos", {"bad/a.jpg": jpeg(1), "bad/empty.jpg": b"", "bad/vanishes.jpg": jpeg(2), "bad/z.jpg": jpeg(3)})
    s3.fill("secret", {"a.jpg": jpeg(1)})
    references = list(listing("s3://photos/bad"))
    s3.client().delete_object(Bucket="photos", Key="bad/vanishes.jpg")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    bucket._connections.clear()
    (forbidden,) = listing(["s3://secret/a.jpg"])
    assert forbidden.error_code == errors.UNREADABLE_FILE
    found = []
    for _, read in payloads([*references, listing_reference("s3://secret/a.jpg")]):
        try:
            found.append(read())
        except ImageError as error:
            found.append(error.code)
    assert found == [jpeg(1), errors.ZERO_SIZE_FILE, errors.MISSING_FILE, jpeg(3), errors.UNREADABLE_FILE]
    with pytest.raises(RemoteError, match="refuses to list"):
        check_input("s3://secret")
    monkeypatch.setattr(files, "MAX_ENCODED_BYTES", 10)
    with pytest.raises(ImageError) as caught:
        load(references[0])
    assert caught.value.code == errors.IMAGE_TOO_LARGE


def listing_reference(uri: str):
    from fastdup_db.sources import Reference

    return Reference(uri)


def test_wrong_credentials_buckets_and_names_fail_at_once(
    photos: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    photos.fill("photos", {"blank.txt": b""})
    began = time.monotonic()
    for wrong, error, message in [
        ("s3://no-such-bucket/x", BadInput, "bucket does not exist"),
        ("s3://NO/x", BadInput, "bucket does not exist|no valid name"),
        ("s3:///x", BadInput, "names no bucket"),
        ("minio://test", BadInput, "names no bucket"),
        ("minio://nobody/photos", BadInput, r"'nobody' is unknown; known: test\."),
        ("s3://photos/empty-prefix", BadInput, "no image"),
        ("s3://photos/data.yaml", BadInput, "yaml in a bucket"),
        ("s3://photos/gone.txt", BadInput, "list file s3://photos/gone.txt cannot be read .ERROR_MISSING_FILE"),
        ("s3://photos/blank.txt", BadInput, "holds no names"),
    ]:
        with pytest.raises(error, match=message):
            check_input(wrong)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-" + SECRET)
    bucket._connections.clear()
    for source in ("s3://photos/in", ["s3://photos/exact.jpg"]):
        with pytest.raises(RemoteError, match="refuses the credentials") as caught:
            list(listing(source))
        assert SECRET not in str(caught.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    bucket._connections.clear()
    with pytest.raises(RemoteError, match="no credentials found"):
        check_input("s3://photos/in")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "1")
    bucket._connections.clear()
    for source in ("s3://photos/in", "s3://photos/exact.jpg", "s3://photos/x.tar", "s3://photos/list.txt"):
        with pytest.raises(RemoteError, match="does not answer"):
            check_input(source)
    with pytest.raises(RemoteError, match="does not answer"):
        list(listing(["s3://photos/exact.jpg", "s3://photos/gone.jpg"]))
    assert time.monotonic() - began < 20
    assert SECRET not in caplog.text


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://host:99999", "http://:9000", "minio"])
def test_an_endpoint_that_is_no_address(s3: Server, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInput, match=re.escape(f"{endpoint!r} is no server's address; give http://host:port")):
        check_input("s3://photos/in")


def test_public_buckets_need_no_keys(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.fill("public", {"keyless/a.jpg": jpeg(1)})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(bucket, "_settings", bucket.Settings())
    bucket.configure(bucket.Settings(endpoint_url=s3.url, anonymous=True))
    assert list(read_all("s3://public/keyless").values()) == [jpeg(1)]


def test_an_object_that_breaks_off_is_no_object() -> None:
    """A server that dies in the middle of a body: what came is not taken for the whole."""

    class BreaksOff(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * (100 if "whole" in self.path else 50))

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="us-east-1",
            config=Config(signature_version=UNSIGNED),
        )
        direct = Direct(client, None, "us-east-1")
        assert direct.get("photos", "whole.jpg", limit=1000) == b"x" * 100
        assert direct.get("photos", "half.jpg", limit=1000) is None
        server.shutdown()


def test_aliases_come_from_mc_too(photos: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MC_HOST_test")
    config = tmp_path / "mc" / "config.json"
    config.parent.mkdir()
    config.write_text(
        json.dumps({"version": "10", "aliases": {"own": {"url": photos.url, "accessKey": KEY, "secretKey": SECRET}}})
    )
    assert len(list(listing("minio://own/photos/in"))) == 3
    with pytest.raises(BadInput, match="known: own"):
        check_input("minio://test/photos")
    config.write_text("{")
    bucket._connections.clear()
    with pytest.raises(BadInput, match="config"):
        check_input("minio://own/photos")
    monkeypatch.setenv("MC_HOST_bad", "no url")
    with pytest.raises(BadInput, match="MC_HOST_bad"):
        check_input("minio://bad/photos")


def test_a_server_that_goes_away_and_comes_back(photos: Server) -> None:
    photos.fill("photos", {f"back/{i:03d}.jpg": jpeg(i) for i in range(60)})
    pairs = payloads(listing("s3://photos/back"), io_threads=2)
    found = [next(pairs)[1]() for _ in range(10)]
    photos.kill_gateway()
    threading.Timer(1.5, photos.start).start()
    found += [read() for _, read in pairs]
    assert found == [jpeg(i) for i in range(60)]


def test_a_server_that_stays_away_ends_the_run_not_the_images(photos: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    references = list(listing("s3://photos/in"))
    monkeypatch.setattr(bucket, "PATIENCE_S", 0.5)
    photos.kill_gateway()
    try:
        with pytest.raises(RemoteError, match="does not answer"):
            load(references[0])
    finally:
        photos.start()
    assert load(references[0]) == PHOTOS[UNDER_IN[0]]


def test_prefetching_is_bounded_and_never_stuck() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def read(i: int) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        return bytes([i]) * 100

    def work(i: int):
        return lambda: read(i)

    references = [(listing_reference(f"s3://b/{i}")) for i in range(200)]
    sized = [type(r)(r.filename, file_size=100) for r in references]
    pairs = list(prefetched(((r, work(i)) for i, r in enumerate(sized)), threads=4, max_bytes=1000))
    time.sleep(0.2)
    assert most <= 10  # the budget of ten results is full, and nobody has asked for one
    assert [load()[0] for _, load in reversed(pairs)] == list(range(199, -1, -1))
    assert pairs[3][1]()[0] == 3  # once more
    del pairs
    iterator = prefetched(((r, work(i)) for i, r in enumerate(sized)), threads=4, max_bytes=1000)
    next(iterator)
    iterator.close()
    assert sum(1 for _ in prefetched(((r, work(i)) for i, r in enumerate(sized)), threads=4, max_bytes=1000)) == 200


def test_copying_first(photos: Server, tmp_path: Path) -> None:
    photos.fill("sync", {"p/a.jpg": jpeg(1), "p/x/b.tar": b"tar", "p/notes.md": b"text"})
    home = tmp_path / "copy"
    done: list[int] = []
    manifest = copies.sync_s3_to_local("s3://sync/p", folder=home, progress=done.append)
    assert sum(done) == len(list(objects.listed("s3://sync/p"))) - 1
    assert (home / "a.jpg").read_bytes() == jpeg(1)
    assert (home / "x" / "b.tar").read_bytes() == b"tar"
    assert copies.local_name("../../etc/./x//y.jpg") == "%2E%2E/%2E%2E/etc/%2E/x/%/y.jpg"
    first = (home / "a.jpg").stat().st_mtime_ns

    photos.fill("sync", {"p/x/b.tar": b"changed"})
    (home / "mine.jpg").write_bytes(b"mine")
    assert copies.sync_s3_to_local("s3://sync/p/", folder=home) == manifest
    assert (home / "a.jpg").stat().st_mtime_ns == first
    assert (home / "x" / "b.tar").read_bytes() == b"changed"

    photos.fill("sync", {"p/mine.jpg": b"theirs"})
    with pytest.raises(BadInput, match=r"mine\.jpg exists and was not copied"):
        copies.sync_s3_to_local("s3://sync/p", folder=home)
    photos.client().delete_object(Bucket="sync", Key="p/mine.jpg")

    manifest.open("a").write('{"uri": "cut off')
    assert copies.delete_copied(manifest, kinds={"archive"}) == 1
    assert not (home / "x").exists()
    (home / "a.jpg").write_bytes(b"edited by the user")
    copies.delete_copied(manifest)
    left = {p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()}
    assert left == {"mine.jpg", "a.jpg", copies.MANIFEST}
    (home / "a.jpg").unlink()
    copies.delete_copied(manifest)
    assert {p.name for p in home.iterdir()} == {"mine.jpg"}


@pytest.mark.parametrize(
    "key", [r"..\..\x.jpg", "C:/Windows/x.jpg", r"\\evil\share\x", "con .a/NUL", "Com1.jpg", "a. ./b.", 'a\n<>:"|?*']
)
def test_no_key_leads_out_of_the_folder_on_windows(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr(local_names, "_WINDOWS", True)
    path = PureWindowsPath(copies.local_name(key))
    assert not path.drive and not path.root and len(path.parts) == len(key.split("/"))
    for part in path.parts:
        assert not set(part) & set('\\:*?"<>|\n') and part[-1] not in ". " and not PureWindowsPath(part).is_reserved()
    assert unquote(path.as_posix()) == key, "and it can be told what it was"
    assert copies.local_name("a/b c.tar.gz") == "a/b c.tar.gz"


def test_a_name_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leads out of"):
        local_names.below(tmp_path, "a/../../x.jpg")


def test_keys_that_differ_in_case_only(photos: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "folds_case", lambda _: True)
    content = {"A.jpg": jpeg(1), "a.jpg": jpeg(2), "x.tar.gz": b"x", "x.TAR.gz": b"X"}
    photos.fill("sync", {f"case/{name}": data for name, data in content.items()})
    for _ in range(2):  # the second time by the manifest
        manifest = copies.sync_s3_to_local("s3://sync/case", folder=tmp_path, prune=True)
        paths = {entry.uri.rpartition("/")[2]: entry.path for entry in copies.read_manifest(manifest)}
        assert {name: (tmp_path / paths[name]).read_bytes() for name in content} == content
        assert len({path.lower() for path in paths.values()}) == 4
        assert paths["x.tar.gz"].endswith(".tar.gz") and paths["A.jpg"] == "A.jpg"
    assert copies.renamed(manifest, prefix="s3://sync/case/") == {
        f"s3://sync/case/{name}": path for name, path in paths.items() if name != path
    }


def test_a_key_that_is_a_folder_of_others() -> None:
    """Amazon's buckets hold both; the server of these tests does not."""
    keys = ["a.jpg", "a.jpg/b.jpg", "a.jpg/c.jpg/d.jpg", "a.jpg/c.jpg/e/f.jpg", "g/h.jpg", "g/h.jpg/i.jpg"]
    names = local_names.Names("s3://b/", folds_case=False)
    paths = {key: names.of(f"s3://b/{key}") for key in keys}
    assert paths["a.jpg"] == "a.jpg" and paths["g/h.jpg"] == "g/h.jpg"
    assert re.fullmatch(r"a-[0-9a-f]{16}\.jpg/b\.jpg", paths["a.jpg/b.jpg"])
    folders = {path[: end.start()] for path in paths.values() for end in re.finditer("/", path)}
    assert not folders & set(paths.values())
    again = local_names.Names("s3://b/", folds_case=False)
    for key, path in paths.items():
        again.keep(path, uri=f"s3://b/{key}")
    assert {key: again.of(f"s3://b/{key}") for key in keys} == paths
    assert again.of("s3://b/g") not in folders | set(paths.values()), "there was a folder first"


def test_a_copy_that_was_cut_off_goes_on(photos: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos.fill("sync", {f"cut/{i}.jpg": jpeg(i) for i in range(12)})
    monkeypatch.setattr(bucket, "PATIENCE_S", 0.0)
    count = 0

    def stop(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copies.sync_s3_to_local("s3://sync/cut", folder=tmp_path, threads=1, progress=stop)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.jpg")}
    assert 5 <= len(times) < 12
    copies.sync_s3_to_local("s3://sync/cut", folder=tmp_path)
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.jpg")} == {f"{i}.jpg": jpeg(i) for i in range(12)}
    assert not list(tmp_path.glob("*part*"))


def test_whether_a_folder_is_there(photos: Server) -> None:
    assert copies.s3_folder_exists_and_not_empty("s3://photos/in")
    assert copies.s3_folder_exists_and_not_empty("minio://test/photos/in/deep/")
    assert not copies.s3_folder_exists_and_not_empty("s3://photos/nothing")
    assert not copies.s3_folder_exists_and_not_empty("s3://photos/exact")
    with pytest.raises(BadInput, match="bucket does not exist"):
        copies.s3_folder_exists_and_not_empty("s3://nowhere/in")


def test_publishing_a_folder(s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.fill("published", {})
    (tmp_path / "sub").mkdir()
    (tmp_path / "run.duckdb").write_bytes(b"database")
    (tmp_path / "sub" / "large.lance").write_bytes(bytes(11 << 20))
    monkeypatch.setattr(copies, "_TRANSFER", copies.TransferConfig(multipart_threshold=6 << 20))
    uri = "s3://published/runs/1"
    assert copies.upload_folder(tmp_path, uri=uri) == ["run.duckdb", "sub/large.lance"]
    assert copies.upload_folder(tmp_path, uri=uri) == []
    (tmp_path / "run.duckdb").write_bytes(b"databasf")
    assert copies.upload_folder(tmp_path, uri=uri) == ["run.duckdb"]
    assert objects.read(uri + "/run.duckdb") == b"databasf"
    assert len(objects.read(uri + "/sub/large.lance")) == 11 << 20
    with pytest.raises(BadInput, match="bucket does not exist"):
        copies.upload_folder(tmp_path, uri="s3://nowhere/1")
    with pytest.raises(BadInput, match="no folder"):
        copies.upload_folder(tmp_path / "run.duckdb", uri=uri)
