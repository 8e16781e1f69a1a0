"""Taking files away: nothing outside the plan is touched, undo is byte for byte, a kill at any step is mended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastdup_db.cleaning import cleaner, files, manifest
from fastdup_db.cleaning.cleaner import Known
from fastdup_db.errors import BadArgument

NAMES = st.sampled_from(
    ["a.jpg", "b.png", "été.jpg", "with space.jpg", "line\nbreak.jpg", "quote'\".jpg", "raw\udcff.jpg"]
)
FOLDERS = st.sampled_from(["", "sub", "sub/deep"])
TREES = st.dictionaries(
    st.tuples(FOLDERS, NAMES), st.tuples(st.binary(max_size=40), st.booleans()), min_size=1, max_size=10
)
"""(folder, name) -> (bytes, whether the plan takes it away)."""
KILLS = st.tuples(st.integers(0, 40), st.booleans())
"""Which call of the filesystem is the last, and whether it still happens."""
CALLS = ("link", "unlink", "rename", "fsync")
LINK = os.link
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _draw(root: Path, tree: dict) -> tuple[list[Known], dict[str, tuple]]:
    """Writes the tree; what the plan knows, and the state of everything under the root."""
    shutil.rmtree(root, ignore_errors=True)
    known = []
    for (folder, name), (data, goes) in tree.items():
        path = root / "in" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(1_600_000_000_000_000_123, 1_600_000_000_000_000_123))
        if goes:
            status = path.stat()
            known.append(Known(str(path), str(path), status.st_size, status.st_mtime_ns))
    return known, _state(root / "in")


def _state(root: Path) -> dict[str, tuple]:
    """Every file below a folder: its bytes' hash, time and mode, or where the link leads."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            said = os.readlink(path) if os.path.islink(path) else hashlib.sha256(Path(path).read_bytes()).hexdigest()
            found[os.path.relpath(path, root)] = (said, status.st_mtime_ns, status.st_mode)
    return found


def _far(source: str, target: str, **_options: object) -> None:
    """`os.link` as if every folder were a filesystem of its own."""
    if os.path.dirname(source) != os.path.dirname(target):
        raise OSError(18, "Invalid cross-device link")
    LINK(source, target, follow_symlinks=False)


def _killed(work: Callable[[], object], *, at: int, still: bool, is_far: bool = False) -> bool:
    """Run `work` in a child that dies at its `at`-th call of the filesystem; whether it died.

    is_far: every folder is a filesystem of its own.
    """
    child = os.fork()
    if child == 0:
        seen = 0
        if is_far:
            os.link = _far

        def dying(call: Callable) -> Callable:
            def wrapper(*args, **kwargs):
                nonlocal seen
                seen += 1
                if seen - 1 != at:
                    return call(*args, **kwargs)
                if still:
                    call(*args, **kwargs)
                os._exit(9)

            return wrapper

        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@MANY
@given(tree=TREES)
def test_only_the_plan_moves_and_undo_is_byte_for_byte(tmp_path: Path, tree):
    known, before = _draw(tmp_path, tree)
    steps = cleaner.plan(known)
    assert _state(tmp_path / "in") == before, "planning touches nothing"
    done = cleaner.quarantine(steps, folder=tmp_path / "q")
    gone = {os.path.relpath(one.path, tmp_path / "in") for one in known}
    assert _state(tmp_path / "in") == {name: was for name, was in before.items() if name not in gone}
    assert {step.status for step in done} <= {cleaner.MOVED}
    for step in done:
        assert (
            _state(Path(step.target).parent)[Path(step.target).name]
            == before[os.path.relpath(step.path, tmp_path / "in")]
        )
    assert {step.status for step in cleaner.undo(tmp_path / "q")} <= {cleaner.RESTORED}
    assert _state(tmp_path / "in") == before
    assert {step.status for step in cleaner.undo(tmp_path / "q")} <= {cleaner.IN_PLACE}, "again is harmless"


