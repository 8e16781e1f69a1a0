"""Every gallery and every argument that picks rows: the right images, in the right order, with the right numbers."""

from __future__ import annotations

from pathlib import Path

import galleries_rig as rig
import pandas as pd
import pytest

from fastdup_db.errors import BadArgument
from fastdup_db.galleries.visualizer import FastdupVisualizer

PAIRS = [[0, 1], [2, 3], [1, 2], [4, 6], [0, 2]]


@pytest.fixture(scope="module")
def vis(tmp_path_factory: pytest.TempPathFactory) -> FastdupVisualizer:
    folder = tmp_path_factory.mktemp("rows")
    return FastdupVisualizer(rig.Rig(folder / "work", rig.facts(folder / "photos")))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> FastdupVisualizer:
    folder = tmp_path_factory.mktemp("unlabelled")
    return FastdupVisualizer(rig.Rig(folder / "work", rig.facts(folder / "photos", labelled=False)))


def column(path: Path, name: str) -> list[str]:
    return [rig.fields(card)[name] for card in rig.cards(path)]


# ---- duplicates ----


def test_duplicates_merge_both_directions_before_counting(vis: FastdupVisualizer) -> None:
    page = vis.duplicates_gallery()
    assert rig.ids(page) == PAIRS
    assert column(page, "Distance") == ["0.99", "0.97", "0.95", "0.91", "0.9"]
    assert "Showing all 5 pairs" in rig.parsed(page).get_text()


def test_duplicates_num_images_counts_pairs(vis: FastdupVisualizer) -> None:
    page = vis.duplicates_gallery(num_images=2)
    assert rig.ids(page) == PAIRS[:2]
    assert "Showing 2 of 5 pairs" in rig.parsed(page).get_text()


def test_verified_duplicates_say_what_was_done_to_the_copy(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path) | {"verified": rig.verified()}
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    page = vis.duplicates_gallery()
    assert rig.ids(page) == [[0, 1], [2, 3]]
    assert column(page, "Kind") == ["cropped", "–"]
    assert column(page, "Score") == ["0.99", "–"]
    assert column(page, "Inliers") == ["41", "–"]
    first, second = rig.cards(page)
    assert [float(v) for v in str(first["data-transform"]).split()] == [1.25, 0, -48, 0, 1.25, -36, 0, 0]
    assert not second.has_attr("data-transform")
    assert rig.ids(vis.duplicates_gallery(threshold=0.95)) == [[2, 3]]
    assert rig.ids(vis.duplicates_gallery(slice="dog", verified=True, num_images=1)) == [[2, 3]]
    everything = vis.duplicates_gallery(verified=False)
    assert rig.ids(everything) == PAIRS
    assert not rig.parsed(everything).select("[data-transform]")
    own = pd.DataFrame({"from": [4], "to": [7], "distance": [0.5]})
    assert rig.ids(vis.duplicates_gallery(external_df=own)) == [[4, 7]]
    with pytest.raises(BadArgument, match="external_df"):
        vis.duplicates_gallery(external_df=own, verified=True)


def test_verified_duplicates_where_nothing_was_verified(vis: FastdupVisualizer) -> None:
    assert rig.ids(vis.duplicates_gallery(verified=True)) == []


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"ascending": True}, PAIRS[::-1]),
        ({"threshold": 0.95}, PAIRS[:3]),
        ({"threshold": 0.999}, []),
        ({"slice": "bird"}, [[4, 6]]),
        ({"slice": ["dog", "bird"]}, [[2, 3], [1, 2], [4, 6], [0, 2]]),
        ({"slice": "same"}, [[0, 1], [2, 3]]),
        ({"slice": "diff"}, [[1, 2], [4, 6], [0, 2]]),
        ({"slice": "test", "label_col": "split"}, [[0, 1], [2, 3], [1, 2], [4, 6]]),
    ],
)
def test_duplicates_arguments(vis: FastdupVisualizer, arguments: dict, shown: list) -> None:
    assert rig.ids(vis.duplicates_gallery(**arguments)) == shown


