"""v0's galleries and components on facts whose answers are known: labels, slices, order, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import galleries_rig as rig
import numpy as np
import pandas as pd
import pytest

import fastdup_db as fastdup
from fastdup_db.errors import BadArgument
from fastdup_db.store import duck

LABELS = {0: "cat", 1: "cat", 2: "dog", 3: "dog", 4: "bird", 5: "cat", 6: "cat", 7: "cat"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The eight known images as files, without labels: those are the caller's.

    The database is open all the while: opening it is most of the time of galleries this small.
    """
    folder = tmp_path_factory.mktemp("v0")
    facts = rig.facts(folder / "photos", labelled=False)
    for i, name in enumerate(facts["listing"]["filename"]):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(name, rig.drawn(i))
    settings = facts["runs"].assign(config='{"run_advanced_stats": false}', finished_at=pd.Timestamp("2026-01-01"))
    rig.store(folder / "work", facts | {"runs": settings})
    with duck.connect(folder / "work"):
        yield folder / "work"


def label(path: str) -> str:
    return LABELS[int(Path(path).stem)]


def number(path: str) -> int:
    return int(Path(path).stem)


def similarity(work: Path, folder: Path, slice: object, **arguments: object) -> tuple[list[list[int]], pd.DataFrame]:
    frame = fastdup.create_similarity_gallery(work, folder, get_label_func=label, slice=slice, min_items=1, **arguments)
    return rig.ids(folder / "similarity.html"), frame


@pytest.mark.parametrize(
    ("slice", "shown", "scores"),
    [
        ("diff", [[4, 6], [6, 4], [0, 2, 1], [1, 2, 0]], [0, 0, 50, 50]),
        ("same", [[2, 3], [3, 2]], [100, 100]),
        ("label_score", [[4, 6], [6, 4], [0, 2, 1], [1, 2, 0], [2, 3], [3, 2]], [0, 0, 50, 50, 100, 100]),
        ("dog", [[2, 3], [3, 2]], [100, 100]),
    ],
)
def test_similarity_slices_score_and_order(work, tmp_path, slice, shown, scores):
    pages, frame = similarity(work, tmp_path, slice)
    assert pages == shown
    assert list(frame) == ["from", "to", "label", "label2", "distance", "score", "length"]
    assert frame["score"].tolist() == scores
    rows = [[number(row["from"]), *map(number, row["to"])] for row in frame.to_dict("records")]
    assert rows == shown
    assert frame["label2"].map(list).tolist() == [[LABELS[i] for i in others] for _, *others in shown]
    title = rig.parsed(tmp_path / "similarity.html").h1.get_text()
    assert title == ("Similarity Report" if slice == "dog" else "Similarity Report, label_score")


def test_all_rows_come_back_however_many_are_shown(work, tmp_path):
    pages, frame = similarity(work, tmp_path, None, num_images=1)
    assert (pages, len(frame)) == ([[0, 2, 1]], 6), "the least similar first by default, also of a row's neighbours"
    firsts = frame["distance"].str[0]
    assert firsts.is_monotonic_increasing and (firsts == frame["distance"].map(min)).all()
    pages, frame = similarity(work, tmp_path, None, descending=True)
    assert pages[0] == [0, 1, 2] and frame["distance"].map(max).is_monotonic_decreasing
    assert (frame["distance"].str[0] == frame["distance"].map(max)).all()
    pages, frame = similarity(work, tmp_path, "label_score", descending=True)
    assert pages == [[2, 3], [3, 2], [0, 1, 2], [1, 0, 2], [4, 6], [6, 4]]
    assert frame["score"].tolist() == [100, 100, 50, 50, 0, 0]
    none = fastdup.create_similarity_gallery(work, tmp_path, get_label_func=label, min_items=99)
    assert none.empty and list(none) == list(frame) and none.dtypes.eq(frame.dtypes).all()
    plain = fastdup.create_similarity_gallery(work, tmp_path)
    assert list(plain) == ["from", "to", "distance", "length"] and sorted(plain["length"]) == [1, 1, 1, 1, 2, 2]