@MANY
@given(tree=TREES, kill=KILLS, undo_kill=KILLS, is_far=st.booleans())
def test_a_kill_anywhere_is_taken_back(tmp_path: Path, tree, kill, undo_kill, is_far):
    known, before = _draw(tmp_path, tree)
    steps = cleaner.plan(known)
    folder = tmp_path / "q"
    _killed(lambda: cleaner.quarantine(steps, folder=folder), at=kill[0], still=kill[1], is_far=is_far)
    untouched = {
        name: was for name, was in before.items() if str(tmp_path / "in" / name) not in {s.path for s in steps}
    }
    assert untouched.items() <= _state(tmp_path / "in").items()
    if not (folder / manifest.NAME).exists():
        assert _state(tmp_path / "in") == before, "before the manifest is there, nothing has moved"
        return
    _killed(lambda: cleaner.undo(folder), at=undo_kill[0], still=undo_kill[1], is_far=is_far)
    statuses = {step.status for step in cleaner.undo(folder)}
    assert statuses <= {cleaner.RESTORED, cleaner.IN_PLACE}
    assert _state(tmp_path / "in") == before
    assert not any((folder / manifest.FILES).iterdir())


@MANY
@given(tree=TREES, kill=KILLS, is_far=st.booleans())
def test_a_kill_anywhere_is_carried_on(tmp_path: Path, tree, kill, is_far):
    known, before = _draw(tmp_path, tree)
    steps = cleaner.plan(known)
    folder = tmp_path / "q"
    _killed(lambda: cleaner.quarantine(steps, folder=folder), at=kill[0], still=kill[1], is_far=is_far)
    if not (folder / manifest.NAME).exists():
        cleaner.quarantine(steps, folder=folder)
    else:
        assert {step.status for step in cleaner.resume(folder)} <= {cleaner.MOVED}
    gone = {os.path.relpath(one.path, tmp_path / "in") for one in known}
    assert set(_state(tmp_path / "in")) == set(before) - gone
    assert len(list((folder / manifest.FILES).iterdir())) == len(gone)
    cleaner.undo(folder)
    assert _state(tmp_path / "in") == before


@pytest.fixture
def one(tmp_path: Path) -> Known:
    path = tmp_path / "in" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"picture")
    status = path.stat()
    return Known("a.jpg", str(path), status.st_size, status.st_mtime_ns)


def test_a_file_changed_since_the_run_stays(one: Known, tmp_path):
    Path(one.path).write_bytes(b"another picture")
    (step,) = cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    assert step.status == cleaner.CHANGED and Path(one.path).read_bytes() == b"another picture"


def test_a_file_changed_between_plan_and_move_stays(one: Known, tmp_path):
    steps = cleaner.plan([one])
    Path(one.path).write_bytes(b"another picture")
    for do, folder in ((cleaner.quarantine, "q"), (cleaner.delete, "d")):
        (step,) = do(steps, folder=tmp_path / folder)
        assert step.status == cleaner.CHANGED and Path(one.path).read_bytes() == b"another picture"
        assert os.listdir(tmp_path / folder / manifest.FILES) == []


def test_undo_overwrites_nothing(one: Known, tmp_path):
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    Path(one.path).write_bytes(b"newer")
    (step,) = cleaner.undo(tmp_path / "q")
    assert step.status == cleaner.OCCUPIED and Path(one.path).read_bytes() == b"newer"
    assert Path(step.target).read_bytes() == b"picture"


def test_undo_makes_folders_that_are_gone(one: Known, tmp_path):
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    Path(one.path).parent.rmdir()
    cleaner.undo(tmp_path / "q")
    assert Path(one.path).read_bytes() == b"picture"


def test_a_kept_image_reached_by_another_name_stays(one: Known, tmp_path):
    """A linked folder shows the same file twice; a link would dangle without the file it leads to."""
    (tmp_path / "mirror").symlink_to(tmp_path / "in")
    (tmp_path / "link.jpg").symlink_to(one.path)
    for kept in (tmp_path / "mirror" / "a.jpg", tmp_path / "link.jpg"):
        (step,) = cleaner.plan([one], kept=[str(kept)])
        assert step.status == cleaner.SHARED
    link = Known("link.jpg", str(tmp_path / "link.jpg"), one.size, one.mtime_ns)
    (step,) = cleaner.quarantine(cleaner.plan([link], kept=[one.path]), folder=tmp_path / "q")
    assert step.status == cleaner.MOVED and Path(one.path).read_bytes() == b"picture", "of a link, the link goes"
    cleaner.undo(tmp_path / "q")
    assert os.readlink(tmp_path / "link.jpg") == one.path