def test_duplicates_say_where_labels_differ(vis: FastdupVisualizer) -> None:
    flags = [card.select_one(".flag") for card in rig.cards(vis.duplicates_gallery())]
    assert [flag is not None for flag in flags] == [False, False, True, True, True]
    assert column(vis.duplicates_gallery(), "From_Label") == ["cat", "dog", "cat", "bird", "cat"]


def test_duplicates_label_col_none_shows_no_labels(vis: FastdupVisualizer) -> None:
    assert set(rig.fields(rig.cards(vis.duplicates_gallery(label_col=None))[0])) == {"Distance"}


def test_duplicates_of_an_external_frame_by_file_name(vis: FastdupVisualizer) -> None:
    names = vis._controller.gallery_frame("rows", view="annotations", ids=[0, 3, 7])["filename"]
    own = pd.DataFrame({"from": [names[0], names[1]], "to": [names[2], names[0]], "distance": [0.5, 0.7]})
    assert rig.ids(vis.duplicates_gallery(external_df=own)) == [[0, 3], [0, 7]]
    with pytest.raises(BadArgument, match="not in this collection"):
        vis.duplicates_gallery(external_df=own.replace(names[0], "elsewhere.jpg"))
    with pytest.raises(BadArgument, match="lacks the columns distance"):
        vis.duplicates_gallery(external_df=own[["from", "to"]])


# ---- outliers ----


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [[7], [4]]),
        ({"how": "all"}, [[7]]),
        ({"ascending": False}, [[4], [7]]),
        ({"num_images": 1}, [[7]]),
        ({"sort_by": "weight"}, [[4], [7]]),
        ({"sort_by": "blur", "ascending": False}, [[7], [4]]),
        ({"sort_by": "split", "ascending": False}, [[4], [7]]),
        ({"slice": "bird"}, [[4]]),
        ({"slice": "diff"}, [[4]]),
        ({"slice": "same"}, []),
    ],
)
def test_outliers_arguments(vis: FastdupVisualizer, arguments: dict, shown: list) -> None:
    assert rig.ids(vis.outliers_gallery(**arguments)) == shown


def test_outliers_one_is_far_from_one_neighbour_all_from_every(vis: FastdupVisualizer) -> None:
    assert column(vis.outliers_gallery(how="one"), "Distance") == ["0.1", "0.12"]
    assert column(vis.outliers_gallery(how="one"), "Nearest") == ["#4", "#0"]
    assert column(vis.outliers_gallery(how="all"), "Distance") == ["0.15"]


def test_outliers_of_an_external_frame(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"outlier": [3, 3, 1], "nearest": [0, 1, 2], "distance": [0.2, 0.6, 0.4]})
    one = vis.outliers_gallery(external_df=own)
    assert (rig.ids(one), column(one, "Distance")) == ([[3], [1]], ["0.2", "0.4"])
    every = vis.outliers_gallery(external_df=own, how="all")
    assert (rig.ids(every), column(every, "Distance")) == ([[1], [3]], ["0.4", "0.6"])


# ---- similarity ----


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [[0, 1, 2], [1, 0, 2], [2, 3], [3, 2], [4, 6], [6, 4]]),
        ({"ascending": True}, [[4, 6], [6, 4], [2, 3], [3, 2], [0, 1, 2], [1, 0, 2]]),
        ({"num_images": 1}, [[0, 1, 2]]),
        ({"threshold": 0.96}, [[0, 1], [1, 0], [2, 3], [3, 2]]),
        ({"slice": "dog"}, [[2, 3], [3, 2]]),
        ({"slice": ["bird", "dog"]}, [[2, 3], [3, 2], [4, 6]]),
        ({"slice": "label_score"}, [[2, 3], [3, 2], [0, 1, 2], [1, 0, 2], [4, 6], [6, 4]]),
        ({"slice": "diff"}, [[4, 6], [6, 4], [0, 1, 2], [1, 0, 2]]),
        ({"slice": "diff", "ascending": False}, [[0, 1, 2], [1, 0, 2], [4, 6], [6, 4]]),
        ({"slice": "same"}, [[2, 3], [3, 2]]),
    ],
)
def test_similarity_arguments(vis: FastdupVisualizer, arguments: dict, shown: list) -> None:
    assert rig.ids(vis.similarity_gallery(**arguments)) == shown