def test_rows_of_too_few_neighbours_go_and_long_ones_are_shown_in_part(work, tmp_path):
    """As fastdup says of max_items, "limit the number of items displayed"; 2.54 itself drops rows by it, if at all."""
    said = {"get_label_func": label, "slice": "label_score"}
    by_score = fastdup.create_similarity_gallery(work, tmp_path, **said)
    assert by_score["length"].tolist() == [2, 2], "min_items=2 goes without saying where rows go by their score"
    assert len(fastdup.create_similarity_gallery(work, tmp_path, **said, min_items=1)) == 6
    assert fastdup.create_similarity_gallery(work, tmp_path, min_items=3).empty
    pages, frame = similarity(work, tmp_path, None, max_items=1)
    assert pages == [[0, 1], [4, 6], [6, 4], [1, 0], [2, 3], [3, 2]], "the most similar one of each, all rows"
    assert sorted(frame["length"]) == sorted(frame["to"].map(len)) == [1, 1, 1, 1, 2, 2]
    assert "1 more" in rig.cards(tmp_path / "similarity.html")[0].get_text(" ", strip=True)
    fastdup.create(work).vis.similarity_gallery(tmp_path, show=False, max_items=1)
    assert rig.ids(tmp_path / "similarity.html")[0] == [0, 1]


def test_labels_of_ones_own_are_labels(work, tmp_path):
    said = {"get_label_func": label, "get_extra_col_func": lambda name: "more"}
    fastdup.create_duplicates_gallery(work, tmp_path, **said)
    second, third = rig.cards(tmp_path / "duplicates.html")[1:3]
    assert rig.fields(third) == {
        "Distance": "0.95", "From_Label": "cat", "To_Label": "dog", "extra_from": "more", "extra_to": "more",
    }  # fmt: skip
    assert second.select_one(".flag") is None and third.select_one(".flag").get_text() == "labels differ"
    fastdup.create_components_gallery(work, tmp_path, get_label_func=label)
    first = rig.cards(tmp_path / "components.html")[0]
    counts = [(li.select_one(".label").get_text(), li.b.get_text()) for li in first.select(".counts li")]
    assert counts == [("cat", "2"), ("dog", "2")] and first.select_one(".flag").get_text() == "2 labels"
    fastdup.create_stats_gallery(work, tmp_path, get_label_func=label, slice=["bird", "dog"], metric="mean")
    assert rig.ids(tmp_path / "mean.html") == [[3], [4], [2]]


@pytest.mark.parametrize(
    ("metric", "descending", "page", "shown"),
    [
        ("bright", False, "mean", [2, 4]),
        ("bright", True, "mean", [2, 4]),
        ("size", False, "size", [4, 0]),
        ("dark", False, "mean", [1, 7]),
        ("blur", False, "blur", [3, 1]),
        ("contrast", False, "contrast", [7, 6]),
        ("contrast", True, "contrast", [0, 1]),
    ],
)
def test_stats_begin_with_what_their_title_says(work, tmp_path, metric, descending, page, shown):
    fastdup.create_stats_gallery(work, tmp_path, metric=metric, descending=descending, num_images=2)
    assert rig.ids(tmp_path / f"{page}.html") == [[i] for i in shown]


@pytest.mark.parametrize(
    "create",
    [
        fastdup.create_duplicates_gallery,
        fastdup.create_outliers_gallery,
        fastdup.create_similarity_gallery,
        fastdup.create_stats_gallery,
        fastdup.create_components_gallery,
    ],
)
def test_labels_nobody_has_and_labels_of_no_kind_are_refused(work, tmp_path, create):
    with pytest.raises(BadArgument, match="slice='cow' is unknown; allowed: bird, cat"):
        create(work, tmp_path, get_label_func=label, slice="cow")
    with pytest.raises(BadArgument, match="get_label_func of type list; allowed: a function"):
        create(work, tmp_path, get_label_func=["cat"])
    with pytest.raises(BadArgument, match=r"'nowhere\.csv' cannot be read"):
        create(work, tmp_path, get_label_func="nowhere.csv")
    with pytest.raises(BadArgument, match="has none"):
        create(work, tmp_path, slice="cat")