def test_a_link_goes_with_the_file_it_leads_to(one: Known, tmp_path):
    link = tmp_path / "in" / "link.jpg"
    link.symlink_to(one.path)
    (far := link.with_name("far.jpg")).symlink_to("link.jpg")
    links = [Known(path.name, str(path), one.size, one.mtime_ns) for path in (link, far)]
    steps = cleaner.plan([one, *links])
    done = cleaner.quarantine(steps, folder=tmp_path / "q")
    assert [step.filename for step in done] == ["a.jpg", "link.jpg", "far.jpg"]
    assert {step.status for step in done} == {cleaner.MOVED}
    assert os.listdir(tmp_path / "in") == []
    cleaner.undo(tmp_path / "q")
    assert far.read_bytes() == b"picture"
    assert os.readlink(link) == one.path and os.readlink(far) == "link.jpg"
    cleaner.delete(steps, folder=tmp_path / "d")
    assert os.listdir(tmp_path / "in") == []


def test_the_same_file_twice_is_one_step(one: Known, tmp_path):
    (tmp_path / "mirror").symlink_to(tmp_path / "in")
    again = Known("again", str(tmp_path / "mirror" / "a.jpg"), one.size, one.mtime_ns)
    (step,) = cleaner.plan([one, again])
    assert (step.path, step.status) == (one.path, cleaner.PLANNED)