def test_similarity_scores_are_percentages(vis: FastdupVisualizer) -> None:
    page = vis.similarity_gallery(slice="label_score")
    assert column(page, "Score") == ["100", "100", "50", "50", "0", "0"]
    assert rig.parsed(page).h1.get_text() == "Similarity Report, label_score"


def test_similarity_saves_the_frame_fastdup_returns(vis: FastdupVisualizer, tmp_path: Path) -> None:
    vis.similarity_gallery(save_path=tmp_path, slice="label_score", save_artifacts=True)
    saved = pd.read_csv(tmp_path / "similarity.csv")
    assert list(saved) == ["from", "to", "distance", "label", "label2", "score", "length"]
    assert saved.loc[2, ["from", "to", "length"]].tolist() == [0, "[1, 2]", 2]


# ---- statistics ----


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [1, 7, 3, 6, 0, 4, 2]),
        ({"metric": "bright", "num_images": 2}, [2, 4]),
        ({"metric": "blur", "num_images": 3}, [3, 1, 2]),
        ({"metric": "size", "num_images": 2}, [4, 0]),
        ({"metric": "contrast", "num_images": 2}, [0, 1]),
        ({"metric": "contrast", "num_images": 2, "ascending": True}, [7, 6]),
        ({"metric": "dark", "slice": ["dog", "bird"]}, [3, 4, 2]),
    ],
)
def test_stats_arguments(vis: FastdupVisualizer, arguments: dict, shown: list) -> None:
    assert rig.ids(vis.stats_gallery(**arguments)) == [[i] for i in shown]


@pytest.mark.parametrize(
    ("metric", "title", "file"),
    [
        ("dark", "Dark Image Report", "mean.html"),
        ("bright", "Bright Image Report", "mean.html"),
        ("blur", "Blurry Image Report", "blur.html"),
        ("size", "Largest Image Report", "size.html"),
        ("contrast", "Contrast Image Report", "contrast.html"),
    ],
)
def test_stats_titles(vis: FastdupVisualizer, metric: str, title: str, file: str) -> None:
    page = vis.stats_gallery(metric=metric)
    assert (rig.parsed(page).h1.get_text(), page.name) == (title, file)


def test_stats_of_size_show_width_and_height(vis: FastdupVisualizer) -> None:
    first = rig.fields(rig.cards(vis.stats_gallery(metric="size"))[0])
    assert first == {"size": "307,200.0", "width": "640", "height": "480", "Label": "bird"}


def test_stats_of_an_external_frame(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"index": [4, 2], "img_w": [1, 1], "img_h": [1, 1], "mean": [9.0, 3.0]})
    assert rig.ids(vis.stats_gallery(external_df=own)) == [[2], [4]]


# ---- components ----


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [[0, 1, 2, 3], [4, 6]]),
        ({"ascending": True}, [[4, 6], [0, 1, 2, 3]]),
        ({"num_images": 1}, [[0, 1, 2, 3]]),
        ({"max_items": 2}, [[0, 1], [4, 6]]),
        ({"min_items": 3}, [[0, 1, 2, 3]]),
        ({"threshold": 0.96}, [[0, 1, 2, 3]]),
        ({"threshold": 0.98}, [[0, 1]]),
        ({"slice": "cat"}, [[0, 1]]),
        ({"slice": ["dog", "bird"]}, [[2, 3]]),
        ({"slice": "diff"}, [[0, 1, 2, 3], [4, 6]]),
        ({"slice": "same"}, []),
        ({"metric": "blur"}, [[4, 6], [0, 2, 1, 3]]),
        ({"metric": "blur", "ascending": True}, [[3, 1, 2, 0], [6, 4]]),
        ({"sort_by": "distance"}, [[0, 1, 2, 3], [4, 6]]),
        ({"sort_by": "area"}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "component_id"}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "weight"}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "weight", "sort_by_reduction": "sum"}, [[0, 1, 2, 3], [4, 6]]),
        ({"sort_by": "weight", "sort_by_reduction": "mean"}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "label", "ascending": True}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "mean", "ascending": True}, [[0, 1, 2, 3], [4, 6]]),
        ({"group_by": "label"}, [[0, 1, 6], [2, 3]]),
        ({"group_by": "label", "min_items": 1}, [[0, 1, 6], [2, 3], [4]]),
        ({"group_by": "label", "slice": "dog"}, [[2, 3]]),
        ({"group_by": "label", "label_col": "split"}, [[0, 2, 4, 7], [1, 3, 6]]),
    ],
)
def test_component_arguments(vis: FastdupVisualizer, arguments: dict, shown: list) -> None:
    assert rig.ids(vis.component_gallery(**arguments)) == shown