def test_a_work_dir_of_fastdup_says_how_to_read_it(work, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("atrain_features.dat", "atrain_features.dat.csv", "nnf.index"):
        (theirs / name).touch()
    (theirs / "similarity.csv").write_text("from,to,distance\n0,1,0.9\n")
    for source in (theirs, theirs / "similarity.csv"):
        with pytest.raises(BadArgument, match="import_work_dir"):
            fastdup.create_duplicates_gallery(source, tmp_path / "page")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(BadArgument, match="cannot be read as a csv"):
        fastdup.create_duplicates_gallery(tmp_path / "empty.csv", tmp_path / "page", work_dir=work)


@pytest.mark.parametrize("create", ["duplicates", "outliers", "similarity", "stats", "components"])
def test_words_about_the_layout_of_fastdups_pages_are_taken(work, tmp_path, caplog, create):
    function = getattr(fastdup, f"create_{create}_gallery")
    page = {"stats": "blur"}.get(create, create)
    function(work, tmp_path / "plain")
    assert not caplog.records
    words = {"keep_aspect_ratio": True, "nrows": 3, "selection_strategy": 2, "force_width": 90}
    function(work, tmp_path / "told", **words, get_bounding_box_func=lambda name: [[0, 0, 9, 9]])
    assert len(caplog.records) == 1 and "get_bounding_box_func has no effect" in caplog.text
    assert rig.ids(tmp_path / "told" / f"{page}.html") == rig.ids(tmp_path / "plain" / f"{page}.html")
    with pytest.raises(BadArgument, match=r"keyword argument='num_image' is unknown; allowed: .*nrows, num_images"):
        function(work, tmp_path / "wrong", num_image=5)


def test_frames_of_accessors_know_their_run(work, tmp_path):
    fd = fastdup.create(work)
    lost = [pd.DataFrame(frame.to_dict("list")) for frame in (fd.similarity(), fd.outliers())]
    for number, (pairs, outliers) in enumerate(((fd.similarity(), fd.outliers()), lost)):
        fastdup.create_duplicates_gallery(pairs, tmp_path / str(number))
        fastdup.create_outliers_gallery(outliers, tmp_path / str(number))
        assert len(fastdup.create_similarity_gallery(pairs, tmp_path / str(number)))
        assert all(rig.cards(tmp_path / str(number) / f"{name}.html") for name in ("duplicates", "outliers"))
    assert rig.ids(tmp_path / "0" / "duplicates.html") == rig.ids(fd.vis.duplicates_gallery(tmp_path, show=False))
    fastdup.create_stats_gallery(fd.img_stats(), tmp_path)
    assert fd.connected_components()[0].attrs["work_dir"] == str(work)


def test_frames_of_components_are_shown(work, tmp_path):
    """Those that a script has filtered: of the members, of whole components, without what pandas says of their run."""
    fd = fastdup.create(work)
    members, grouped = fd.connected_components()[0], fd.connected_components_grouped()
    assert grouped["files_ids"].tolist() == [[0, 1, 2, 3], [4, 6]]
    top = fastdup.find_top_components(work, label, group_by="label")
    lost = pd.DataFrame(grouped.to_dict("list"))
    csv = members[["index", "component_id"]].rename(columns={"index": "__id"})  # as connected_components.csv has them
    for frame in (members, grouped, fastdup.find_top_components(work), csv):
        assert fastdup.create_components_gallery(frame, save_path=tmp_path, input_dir=work) == 0
        assert rig.ids(tmp_path / "components.html") == [[0, 1, 2, 3], [4, 6]]
    assert fastdup.create_components_gallery(lost, tmp_path) == 0
    assert rig.ids(tmp_path / "components.html") == [[0, 1, 2, 3], [4, 5]], "by their names, with ids of their own"
    some = members[members["index"] != 2]
    fastdup.create_components_gallery(some, tmp_path, get_label_func=label, slice="cat", max_items=5)
    assert rig.ids(tmp_path / "components.html") == [[0, 1]]
    fastdup.create_components_gallery(top, tmp_path, get_label_func=label, group_by="label")
    assert sorted(map(sorted, rig.ids(tmp_path / "components.html"))) == [[0, 1, 6], [2, 3], [4]]
    assert fastdup.create_components_gallery(grouped.iloc[:0], tmp_path) == 0
    assert rig.ids(tmp_path / "components.html") == []
    with pytest.raises(BadArgument, match="lacks the columns component_id"):
        fastdup.create_components_gallery(members[["index"]], tmp_path)
    with pytest.raises(BadArgument, match="keyword"):
        fastdup.create_components_gallery(members, tmp_path, keyword="cat")
    with pytest.raises(BadArgument, match="give its work_dir"):
        fastdup.create_components_gallery(pd.DataFrame(csv.to_dict("list")), tmp_path)


def test_fastdups_files_stand_for_their_work_dir(work, tmp_path):
    bare = tmp_path / "bare"
    fd = fastdup.create(bare, sorted(set(fastdup.create(work).annotations()["filename"])))
    fd.run(progress=False, nearest_neighbors_k=3)
    for path in (bare, bare / "atrain_features.dat", f"{bare}/atrain_features.dat"):
        names, matrix = fastdup.load_binary_feature(path)
        assert names == fd.embeddings()[0] and (matrix == fd.embeddings()[1]).all()
    with duck.connect(bare):
        fastdup.create_duplicates_gallery(f"{bare}/similarity.csv", tmp_path)
        fastdup.create_outliers_gallery(f"{bare}/outliers.csv", tmp_path)
        fastdup.create_components_gallery(f"{bare}/connected_components.csv", tmp_path)
        assert rig.ids(tmp_path / "duplicates.html") == rig.ids(fd.vis.duplicates_gallery(tmp_path / "own", show=False))
    with pytest.raises(BadArgument, match=r"fd\.export"):
        fastdup.create_duplicates_gallery(tmp_path / "none" / "similarity.csv", tmp_path)


def test_an_empty_frame_makes_an_empty_page(work, tmp_path):
    none = pd.DataFrame({"from": [], "to": [], "distance": []})
    assert fastdup.create_duplicates_gallery(none, tmp_path, work_dir=work) == 0
    assert rig.ids(tmp_path / "duplicates.html") == []
    frame = fastdup.create_similarity_gallery(none, tmp_path, work_dir=work, get_label_func=label)
    assert frame.empty and "score" in frame and rig.ids(tmp_path / "similarity.html") == []


@pytest.mark.parametrize("group_by", ["visual", "label"])
def test_no_components_look_like_components(work, group_by):
    said = {"get_label_func": label, "metric": "blur", "group_by": group_by}
    filled = fastdup.find_top_components(work, **said)
    assert len(filled) == (2 if group_by == "visual" else 3)
    for empty in (
        fastdup.find_top_components(work, threshold=1.0, **said),
        fastdup.find_top_components(work, min_items=100, **said),
    ):
        assert empty.empty
        pd.testing.assert_series_equal(empty.dtypes, filled.dtypes)


def test_components_by_slice_and_metric(work):
    top = fastdup.find_top_components
    assert top(work, label, slice="diff")["component_id"].tolist() == [0, 4]
    assert top(work, lambda path: number(path) < 4, slice=[True])["component_id"].tolist() == [0]
    assert top(work, lambda path: 1 + (number(path) < 4), slice=np.int64(1))["component_id"].tolist() == [4]
    assert top(work, metric="size")["avg_size"].tolist() == [240_000, 172_800]
    with pytest.raises(BadArgument, match="slice='cow' is unknown"):
        top(work, label, slice="cow")
    with pytest.raises(BadArgument, match="has none"):
        top(work, slice="diff")
    with pytest.raises(BadArgument, match="keyword argument='foo' is unknown; allowed: comp_type"):
        top(work, foo=1)
    with pytest.raises(BadArgument, match="metric='filename' is unknown; allowed: blur"):
        top(work, metric="filename")
