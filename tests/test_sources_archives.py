"""Archives: members in order, read in place, and what is left of broken ones."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drawn import draw, jpeg

import fastdup_db
from fastdup_db import errors
from fastdup_db.errors import ImageError
from fastdup_db.pipeline.listing import resolve, stage
from fastdup_db.sources import ListingOptions, Reference, check_input, files, listing, load, named, naming, payloads
from fastdup_db.store import duck

NAMES = ("z.jpg", "a/b/deep, name.png", "ünï.jpg", "x" * 180 + ".jpg", "a/second.JPEG")
CONTENT = {name: jpeg(seed) for seed, name in enumerate(NAMES)}
PACKINGS = ("x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.txz", "x.zip", "stored.zip", "bz.zip")


def pack(path: Path, content: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    members = list(content.items()) if isinstance(content, dict) else content
    if path.suffix == ".zip":
        method = {"stored": zipfile.ZIP_STORED, "bz": zipfile.ZIP_BZIP2}.get(path.stem, zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return path
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".txz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read_all(source: object) -> dict[str, bytes | str]:
    """File name to bytes, or to the error code."""
    found: dict[str, bytes | str] = {}
    for reference, read in payloads(listing(source)):
        try:
            found[reference.filename] = read()
        except ImageError as error:
            found[reference.filename] = error.code
    return found


@pytest.mark.parametrize("packing", PACKINGS)
def test_members_are_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    archive = pack(tmp_path / packing, CONTENT)
    wanted = {f"{archive}/{name}": data for name, data in CONTENT.items()}
    for source in (archive, tmp_path, [archive], [str(tmp_path)]):
        found = read_all(source)
        assert found == wanted
        assert list(found) == list(wanted)
    assert list(tmp_path.iterdir()) == [archive]
    references = list(listing(archive))
    assert {r.container for r in references} == {str(archive)}
    assert [r.file_size for r in references] == [len(d) for d in CONTENT.values()]
    assert all(r.version for r in references)


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_reference_is_enough_in_any_order_thread_and_process(tmp_path: Path, packing: str) -> None:
    archive = pack(tmp_path / packing, CONTENT)
    references = pickle.loads(pickle.dumps(list(listing(archive))))
    assert [load(r) for r in reversed(references)] == [CONTENT[r.member] for r in reversed(references)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(load, references * 5)) == [CONTENT[r.member] for r in references * 5]


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    junk = {"notes.txt": b"x", "inner.zip": b"PK", "__MACOSX/a.jpg": b"x", "d/._a.jpg": b"x", "d/a.jpg": jpeg(1)}
    for packing in ("x.tar", "x.zip"):
        archive = pack(tmp_path / packing, junk)
        assert list(read_all(archive)) == [f"{archive}/d/a.jpg"]
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        tar.add(draw(tmp_path / "a.jpg"), "a.jpg")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("link.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert list(read_all(tmp_path / "links.tar")) == [f"{tmp_path}/links.tar/a.jpg"]


def test_names_are_only_names(tmp_path: Path) -> None:
    tricks = [("../../up.jpg", jpeg(1)), ("/etc/abs.jpg", jpeg(2)), ("./dot.jpg", jpeg(3)), ("c:\\win.jpg", jpeg(4))]
    for packing in ("x.tar", "x.zip"):
        archive = pack(tmp_path / packing, tricks)
        shown = ["../../up.jpg", "etc/abs.jpg", "dot.jpg", "c:\\win.jpg"]
        assert read_all(archive) == {f"{archive}/{n}": d for n, (_, d) in zip(shown, tricks, strict=True)}
        archive.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice(tmp_path: Path) -> None:
    for packing in ("x.tar", "x.tgz", "x.zip"):
        archive = pack(tmp_path / packing, [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2)), ("a.jpg", jpeg(3))])
        wanted = {f"{archive}/a.jpg": jpeg(1), f"{archive}/b.jpg": jpeg(2), f"{archive}/a.jpg#2": jpeg(3)}
        assert read_all(archive) == wanted


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    archive = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tar"))
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo(os.fsdecode(b"\xfe.jpg"))
        info.size = 4
        tar.addfile(info, io.BytesIO(b"data"))
    (reference,) = listing(tmp_path)
    assert reference.filename == f"{tmp_path}/\\xff.tar/\\xfe.jpg"
    assert load(reference) == b"data"
    (label,) = {r.label for r in listing(tmp_path, options=ListingOptions(label_from_folder=True))}
    assert label == ""


@pytest.mark.parametrize("packing", ["x.tar", "x.tgz", "x.zip"])
def test_a_name_alone_leads_back_to_its_member(tmp_path: Path, packing: str) -> None:
    (tmp_path / "y.tar").mkdir()
    archive = pack(tmp_path / "y.tar" / packing, {"in/a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    found = list(listing(archive))
    assert len(found) == 2
    for reference in found:
        assert named(reference.filename) == reference
        assert load(named(reference.filename)) == load(reference)
    assert named(f"{archive}/c.jpg").error_code == errors.MISSING_FILE


def test_a_member_is_found_by_a_path_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "WINDOWS", True)
    archive = pack(tmp_path / "x.zip", {"in/a.jpg": jpeg(1)})
    (reference,) = listing(archive)
    assert named(f"{archive}\\in\\a.jpg") == reference  # as `os.path.abspath` has it there
    assert naming.spellings(r"C:\y.tar\x.zip\in\a.jpg")[-1] == r"C:\y.tar\x.zip/in/a.jpg"
    with duck.scratch() as db:
        db.execute("ingest/create_staged")
        stage(db, [reference])
        assert resolve(db, [r"x.zip\in\a.jpg"], bases=[str(tmp_path)]).tolist() == [reference.filename]


def test_labels_and_selection_reach_into_archives(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tar", {"train/cat/1.jpg": jpeg(1), "test/dog/2.jpg": jpeg(2), "3.jpg": jpeg(3)})
    found = [(r.member, r.label, r.split) for r in listing(archive, options=ListingOptions(label_from_folder=True))]
    assert found == [("train/cat/1.jpg", "cat", "train"), ("test/dog/2.jpg", "dog", "test"), ("3.jpg", "", "")]
    assert [r.member for r in listing(archive, options=ListingOptions(find_regex="dog|cat", max_offset=1))] == [
        "train/cat/1.jpg"
    ]


@pytest.mark.parametrize("packing", ["x.tar", "x.tgz", "x.zip"])
def test_a_cut_archive_gives_what_is_left_and_one_error(tmp_path: Path, packing: str) -> None:
    content = {f"{i}.jpg": jpeg(i) for i in range(40)}
    archive = pack(tmp_path / packing, content)
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    found = read_all(archive)
    assert found.pop(str(archive)) == errors.CORRUPT_CONTAINER
    good = [Path(name).name for name, value in found.items() if value == content[Path(name).name]]
    assert 15 <= len(good) <= 25
    rest = [value for name, value in found.items() if Path(name).name not in good]
    assert len(rest) <= 1  # the one that was cut: a part of its bytes, or a code
    assert all(v == errors.CORRUPT_CONTAINER or content["0.jpg"][:2] == v[:2] for v in rest)


def test_damage_in_the_middle(tmp_path: Path) -> None:
    content = {f"{i}.jpg": jpeg(i) for i in range(9)}
    archive = pack(tmp_path / "x.tar", content)
    references = list(listing(archive))
    data = bytearray(archive.read_bytes())
    data[references[4].offset - 512 : references[4].offset] = b"garbage!" * 64
    archive.write_bytes(data)
    found = read_all(archive)
    assert [Path(n).name for n in found] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "x.tar"]
    assert found[str(archive)] == errors.CORRUPT_CONTAINER

    archive = pack(tmp_path / "stored.zip", content)
    references = list(listing(archive))
    data = bytearray(archive.read_bytes())
    data[references[4].offset + 60] ^= 0xFF
    data[references[5].offset] = 0
    archive.write_bytes(data)
    bad = {Path(n).name: v for n, v in read_all(archive).items() if v != content[Path(n).name]}
    assert bad == {"4.jpg": errors.CORRUPT_CONTAINER, "5.jpg": errors.CORRUPT_CONTAINER}


@pytest.mark.parametrize("ending", ["tar", "tgz", "zip"])
@pytest.mark.parametrize("content", [b"", b"text, no archive", os.urandom(5000), b"\x1f\x8b" + b"x" * 99, b"PK" * 50])
def test_what_only_calls_itself_an_archive(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content)
    assert read_all(path) == {str(path): errors.CORRUPT_CONTAINER}


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    for packing, name in (("x.tgz", "a.tar"), ("x.zip", "b.tar"), ("x.tar", "c.tgz"), ("x.tar", "d.zip")):
        pack(tmp_path / packing, CONTENT).rename(tmp_path / name)
        assert list(read_all(tmp_path / name).values()) == list(CONTENT.values())


@pytest.mark.parametrize("folder", ["PKLot", "BZhang"])
def test_a_tar_whose_first_name_begins_as_another_archive_does(tmp_path: Path, folder: str) -> None:
    content = {f"{folder}/{i}.jpg": jpeg(i) for i in range(3)}
    assert list(read_all(pack(tmp_path / "x.tar", content)).values()) == list(content.values())


@pytest.mark.parametrize("packing", ["x.zip", "stored.zip"])
def test_a_zip_behind_something_else(tmp_path: Path, packing: str) -> None:
    archive = pack(tmp_path / packing, CONTENT)
    archive.write_bytes(b"#!/bin/sh\nexec unzip $0\n" * 40 + archive.read_bytes())
    assert list(read_all(archive).values()) == list(CONTENT.values())


def test_a_wrong_checksum_at_the_end_of_a_gzip_is_an_error(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(pack(tmp_path / "x.tar", CONTENT).read_bytes()))
    (tmp_path / "whole.tgz").write_bytes(bytes(data) + b"what gzip passes over")
    data[-8] ^= 0xFF
    (tmp_path / "wrong.tgz").write_bytes(data)
    assert list(read_all(tmp_path / "whole.tgz").values()) == list(CONTENT.values())
    assert list(read_all(tmp_path / "wrong.tgz").values()) == [*CONTENT.values(), errors.CORRUPT_CONTAINER]


def test_absent_archives_are_rows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    assert read_all([tmp_path / "gone.tar", tmp_path / "pipe.tar"]) == {
        f"{tmp_path}/gone.tar": errors.MISSING_FILE,
        f"{tmp_path}/pipe.tar": errors.UNREADABLE_FILE,
    }
    archive = pack(tmp_path / "x.tar", CONTENT)
    references = list(listing(archive))
    archive.unlink()
    with pytest.raises(ImageError) as caught:
        load(references[0])
    assert caught.value.code == errors.MISSING_FILE


def test_encrypted_and_empty_members(tmp_path: Path) -> None:
    archive = pack(tmp_path / "stored.zip", {"a.jpg": jpeg(1), "empty.jpg": b"", "b.jpg": jpeg(2)})
    data = bytearray(archive.read_bytes())
    place = data.find(b"PK\1\2")
    struct.pack_into("<H", data, place + 8, 1)  # flag bit 0 of the first member in the directory: encrypted
    archive.write_bytes(data)
    assert list(read_all(archive).values()) == [errors.UNREADABLE_FILE, errors.ZERO_SIZE_FILE, jpeg(2)]


def test_bombs_are_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ENCODED_BYTES", 1 << 20)
    for packing in ("x.zip", "bz.zip", "x.tgz"):
        archive = pack(tmp_path / packing, {"bomb.jpg": bytes(20 << 20), "a.jpg": jpeg(1)})
        assert list(read_all(archive).values()) == [errors.IMAGE_TOO_LARGE, jpeg(1)]


def test_a_member_that_inflates_beyond_its_declared_size(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", {"liar.jpg": bytes(50 << 20)})
    (reference,) = listing(archive)
    liar = Reference(reference.filename, str(archive), offset=reference.offset, file_size=1000, version="crc32:0")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError) as caught:
        load(liar)
    assert caught.value.code == errors.CORRUPT_CONTAINER
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_a_compressed_tar_is_closed_after_a_run(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tgz", {f"{i}.jpg": jpeg(i) for i in range(3)})
    fastdup_db.create(tmp_path / "work", archive).run(progress=False)
    descriptors = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    assert str(archive) not in {os.readlink(path) for path in descriptors if os.path.islink(path)}


def test_an_abandoned_pass_over_a_compressed_tar_ends(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tgz", {f"{i}.jpg": jpeg(i) for i in range(200)})
    pairs = payloads(listing(archive))
    assert next(pairs)[1]() == jpeg(0)
    pairs.close()
    assert len(read_all(archive)) == 200


def test_an_archive_alone_is_a_valid_input(tmp_path: Path) -> None:
    check_input(pack(tmp_path / "x.tgz", CONTENT), work_dir=tmp_path / "work")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tgz"], "nothing is written"


def test_gzip_members_one_after_the_other(tmp_path: Path) -> None:
    """pigz and bgzip write several gzip members into one file."""
    data = pack(tmp_path / "x.tar", CONTENT).read_bytes()
    half = len(data) // 2
    (tmp_path / "x.tgz").write_bytes(gzip.compress(data[:half]) + gzip.compress(data[half:]))
    (tmp_path / "y.tar.bz2").write_bytes(bz2.compress(data[:half]) + bz2.compress(data[half:]))
    for name in ("x.tgz", "y.tar.bz2"):
        assert list(read_all(tmp_path / name).values()) == list(CONTENT.values())


@pytest.mark.slow
def test_five_gigabytes_of_tar_in_bounded_memory(tmp_path: Path) -> None:
    """50,000 members of 100 kB: listing and reading hold neither headers nor bytes."""
    block = jpeg(1, height=200, width=400)
    block = (block + bytes(100 * 1024))[: 100 * 1024]
    path = tmp_path / "big.tar"
    with path.open("wb") as file:
        for i in range(50_000):
            info = tarfile.TarInfo(f"folder/{i:06d}.jpg")
            info.size = len(block)
            file.write(info.tobuf() + block)
        file.write(bytes(1024))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = total = 0
    for _, read in payloads(listing(path)):
        count += 1
        total += len(read())
    assert (count, total) == (50_000, 50_000 * len(block))
    assert total > 5_000_000_000
    path.unlink()  # pytest would keep the last three of them
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