def test_another_filesystem_gets_a_copy_first(one: Known, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", _far)
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    assert not Path(one.path).exists()
    cleaner.undo(tmp_path / "q")
    status = Path(one.path).stat()
    assert Path(one.path).read_bytes() == b"picture" and status.st_mtime_ns == one.mtime_ns


def test_a_copy_on_its_way_back_takes_no_name_of_a_users_file(tmp_path, monkeypatch):
    """`a.jpg.part` beside it is the user's, and the longest name that a filesystem takes has no room for more."""
    monkeypatch.setattr(os, "link", _far)
    tree = {
        ("", "a.jpg"): (b"picture", True),
        ("", "a.jpg.part"): (b"mine", False),
        ("", "l" * 251 + ".jpg"): (b"", True),
    }
    known, before = _draw(tmp_path, tree)
    cleaner.quarantine(cleaner.plan(known), folder=tmp_path / "q")
    assert {step.status for step in cleaner.undo(tmp_path / "q")} == {cleaner.RESTORED}
    assert _state(tmp_path / "in") == before


def test_a_copy_of_what_changes_meanwhile_or_finds_its_place_taken_is_given_up(one: Known, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", _far)
    copyfile, taken = shutil.copyfile, tmp_path / "taken.jpg"

    def changing(source, target, **options):
        copyfile(source, target, **options)
        Path(one.path).write_bytes(b"another picture")

    def late(source, target, **options):
        copyfile(source, target, **options)
        taken.write_bytes(b"other")

    monkeypatch.setattr(shutil, "copyfile", changing)
    (step,) = cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    assert step.status == f"{cleaner.FAILED}: it changed while it was copied"
    monkeypatch.setattr(shutil, "copyfile", late)
    with pytest.raises(FileExistsError):
        files.move(one.path, str(taken))
    assert Path(one.path).read_bytes() == b"another picture" and taken.read_bytes() == b"other"
    assert os.listdir(tmp_path / "q" / manifest.FILES) == []
    assert sorted(os.listdir(tmp_path)) == ["in", "q", "taken.jpg"]


@pytest.mark.parametrize("link", [LINK, _far])
def test_a_file_in_a_folder_that_gives_nothing_up_stays_the_only_one(one: Known, tmp_path, monkeypatch, link):
    unlink = os.unlink

    def refuse(path):
        if path == one.path:
            raise PermissionError(13, "Permission denied")
        unlink(path)

    steps = cleaner.plan([one])
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "unlink", refuse)
    (step,) = cleaner.quarantine(steps, folder=tmp_path / "q")
    assert step.status == f"{cleaner.FAILED}: Permission denied"
    assert Path(one.path).read_bytes() == b"picture" and os.listdir(tmp_path / "q" / manifest.FILES) == []


def test_a_filesystem_without_links_is_renamed_on(one: Known, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "taken.jpg"
    target.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        files.move(one.path, str(target))
    assert target.read_bytes() == b"other"
    files.move(one.path, str(tmp_path / "free.jpg"))
    assert (tmp_path / "free.jpg").read_bytes() == b"picture" and not Path(one.path).exists()


@pytest.mark.parametrize("is_far", [False, True])
def test_windows_renames_syncs_no_folder_and_opens_for_writing_what_it_syncs(one: Known, tmp_path, monkeypatch, is_far):
    def rename(source: str, target: str) -> None:
        if os.path.lexists(target):
            raise FileExistsError(17, "there is a file already", target)
        if is_far and source == one.path:
            raise OSError(18, "another drive")
        os.replace(source, target)

    def fsync(descriptor: int) -> None:
        os.write(descriptor, b"")  # fails where it is open for reading only, or a folder

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "link", None)
    monkeypatch.setattr(os, "fsync", fsync)
    os.chmod(one.path, 0o444)
    (tmp_path / "taken.jpg").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        files.move(one.path, str(tmp_path / "taken.jpg"))
    (step,) = cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    assert step.status == cleaner.MOVED and Path(step.target).read_bytes() == b"picture"
    assert os.stat(step.target).st_mtime_ns == one.mtime_ns and not os.path.exists(one.path)


def test_deleted_is_deleted_and_cannot_be_undone(one: Known, tmp_path):
    (step,) = cleaner.delete(cleaner.plan([one]), folder=tmp_path / "d")
    assert step.status == cleaner.DELETED and not Path(one.path).exists()
    with pytest.raises(BadArgument, match="cannot be undone"):
        cleaner.undo(tmp_path / "d")


def test_a_folder_takes_one_clean_up(one: Known, tmp_path):
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    with pytest.raises(BadArgument, match="resume it, undo it"):
        cleaner.quarantine([], folder=tmp_path / "q")


@pytest.mark.parametrize(
    "text", ["", "no json", '{"version": 99, "action": "quarantine", "files": 0}\n', '{"version": 1, "files": 3}\n']
)
def test_a_broken_manifest_is_refused(tmp_path, text):
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(BadArgument):
        cleaner.undo(tmp_path)


def test_a_manifest_that_leads_outside_is_refused(one: Known, tmp_path):
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    path = tmp_path / "q" / manifest.NAME
    path.write_text(path.read_text().replace("files/00000000.jpg", "../../victim.jpg"))
    with pytest.raises(BadArgument, match="outside"):
        cleaner.undo(tmp_path / "q")
    with pytest.raises(BadArgument, match="no clean-up"):
        cleaner.undo(tmp_path / "nothing")


@pytest.fixture
def pair(one: Known, tmp_path: Path) -> Known:
    """`one`, with a file to keep in its place."""
    path = tmp_path / "in" / "kept.jpg"
    path.write_bytes(b"better")
    status = path.stat()
    return replace(one, keeper=Known("kept.jpg", str(path), status.st_size, status.st_mtime_ns))


@pytest.mark.parametrize("do", [cleaner.quarantine, cleaner.delete])
def test_a_killed_clean_up_goes_on_only_while_the_keeper_is_there(pair: Known, tmp_path, do):
    steps = cleaner.plan([pair])
    assert [step.status for step in steps] == [cleaner.PLANNED]
    _killed(lambda: do(steps, folder=tmp_path / "q"), at=4, still=False)  # after the manifest, before the file
    assert (tmp_path / "q" / manifest.NAME).exists() and Path(pair.path).exists()
    Path(pair.keeper.path).unlink()
    assert [step.status for step in cleaner.resume(tmp_path / "q")] == [cleaner.UNKEPT]
    assert Path(pair.path).exists()
    Path(pair.keeper.path).write_bytes(b"better")
    os.utime(pair.keeper.path, ns=(pair.keeper.mtime_ns, pair.keeper.mtime_ns))
    cleaner.resume(tmp_path / "q")
    assert not Path(pair.path).exists()


def test_a_keeper_that_goes_or_leads_to_what_goes_keeps_nothing(pair: Known, tmp_path):
    steps = cleaner.plan([pair, pair.keeper])
    assert [step.status for step in steps] == [cleaner.UNKEPT, cleaner.PLANNED]
    (tmp_path / "link.jpg").symlink_to(pair.path)
    for keeper in (tmp_path / "link.jpg", pair.path):
        (step,) = cleaner.plan([replace(pair, keeper=Known("kept", str(keeper), pair.size, pair.mtime_ns))])
        assert step.status == cleaner.UNKEPT


def test_an_empty_file_keeps_nothing(pair: Known):
    Path(pair.keeper.path).write_bytes(b"")
    (step,) = cleaner.plan([replace(pair, keeper=Known("kept", pair.keeper.path))])
    assert step.status == cleaner.UNKEPT


def test_a_manifest_of_before_keepers_is_read(one: Known, tmp_path):
    cleaner.quarantine(cleaner.plan([one]), folder=tmp_path / "q")
    path = tmp_path / "q" / manifest.NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    old = [{name: value for name, value in line.items() if not name.startswith("kept")} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    (step,) = cleaner.undo(tmp_path / "q")
    assert step.status == cleaner.RESTORED and Path(one.path).read_bytes() == b"picture"
