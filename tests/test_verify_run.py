"""`run(verify=...)` and `fd.verify()` on drawn collections with planted copies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.config import RunConfig
from fastdup_db.errors import BadArgument, NotRun
from fastdup_db.pipeline import verifying
from fastdup_db.store import duck
from fastdup_db.store.duck import Database
from tests import scenes
from tests.benchmarks import edits

MADE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "original": edits.unchanged,
    "cropped": edits.crop_80,
    "mirrored": edits.flip_horizontal,
    "resized": edits.half_size,
}
SCENES = 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes in four versions each, and a byte copy of one."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(SCENES):
        for name, edit in MADE.items():
            (folder / f"{seed}_{name}.jpg").write_bytes(scenes.jpeg(np.ascontiguousarray(edit(scenes.scene(seed)))))
    (folder / "0_same.jpg").write_bytes((folder / "0_original.jpg").read_bytes())
    return folder


def vectors(files: list[Path]) -> np.ndarray:
    """Search vectors that put the versions of one scene near each other, and scene 0 and 1 as well."""
    random = np.random.default_rng(0)
    base = np.eye(SCENES, 16, dtype=np.float32)
    base[1] = 0.9 * base[0] + 0.4 * base[1]
    rows = np.array([int(f.name[0]) for f in files])
    return base[rows] + random.normal(0, 0.02, (len(files), 16)).astype(np.float32)


def made(photos: Path, work_dir: Path, **arguments: object) -> fastdup_db.Fastdup:
    """A finished run on those vectors."""
    files = sorted(photos.glob("*.jpg"))
    fd = fastdup_db.create(work_dir=work_dir, input_dir=str(photos))
    names = pd.DataFrame({"filename": [str(f) for f in files]})
    fd.run(annotations=names, embeddings=vectors(files), progress=False, **arguments)
    return fd


@pytest.fixture(scope="module")
def plain(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    """A run that nothing changes."""
    return made(photos, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def verified(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    """A run that has verified all pairs, and that nothing changes."""
    return made(photos, tmp_path_factory.mktemp("verified"), verify="all")


def copied(fd: fastdup_db.Fastdup, work_dir: Path) -> fastdup_db.Fastdup:
    """The same run in another work_dir, to be changed."""
    return fastdup_db.create(work_dir=shutil.copytree(fd.work_dir, work_dir), input_dir=fd.input_dir)


def found(frame: pd.DataFrame) -> set[tuple[str, str]]:
    """The pairs, as names."""
    names = [frame[f"filename_{side}"].map(lambda f: Path(f).stem) for side in ("from", "to")]
    return {(min(p), max(p)) for p in zip(*names, strict=True)}


def planted(photos: Path) -> set[tuple[str, str]]:
    """Every pair of versions of one scene."""
    names = sorted(f.stem for f in photos.glob("*.jpg"))
    return {(a, b) for a, b in combinations(names, 2) if a[0] == b[0]}


def test_all_pairs_of_copies_and_no_other(photos: Path, verified: fastdup_db.Fastdup) -> None:
    frame = verified.duplicates()
    assert found(frame) == planted(photos)  # scenes 0 and 1 are neighbours, too, and no copies
    kinds = {
        tuple(Path(f).stem for f in sorted(row)): kind
        for *row, kind in frame[["filename_from", "filename_to", "kind"]].itertuples(index=False)
    }
    assert kinds[("2_cropped", "2_original")] == "cropped"
    assert kinds[("2_mirrored", "2_original")] == "mirrored"
    assert kinds[("2_original", "2_resized")] == "resized"
    assert kinds[("0_original", "0_same")] == "exact"


def test_without_verify_there_are_no_duplicates_until_asked_for(
    photos: Path, plain: fastdup_db.Fastdup, tmp_path: Path
) -> None:
    fd = copied(plain, tmp_path / "work")
    before = fd.duplicates()
    assert before.empty
    after = fd.verify("all", progress=False)
    assert found(after) == planted(photos)
    assert before.columns.tolist() == after.columns.tolist()
    pd.testing.assert_frame_equal(fd.duplicates(), after)
    assert fd.sql("select count(*) as n from duplicates")["n"][0] == len(after)


def test_auto_leaves_out_what_the_vectors_are_sure_of(plain: fastdup_db.Fastdup, tmp_path: Path) -> None:
    fd = copied(plain, tmp_path / "work")
    sure = fd.verify("auto", upper=0.0, progress=False)
    assert set(sure["reason"]) == {"similarity"}
    assert sure["kind"].isna().all()
    checked = fd.verify("auto", upper=1.0, progress=False)
    assert set(checked["reason"]) == {"keypoints and pixels agree", "identical"}


def test_groups_gather_the_copies(verified: fastdup_db.Fastdup) -> None:
    groups = verified.duplicate_groups()
    assert groups["count"].tolist() == [5, 4, 4, 4, 4, 4]
    assert [Path(f).stem for f in groups["files"][0]] == [
        "0_cropped",
        "0_mirrored",
        "0_original",
        "0_resized",
        "0_same",
    ]


def test_one_kind(verified: fastdup_db.Fastdup) -> None:
    assert set(verified.duplicates(kind="mirrored")["kind"]) == {"mirrored"}
    assert verified.duplicates(data=False).columns[:2].tolist() == ["from", "to"]
    with pytest.raises(BadArgument, match="cropped"):
        verified.duplicates(kind="shrunk")


@pytest.mark.parametrize(
    "arguments",
    [
        {"scope": "some"},
        {"scope": "off"},
        *({"scope": "all", "k": k} for k in (0, "a", 2.5, True)),
        *({"scope": "all", name: value} for name in ("lower", "upper") for value in (2.0, "a", float("nan"), [0.5])),
        {"scope": "all", "lower": 0.9, "upper": 0.3},
    ],
)
def test_what_is_not_allowed_is_named(plain: fastdup_db.Fastdup, arguments: dict[str, object]) -> None:
    with pytest.raises(BadArgument, match="allowed"):
        plain.verify(**arguments)  # type: ignore[arg-type]


def test_copies_that_are_no_neighbours_are_found_through_a_third(
    photos: Path, plain: fastdup_db.Fastdup, tmp_path: Path
) -> None:
    fd = copied(plain, tmp_path / "work")
    assert found(fd.verify("all", k=1, progress=False)) >= {p for p in planted(photos) if p[0][0] != "0"}


def test_a_killed_check_goes_on_where_it_was(
    plain: fastdup_db.Fastdup, verified: fastdup_db.Fastdup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = verified.duplicates()
    fd = copied(plain, tmp_path / "killed")
    extracted, judged = [], []
    real_run, real_verify = verifying.features.run, verifying.verify.verify_pairs

    def dies_reading(tasks, **options):  # type: ignore[no-untyped-def]
        for i, table in enumerate(real_run(tasks, **options)):
            if i and not extracted:
                raise KeyboardInterrupt
            yield table
            extracted.extend([1] * (i > 0))

    def dies_judging(pairs, *rest, **options):  # type: ignore[no-untyped-def]
        if len(judged) == 2:
            judged.append(0)
            raise KeyboardInterrupt
        judged.append(len(pairs))
        return real_verify(pairs, *rest, **options)

    monkeypatch.setattr(verifying, "COMMIT_KEYPOINTS", 8)
    monkeypatch.setattr(verifying, "COMMIT_PAIRS", 8)
    with monkeypatch.context() as patch:
        patch.setattr(verifying.features, "run", dies_reading)
        with pytest.raises(KeyboardInterrupt):
            fd.verify("all", progress=False)
    kept = fd.sql("select count(*) as n from keypoints")["n"][0]
    assert 0 < kept < 25
    with monkeypatch.context() as patch:
        patch.setattr(verifying.verify, "verify_pairs", dies_judging)
        with pytest.raises(KeyboardInterrupt):
            fd.verify("all", progress=False)
    done = fd.sql("select count(*) as n from verified where score is not null")["n"][0]
    pd.testing.assert_frame_equal(fd.verify("all", progress=False), whole)
    assert done >= 16
    assert fd.sql("select count(*) as n, count(distinct id) as ids from keypoints").values.tolist() == [[25, 25]]


@pytest.mark.parametrize("place", ["verify/insert_equal", "verify/insert_verified", "verify/insert_group_candidates"])
def test_verdicts_of_a_check_that_broke_off_are_no_answers(
    photos: Path, verified: fastdup_db.Fastdup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fd = copied(verified, tmp_path / "work")
    whole, groups, plan = fd.duplicates(), fd.duplicate_groups(), fd.dedup(groups="duplicates")
    execute = Database.execute

    def breaks_off(self: Database, name: str, **parameters: object) -> None:
        if name == place:
            raise KeyboardInterrupt
        execute(self, name, **parameters)

    if place == "verify/insert_verified":  # reached where pixels have something to say
        with duck.connect(fd.work_dir, read_only=False) as db:
            db.query("delete from verified")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Database, "execute", breaks_off)
        fd.verify("all", progress=False)
    files = sorted(photos.glob("*.jpg"))
    names = pd.DataFrame({"filename": [str(f) for f in files]})
    for again in (False, True):  # also after an update that checks nothing
        if again:
            fd.run(annotations=names, embeddings=vectors(files), overwrite=False, progress=False)
        for ask in (fd.duplicates, fd.duplicate_groups, lambda: fd.dedup(groups="duplicates")):
            with pytest.raises(NotRun, match=r"verify\(\) again"):
                ask()
    assert fd.vis.duplicates_gallery(show=False).exists()
    fd.dedup(groups="exact")
    pd.testing.assert_frame_equal(fd.verify("all", progress=False), whole)
    pd.testing.assert_frame_equal(fd.duplicate_groups(), groups)
    pd.testing.assert_frame_equal(fd.dedup(groups="duplicates"), plan)


def test_an_image_that_is_gone_is_a_reason(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in photos.glob("[23]_*.jpg"):
        (folder / file.name).write_bytes(file.read_bytes())
    fd = made(folder, tmp_path / "work")
    (folder / "2_cropped.jpg").unlink()
    (folder / "3_original.jpg").write_bytes(b"no image")
    frame = fd.verify("all", progress=False)
    assert found(frame) == {p for p in planted(folder) if "2_cropped" not in p and "3_original" not in p} - {
        ("3_cropped", "3_original")
    }
    reasons = fd.sql("select distinct reason from verified where not is_duplicate order by all")["reason"].tolist()
    assert {"ERROR_CORRUPT_IMAGE", "ERROR_MISSING_FILE"} <= set(reasons)


def test_images_that_were_out_of_reach_are_looked_at_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, away = tmp_path / "photos", tmp_path / "away"
    folder.mkdir()
    for file in photos.glob("[45]_*.jpg"):
        (folder / file.name).write_bytes(file.read_bytes())
    fd = made(folder, tmp_path / "work")
    tried = []
    real = verifying.features.run

    def counting(tasks, **options):  # type: ignore[no-untyped-def]
        for table in real(tasks, **options):
            tried.append(table.num_rows)
            yield table

    monkeypatch.setattr(verifying.features, "run", counting)
    folder.rename(away)
    for _ in range(2):
        tried.clear()
        assert fd.verify("all", progress=False).empty
        assert sum(tried) == 8, "once per image and call"
    away.rename(folder)
    assert found(fd.verify("all", progress=False)) == planted(folder)
    assert fd.sql("select count(*) as n from verified where reason like 'ERROR%'")["n"][0] == 0
    tried.clear()
    fd.verify("all", progress=False)
    assert not tried, "what was read is not read again"


def test_boxes_are_compared_as_pictures(tmp_path: Path) -> None:
    left, right = scenes.scene(30, height=160, width=160), scenes.scene(31, height=160, width=160)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(scenes.jpeg(np.hstack((left, right))))
    (folder / "b.jpg").write_bytes(scenes.jpeg(np.hstack((right[:, ::-1], scenes.scene(32, height=160, width=160)))))
    boxes = pd.DataFrame(
        [(name, x, 0, 160, 160) for name in ("a.jpg", "b.jpg") for x in (0, 160)],
        columns=["filename", "col_x", "row_y", "width", "height"],
    )
    fd = fastdup_db.create(work_dir=tmp_path / "work", input_dir=str(folder))
    fd.run(annotations=boxes, progress=False)
    frame = fd.verify("all", lower=0.0, progress=False)
    assert frame[["from", "to", "kind"]].values.tolist() == [[1, 2, "mirrored"]]
    later = fastdup_db.create(work_dir=tmp_path / "later", input_dir=str(folder))
    later.run(annotations=boxes, run_mode=1, progress=False)
    later.run(run_mode=2, verify="all", progress=False)  # is given no boxes: they are stored
    assert later.verify("all", lower=0.0, progress=False)[["from", "to", "kind"]].equals(frame[["from", "to", "kind"]])


def fourth(photos: Path, tmp_path: Path) -> tuple[fastdup_db.Fastdup, Path]:
    """The work_dir for copies of one photograph's files, and the folder that these are in."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in photos.glob("4_*.jpg"):
        (folder / file.name).write_bytes(file.read_bytes())
    return fastdup_db.create(work_dir=tmp_path / "work", input_dir=str(folder)), folder


