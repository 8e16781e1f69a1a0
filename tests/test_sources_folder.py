"""Folders, lists, single images: which references come, in which order, and what their bytes are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import draw

from fastdup_db import errors
from fastdup_db.errors import BadArgument, BadInput, ImageError
from fastdup_db.sources import ListingOptions, check_input, files, listing, load, named, payloads


def names(input_dir, **options) -> list[str]:
    return [r.filename for r in listing(input_dir, options=ListingOptions(**options))]


def test_a_folder_is_listed_by_full_path(tmp_path: Path) -> None:
    wanted = [draw(tmp_path / n) for n in ("a-b/x.jpg", "a.jpg", "a/y/z.PNG", "a0.jpeg", "b.jpg/inner.bmp")]
    (tmp_path / "notes.txt").write_text("no image")
    draw(tmp_path / "a" / "._y.jpg")
    draw(tmp_path / "__MACOSX" / "q.jpg")
    assert names(tmp_path) == [str(p) for p in wanted] == sorted(str(p) for p in wanted)


@pytest.mark.parametrize(
    "name", ["sp ace.jpg", "com,ma.jpg", "quo\"te'.jpg", "new\nline.jpg", "ünï-日本.jpg", "x" * 250 + ".jpg", " .jpg"]
)
def test_any_name_is_read_back(tmp_path: Path, name: str) -> None:
    path = draw(tmp_path / name)
    for source in (tmp_path, path, [path], [tmp_path]):
        (pair,) = payloads(listing(source))
        assert pair[0].filename == str(path)
        assert pair[1]() == path.read_bytes()


def test_a_name_that_is_not_utf8_is_shown_escaped_and_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/bad\xff.jpg"
    Path(os.fsdecode(path)).write_bytes(b"data")
    (reference,) = listing(tmp_path)
    assert reference.filename == str(tmp_path) + "/bad\\xff.jpg"
    reference.filename.encode()
    assert load(reference) == b"data"


def test_names_that_look_like_escapes_are_told_from_those_that_are(tmp_path: Path) -> None:
    raw = [b"bad\xff.jpg", rb"bad\xff.jpg", rb"bad\x5cxff.jpg", rb"bad\xFF.jpg", rb"back\slash.jpg"]
    for name in raw:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    found = {Path(r.filename).name: load(r) for r in listing(tmp_path)}
    assert found == {
        r"bad\xff.jpg": raw[0],
        r"bad\x5cxff.jpg": raw[1],
        r"bad\x5cx5cxff.jpg": raw[2],
        r"bad\xFF.jpg": raw[3],
        r"back\slash.jpg": raw[4],
    }
    for shown, name in found.items():
        assert os.fsencode(files.shown_path(shown)) == name
    folder = tmp_path / r"in\xab"
    draw(folder / "cat" / "1.jpg")
    (reference,) = listing(folder, options=ListingOptions(label_from_folder=True))
    assert reference.label == "cat" and load(reference)


def test_a_path_of_windows_holds_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_WINDOWS", True)
    path = r"C:\photos\x64\1.jpg"
    assert [name(path) for name in (files.shown, files.shown_path, files.stored, files.opened_by)] == [path] * 4


def test_a_tree_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    image = os.open("x.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(image, b"deep")
    os.close(image)
    os.close(here)
    try:
        (reference,) = listing(tmp_path)
        assert load(reference) == b"deep"
    finally:  # shutil.rmtree, which pytest cleans up with, does not get that deep
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_link_loops_and_broken_links(tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a" / "1.jpg")
    outside = draw(tmp_path / "out" / "2.jpg").parent
    root = tmp_path / "in"
    (root / "a" / "up").symlink_to(root)
    (root / "linked").symlink_to(outside)
    (root / "linked_again").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = list(listing(root))
    assert [(Path(r.filename).relative_to(root).as_posix(), r.error_code) for r in found] == [
        ("a/1.jpg", ""),
        ("gone.jpg", errors.MISSING_FILE),
        ("linked/2.jpg", ""),
    ]
    assert names(root, follow_symlinks=False) == [str(root / "a/1.jpg"), str(root / "gone.jpg")]


def test_junctions_are_followed_as_links_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "a" / "1.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    monkeypatch.setattr(os.path, "isjunction", os.path.islink, raising=False)
    monkeypatch.setattr(os.path, "islink", lambda path: False)
    assert names(tmp_path) == [str(tmp_path / "a" / "1.jpg")]


@pytest.mark.parametrize(
    "system", ["$Recycle.Bin", "System Volume Information", ".Trashes", ".Trash-1000", "@eaDir", "My.photoslibrary"]
)
def test_folders_of_systems_are_passed_over_but_as_the_input(tmp_path: Path, system: str) -> None:
    kept, thrown = draw(tmp_path / "sub" / "a.jpg"), draw(tmp_path / "sub" / system / "S-1" / "a.jpg")
    assert names(tmp_path) == [str(kept)]
    assert names(tmp_path / "sub" / system) == [str(thrown)]


def test_links_to_themselves_cost_nothing_but_themselves(tmp_path: Path) -> None:
    wanted = [draw(tmp_path / n) for n in ("a.jpg", "sub/b.jpg", "z.jpg")]
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "sub" / "loop").symlink_to("loop")
    (tmp_path / "sub" / "first.jpg").symlink_to("second.jpg")
    (tmp_path / "sub" / "second.jpg").symlink_to("first.jpg")
    found = {r.filename: r.error_code for r in listing(tmp_path)}
    bad = [str(tmp_path / n) for n in ("self.jpg", "sub/first.jpg", "sub/second.jpg")]
    assert found == {**{str(p): "" for p in wanted}, **dict.fromkeys(bad, errors.UNREADABLE_FILE)}
    check_input(tmp_path)


def test_excluded_folders_are_passed_over(tmp_path: Path) -> None:
    kept = draw(tmp_path / "a.jpg")
    draw(tmp_path / "work" / "thumb.jpg")
    assert names(tmp_path, exclude=(str(tmp_path / "work"),)) == [str(kept)]


def test_bad_files_are_codes_not_exceptions(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    missing = tmp_path / "missing.jpg"
    codes = {}
    for reference, read in payloads(listing([tmp_path, missing, "nul\0.jpg"])):
        with pytest.raises(ImageError) as caught:
            read()
        codes[Path(reference.filename).name] = caught.value.code
    assert codes == {
        "empty.jpg": errors.ZERO_SIZE_FILE,
        "pipe.jpg": errors.UNREADABLE_FILE,
        "missing.jpg": errors.MISSING_FILE,
        "nul\0.jpg": errors.MISSING_FILE,
    }


def test_a_file_that_vanishes_after_listing(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.jpg")
    (reference,) = listing(tmp_path)
    path.unlink()
    with pytest.raises(ImageError) as caught:
        load(reference)
    assert caught.value.code == errors.MISSING_FILE


def test_selection(tmp_path: Path) -> None:
    paths = [str(draw(tmp_path / f"{i}.jpg", seed=i)) for i in range(6)]
    (tmp_path / "7.jpg").write_bytes(b"tiny")
    every = [*paths, str(tmp_path / "7.jpg")]
    assert names(tmp_path) == every
    assert names(tmp_path, find_regex=r"[24]\.jpg$") == [paths[2], paths[4]]
    assert names(tmp_path, num_images=2) == paths[:2]
    assert names(tmp_path, min_offset=1, max_offset=3) == paths[1:3]
    assert names(tmp_path, min_offset=5) == every[5:]
    assert names(tmp_path, max_offset=4, num_images=1) == paths[:1]
    assert names(tmp_path, min_file_size=100) == paths


@pytest.mark.parametrize(
    "wrong",
    [
        {"find_regex": "("},
        {"num_images": -3},
        {"min_offset": 1.5},
        {"min_offset": 3, "max_offset": 3},
        {"min_file_size": -1},
        {"video_fps": 0},
    ],
)
def test_wrong_options_are_refused(wrong: dict) -> None:
    with pytest.raises(BadArgument, match=next(iter(wrong))[:4]):
        ListingOptions(**wrong)


def test_a_list_keeps_its_order_and_takes_any_extension(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "z.jpg"), draw(tmp_path / "photo")
    inner = [draw(tmp_path / "dir" / n) for n in ("1.jpg", "2.jpg")]
    draw(tmp_path / "dir" / "unknown.xyz")
    assert names([first, tmp_path / "dir", str(second)]) == [str(p) for p in (first, *inner, second)]


def test_list_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [draw(tmp_path / n) for n in ("b, c.jpg", 'say "x".jpg', "ü.jpg", "plain", " lead.jpg")]
    text = tmp_path / "list.txt"
    text.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["", *map(str, images), f"  {images[2]}  ", " "]).encode())
    wanted = [*map(str, images), str(images[2])]
    assert names(text) == wanted
    assert names(text.rename(tmp_path / "noextension")) == wanted
    text = tmp_path / "list.csv"
    text.write_text(f'{images[0]}\n"{images[2]}"\n')
    assert names(text) == [str(images[0]), str(images[2])]
    newline = draw(tmp_path / "two\nlines.jpg")
    text.write_text(f'label,filename\ncat,"{images[0]}"\ndog,"{newline}"\nnone,\n')
    assert names(text) == [str(images[0]), str(newline)]
    text.write_text("ü.jpg\nmissing.jpg\n")
    monkeypatch.chdir("/")
    found = list(listing(text))
    assert [(r.filename, r.error_code) for r in found] == [
        (str(images[2]), ""),
        (str(tmp_path / "missing.jpg"), errors.MISSING_FILE),
    ], "named alike wherever one stands"


@pytest.mark.parametrize(
    "text",
    [
        'filename,label\n"a.jpg" ,cat\nb.jpg,dog',
        'label,filename\n"a cat" ,a.jpg\nb,b.jpg',
        'filename,caption\na.jpg,"he said "hi" there"\nb.jpg,x',
        'filename,caption\na.jpg,"he said \\"hi\\" there"\nb.jpg,x\n',
        'filename,caption\na.jpg,5" screen\nb.jpg,"two\nlines"',
    ],
)
def test_quotes_as_programs_write_them(tmp_path: Path, text: str) -> None:
    images = [draw(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    (tmp_path / "list.csv").write_text(text)
    assert names(tmp_path / "list.csv") == [str(path) for path in images]


@pytest.mark.parametrize("rows", [3, 20_000])
def test_a_quote_that_does_not_close_loses_no_rows(tmp_path: Path, rows: int) -> None:
    text = tmp_path / "list.csv"
    text.write_text('filename,label\n0.jpg,"a\n' + "1.jpg,b\n" * rows)
    with pytest.raises(BadInput, match="is no proper CSV"):
        list(listing(text))


@pytest.mark.skipif(os.name == "nt", reason="a backslash separates folders there")
def test_class_folders_whose_names_no_text_can_show(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"caf\xe8", b"a\\b", b"we\\x41ird"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        draw(Path(os.fsdecode(folder)) / "1.jpg")
    draw(tmp_path / os.fsdecode(b"\xff.jpg"))
    found = list(listing(tmp_path, options=ListingOptions(label_from_folder=True)))
    assert sorted(r.label for r in found) == ["", "a\\b", "caf\\xe8", "caf\\xe9", "we\\x5cx41ird"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_list_files_of_other_programs(tmp_path: Path, encoding: str) -> None:
    images = [draw(tmp_path / n) for n in ("ü.jpg", "b;c.jpg", "plain.jpg")]

    def written(name: str, text: str) -> Path:
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        (tmp_path / name).write_bytes(mark + text.encode(encoding))
        return tmp_path / name

    wanted = [str(p) for p in images]
    assert names(written("list.txt", "\r\n".join([wanted[0], f'"{wanted[1]}"', ' "plain.jpg" ']))) == wanted
    assert names(written("list", "\n".join(wanted))) == wanted
    for separator in ",;\t":
        rows = [f'cat{separator}"{p}"{separator}1' for p in wanted]
        table = "\r\n".join([f"Label{separator} FileName{separator}n", *rows])
        assert names(written("list.csv", table)) == wanted
    assert names(written("list.csv", "FILENAME\n" + "\n".join(wanted))) == wanted
    draw(tmp_path / '"quoted".jpg')
    (tmp_path / '"odd.jpg"').write_bytes(b"data")
    assert names(written("list.txt", '"quoted".jpg\n"odd.jpg"')) == [
        str(tmp_path / '"quoted".jpg'),
        str(tmp_path / '"odd.jpg"'),
    ]


def test_a_list_file_of_missing_names_says_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = tmp_path / "list.txt"
    text.write_text("\ngone/1.jpg\ngone/2.jpg\n")
    for call in (check_input, listing):
        with pytest.raises(BadInput, match=rf"'gone/1.jpg' \(looked for in {tmp_path} and in /\)"):
            call(text)
    text.write_text("/gone/1.jpg\n")
    with pytest.raises(BadInput, match=r"first name is '/gone/1.jpg'$"):
        check_input(text)


def test_columns_and_arrays_of_paths(tmp_path: Path) -> None:
    paths = [draw(tmp_path / n) for n in ("b.jpg", "a.jpg")]
    texts = [str(p) for p in paths]
    given = [pd.Series(texts, index=[7, 3]), pd.Series(paths, dtype=object), np.array(texts), np.array(paths), texts]
    for form in given:
        assert names(form) == texts
        assert names(list(form)) == texts
        check_input(form)
    assert names(np.array(str(tmp_path))) == sorted(texts)
    with pytest.raises(BadInput, match="holds nan"):
        listing(pd.Series([texts[0], float("nan")], dtype=object))
    with pytest.raises(BadInput, match="same folder"):
        check_input(pd.Series([str(tmp_path)]), work_dir=tmp_path)


def test_a_name_alone_leads_back_to_its_file(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")).write_bytes(b"data")
    for reference in listing(tmp_path):
        assert named(reference.filename) == reference
    assert named(str(tmp_path / "gone.jpg")).error_code == errors.MISSING_FILE
    assert named("nul\0.jpg").error_code == errors.MISSING_FILE


def test_labels_of_class_folders(tmp_path: Path) -> None:
    for name in ("top.jpg", "cat/1.jpg", "dog/deep/2.jpg", "train/cat/3.jpg", "val/4.jpg"):
        draw(tmp_path / name)
    found = {
        Path(r.filename).name: (r.label, r.split)
        for r in listing(tmp_path, options=ListingOptions(label_from_folder=True))
    }
    assert found == {
        "top.jpg": ("", ""),
        "1.jpg": ("cat", ""),
        "2.jpg": ("dog", ""),
        "3.jpg": ("cat", "train"),
        "4.jpg": ("", "val"),
    }
    (reference,) = listing([tmp_path / "cat/1.jpg"], options=ListingOptions(label_from_folder=True))
    assert reference.label == "cat"


def test_inputs_that_no_run_can_use(tmp_path: Path) -> None:
    image = draw(tmp_path / "images" / "1.jpg")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "coco.json").write_text("{}")
    refused = [
        (None, "missing"),
        ("", "empty"),
        (tmp_path / "nowhere", "does not exist"),
        (empty, "no image"),
        ([], "empty list"),
        ([3], "holds 3"),
        (7, "type int"),
        ("nul\0", "NUL"),
        (tmp_path / "coco.json", "annotations="),
        (tmp_path / "empty.txt", "holds no names"),
    ]
    for wrong, text in refused:
        with pytest.raises(BadInput, match=text):
            check_input(wrong)
    check_input(image.parent, work_dir=tmp_path / "work")
    check_input([image, "nul\0.jpg"], work_dir=tmp_path / "work")
    check_input(np.array([str(image)]))
    with pytest.raises(BadInput, match="is a file"):
        check_input(image.parent, work_dir=image)
    with pytest.raises(BadInput, match="same folder"):
        check_input(image.parent, work_dir=image.parent / ".." / "images")
    with pytest.raises(BadInput, match="same folder"):
        check_input([image.parent], work_dir=str(image.parent))
    with pytest.raises(BadInput, match="archive or video"):
        check_input(image.parent, options=ListingOptions(tar_only=True))
    assert not (tmp_path / "work").exists()
    assert sorted(p.name for p in image.parent.iterdir()) == ["1.jpg"]


def test_images_beside_archives_are_refused_by_name(tmp_path: Path) -> None:
    draw(tmp_path / "1.jpg")
    (tmp_path / "2.tar").touch()
    with pytest.raises(BadInput, match=r"1\.jpg.*2\.tar.*tar_only=True"):
        check_input(tmp_path)
    check_input(tmp_path, options=ListingOptions(tar_only=True))


@pytest.mark.skipif(not hasattr(os, "fork") or os.getuid() != 0, reason="needs to give up root to be refused anything")
def test_unreadable_folders_and_files(tmp_path: Path) -> None:
    draw(tmp_path / "in" / "ok.jpg")
    draw(tmp_path / "in" / "secret.jpg").chmod(0)
    draw(tmp_path / "in" / "locked" / "x.jpg").parent.chmod(0)
    draw(tmp_path / "linked" / "a.jpg")
    (tmp_path / "linked" / "x.jpg").symlink_to(tmp_path / "in" / "locked" / "x.jpg")
    (tmp_path / "linked" / "folder").symlink_to(tmp_path / "in" / "locked" / "inner")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    os.seteuid(65534)
    try:
        found = {}
        for reference, read in payloads(listing(tmp_path / "in")):
            try:
                read()
                found[Path(reference.filename).name] = ""
            except ImageError as error:
                found[Path(reference.filename).name] = error.code
        with pytest.raises(BadInput, match="cannot be read"):
            check_input(tmp_path / "in" / "locked")
        (link,) = [r for r in listing(tmp_path / "linked") if r.error_code]
        assert (Path(link.filename).name, link.error_code) == ("x.jpg", errors.UNREADABLE_FILE)
        assert names(tmp_path / "linked")[0] == str(tmp_path / "linked" / "a.jpg")
        with pytest.raises(BadInput, match="no permission"):
            check_input(tmp_path / "in" / "secret.jpg")
    finally:
        os.seteuid(0)
    assert found == {"locked": errors.UNREADABLE_FILE, "ok.jpg": "", "secret.jpg": errors.UNREADABLE_FILE}