def test_component_numbers(vis: FastdupVisualizer) -> None:
    card = rig.cards(vis.component_gallery(metric="blur", max_items=2, ascending=True))[0]
    assert rig.fields(card) == {
        "component": "0",
        "num_images": "4",
        "mean_distance": "0.9617",  # (0.99 + 0.90 + 0.99 + 0.95 + 0.97 + 0.97) / 6
        "min_distance": "0.9",
        "blur": "317.5",
    }
    assert card.select_one(".more").get_text() == "and 2 more"
    counts = [(li.select_one(".label").get_text(), li.b.get_text()) for li in card.select(".counts li")]
    assert counts == [("cat", "2"), ("dog", "2")]


def test_components_of_an_external_frame(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"index": [0, 7, 1, 2, 3], "component_id": [9, 9, 5, 5, 5]})
    assert rig.ids(vis.component_gallery(external_df=own)) == [[1, 2, 3], [0, 7]]


# ---- refusals ----


@pytest.mark.parametrize(
    ("gallery", "arguments", "told"),
    [
        ("outliers_gallery", {"how": "some"}, "how='some' is unknown; allowed: all, one"),
        ("outliers_gallery", {"sort_by": "zzz"}, "sort_by='zzz' is unknown; allowed: .*weight"),
        ("outliers_gallery", {"num_images": 0}, "num_images=0"),
        ("outliers_gallery", {"slice": "label_score"}, "no meaning"),
        ("duplicates_gallery", {"slice": "cow"}, "slice='cow' is unknown; allowed: bird, cat, diff, dog, same"),
        ("duplicates_gallery", {"slice": []}, "names no label"),
        ("duplicates_gallery", {"label_col": "zzz"}, "label_col='zzz' is unknown"),
        ("duplicates_gallery", {"rows": 3}, "keyword argument='rows' is unknown"),
        ("stats_gallery", {"metric": "weight"}, "metric='weight' is unknown; allowed: blur, bright"),
        ("stats_gallery", {"slice": "diff"}, "no meaning"),
        ("component_gallery", {"group_by": "colour"}, "allowed: label, visual"),
        ("component_gallery", {"metric": "zzz"}, "metric='zzz'"),
        ("component_gallery", {"sort_by": "zzz"}, "sort_by='zzz' is unknown; allowed: area"),
        ("component_gallery", {"sort_by_reduction": "max"}, "allowed: mean, sum"),
        ("component_gallery", {"sort_by": "label", "sort_by_reduction": "sum"}, "needs numbers"),
        ("component_gallery", {"max_items": -1}, "max_items=-1"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(vis: FastdupVisualizer, gallery: str, arguments: dict, told: str) -> None:
    with pytest.raises(BadArgument, match=told):
        getattr(vis, gallery)(**arguments)


def test_without_labels_galleries_work_and_slices_are_refused(unlabelled: FastdupVisualizer) -> None:
    assert rig.ids(unlabelled.duplicates_gallery()) == PAIRS
    assert rig.ids(unlabelled.similarity_gallery(num_images=1)) == [[0, 1, 2]]
    assert rig.ids(unlabelled.component_gallery()) == [[0, 1, 2, 3], [4, 6]]
    assert rig.ids(unlabelled.outliers_gallery()) == [[7], [4]]
    assert len(rig.ids(unlabelled.stats_gallery())) == 7
    with pytest.raises(BadArgument, match="has none"):
        unlabelled.similarity_gallery(slice="diff")
    with pytest.raises(BadArgument, match="has none"):
        unlabelled.component_gallery(group_by="label")