def test_a_changed_image_is_checked_anew(photos: Path, tmp_path: Path) -> None:
    fd, folder = fourth(photos, tmp_path)
    (folder / "4_same.jpg").write_bytes((folder / "4_original.jpg").read_bytes())
    fd.run(verify="all", progress=False)
    first = fd.duplicates()
    assert ("4_cropped", "4_original") in found(first)
    assert found(first[first["reason"] == "equal bytes"]) == {("4_original", "4_same")}
    (folder / "4_cropped.jpg").write_bytes(scenes.jpeg(scenes.scene(40, height=200)))
    fd.run(verify="all", overwrite=False, progress=False)
    assert not [pair for pair in found(fd.duplicates()) if "4_cropped" in pair]
    assert ("4_mirrored", "4_original") in found(fd.duplicates())


def test_verdicts_are_no_answers_for_images_that_were_read_since(photos: Path, tmp_path: Path) -> None:
    fd, folder = fourth(photos, tmp_path)
    fd.run(verify="all", progress=False, adapt=False)
    first = fd.duplicates()
    fd.run(overwrite=False, progress=False, adapt=False)
    pd.testing.assert_frame_equal(fd.duplicates(), first)
    (folder / "4_same.jpg").write_bytes((folder / "4_original.jpg").read_bytes())
    fd.run(overwrite=False, progress=False, adapt=False)
    for ask in (fd.duplicates, fd.duplicate_groups, lambda: fd.dedup(groups="duplicates")):
        with pytest.raises(NotRun, match=r"1 images were read since"):
            ask()
    assert fd.vis.duplicates_gallery(show=False).exists()
    assert found(fd.verify("all", progress=False)) > found(first)


def test_a_stored_setting_that_is_no_more_is_left_out() -> None:
    config = RunConfig.from_arguments({"verify": "all", "resume": True, "save_thumbnails": True})
    stored = json.dumps({**json.loads(config.to_json()), "resume": True})
    assert RunConfig.from_json(stored) == config
