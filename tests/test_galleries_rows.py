"""Every gallery and every argument that picks rows: the right images, in the right order, with the right numbers."""

from __future__ import annotations

import json
from pathlib import Path

import galleries_rig as rig
import numpy as np
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
    names = vis._controller.gallery_frame("rows", ids=[0, 3, 7])["filename"]
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
        ({"how": "all"}, [[7], [4]]),
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
    assert column(vis.outliers_gallery(how="one"), "Farthest") == ["#4", "#0"]
    assert column(vis.outliers_gallery(how="all"), "Distance") == ["0.15", "0.91"]
    assert column(vis.outliers_gallery(how="all"), "Nearest") == ["#0", "#6"]


def test_outliers_of_an_external_frame(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"outlier": [3, 3, 1], "nearest": [0, 1, 2], "distance": [0.2, 0.6, 0.4]})
    one = vis.outliers_gallery(external_df=own)
    assert (rig.ids(one), column(one, "Distance")) == ([[3], [1]], ["0.2", "0.4"])
    pairs = own.rename(columns={"outlier": "from", "nearest": "to"})  # as in fastdup's outliers.csv
    assert rig.ids(vis.outliers_gallery(external_df=pairs)) == [[3], [1]]
    every = vis.outliers_gallery(external_df=own, how="all")
    assert (rig.ids(every), column(every, "Distance")) == ([[1], [3]], ["0.4", "0.6"])


# ---- similarity ----


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [[0, 1, 2], [1, 0, 2], [2, 3], [3, 2], [4, 6], [6, 4]]),
        ({"ascending": True}, [[0, 2, 1], [4, 6], [6, 4], [1, 2, 0], [2, 3], [3, 2]]),
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


@pytest.mark.parametrize(("threshold", "said"), [(None, "0.9"), (0.95, "0.95"), (0.999, "0.999")])
def test_pages_of_pairs_say_from_which_similarity(vis: FastdupVisualizer, threshold: float | None, said: str) -> None:
    for page in (vis.similarity_gallery(threshold=threshold), vis.duplicates_gallery(threshold=threshold)):
        named = rig.parsed(page).find(string="Threshold")
        assert named is not None and named.find_next("dd").get_text(strip=True) == said


def test_similarity_saves_the_frame_fastdup_returns(vis: FastdupVisualizer, tmp_path: Path) -> None:
    vis.similarity_gallery(save_path=tmp_path, slice="label_score", save_artifacts=True)
    saved = pd.read_csv(tmp_path / "similarity.csv")
    assert list(saved) == ["from", "to", "label", "label2", "distance", "score", "length"]
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
    assert first == {"size": "307,200", "width": "640", "height": "480", "Label": "bird"}


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
        ({"sort_by": "mean_distance", "ascending": True}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "min_distance"}, [[4, 6], [0, 1, 2, 3]]),
        ({"sort_by": "max_distance"}, [[0, 1, 2, 3], [4, 6]]),
        ({"sort_by": "len", "draw_bbox": None}, [[0, 1, 2, 3], [4, 6]]),
        ({"slice": ["bird", "cow"], "min_items": 1}, [[4]]),
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


@pytest.mark.parametrize("gallery", ["outliers", "duplicates", "similarity", "stats", "component"])
def test_words_about_the_layout_of_fastdups_pages_are_taken(vis: FastdupVisualizer, gallery: str) -> None:
    words = "keep_aspect_ratio enhance_image nrows selection_strategy limit_labels_printed force_width force_height"
    page = getattr(vis, f"{gallery}_gallery")(**dict.fromkeys((*words.split(), "draw_orig_image"), 1), show=False)
    assert rig.cards(page)


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


@pytest.mark.parametrize(
    ("gallery", "arguments", "told"),
    [
        (
            "outliers_gallery",
            {"num_images": 10**20},
            "num_images=100000000000000000000; allowed: a whole number from 1",
        ),
        ("outliers_gallery", {"num_images": np.float64(3)}, "num_images=.*allowed: a whole number"),
        ("outliers_gallery", {"max_width": -5}, "max_width=-5; allowed: a whole number"),
        ("outliers_gallery", {"max_width": "x"}, "max_width='x'; allowed: a whole number"),
        ("outliers_gallery", {"ascending": "down"}, "ascending='down'; allowed: True or False"),
        ("outliers_gallery", {"how": ["one"]}, r"how=\['one'\] is unknown; allowed: all, one"),
        ("duplicates_gallery", {"threshold": "abc"}, "threshold='abc'; allowed: a number from -1 to 1"),
        ("duplicates_gallery", {"threshold": "0.9"}, "threshold='0.9'; allowed"),
        ("similarity_gallery", {"threshold": float("nan")}, "threshold=nan; allowed"),
        ("component_gallery", {"threshold": 2}, "threshold=2; allowed"),
        ("component_gallery", {"min_items": 1.5}, "min_items=1.5; allowed"),
        ("stats_gallery", {"label_col": ["label"]}, r"label_col=\['label'\] is unknown"),
        ("stats_gallery", {"external_df": "x.csv"}, "external_df of type str; allowed: a DataFrame"),
        ("stats_gallery", {"external_labels": ["cat"]}, "external_labels of type list"),
        ("stats_gallery", {"external_labels": {"a.jpg": "cat"}}, "by id"),
        ("stats_gallery", {"external_labels": {0: "cat", 77: "cat"}}, "1 ids that are not in this collection: 77"),
        ("stats_gallery", {"external_labels": pd.Series(["a", "b"], index=[3, 3])}, "several labels for id 3"),
        ("duplicates_gallery", {"get_reformat_filename_func": {"a": "b"}}, "of type dict; allowed: a function"),
        ("duplicates_gallery", {"get_extra_col_func": "label"}, "of type str; allowed: a function"),
        ("duplicates_gallery", {"save_path": 3}, "save_path=3; allowed: a path"),
        ("duplicates_gallery", {"save_path": f"{__file__}/page.html"}, "is a file"),
        ("duplicates_gallery", {"save_path": f"{__file__}/below"}, "is a file"),
    ],
)
def test_arguments_of_another_kind_are_refused(
    vis: FastdupVisualizer, gallery: str, arguments: dict, told: str
) -> None:
    with pytest.raises(BadArgument, match=told):
        getattr(vis, gallery)(**arguments)


def test_numbers_of_numpy_are_numbers(vis: FastdupVisualizer) -> None:
    three = {"num_images": np.int64(3), "max_width": np.int32(900)}
    assert rig.ids(vis.duplicates_gallery(**three, threshold=np.float32(0.91))) == PAIRS[:3]
    assert rig.ids(vis.component_gallery(max_items=np.uint8(2), min_items=np.int16(3))) == [[0, 1]]
    assert rig.ids(vis.stats_gallery(num_images=np.int8(1), ascending=np.False_)) == [[2]]
    assert "900px" in vis.duplicates_gallery(**three).read_text()


def test_a_threshold_below_that_of_the_run_shows_more(vis: FastdupVisualizer) -> None:
    low = [*PAIRS, [0, 7], [0, 4], [4, 7]]
    assert rig.ids(vis.duplicates_gallery(threshold=0.05, verified=False)) == low
    assert rig.ids(vis.duplicates_gallery(threshold=0.12, verified=False)) == low[:-1]
    assert rig.ids(vis.similarity_gallery(threshold=0.05, slice="bird")) == [[4, 6, 0]]
    assert rig.ids(vis.similarity_gallery(slice="bird")) == [[4, 6]]


# ---- columns and labels of one's own ----


@pytest.fixture(scope="module")
def likewise(tmp_path_factory: pytest.TempPathFactory) -> FastdupVisualizer:
    """Annotations with the names of statistics, their values the other way round."""
    folder = tmp_path_factory.mktemp("likewise")
    facts = rig.facts(folder / "photos")
    backwards = [-1.0, -900.0, -50.0, -300.0, -20.0, -700.0, -400.0, -1000.0]
    names = ("blur", "mean", "min", "img_w", "img_h", "rms_contrast")
    facts["advanced_stats"] = pd.DataFrame({"id": facts["stats"]["id"], "rms_contrast": [7, 6, 5, 4, 3, 2, 1]})
    facts["user_annotations"] = facts["user_annotations"].assign(**dict.fromkeys(names, backwards), Contrast="loud")
    return FastdupVisualizer(rig.Rig(folder / "work", facts))


@pytest.mark.parametrize("metric", ["blur", "mean", "img_w", "contrast", "size", "dark"])
def test_a_statistic_wins_over_a_column_of_its_name(
    vis: FastdupVisualizer, likewise: FastdupVisualizer, metric: str
) -> None:
    assert rig.ids(likewise.stats_gallery(metric=metric)) == rig.ids(vis.stats_gallery(metric=metric))
    if metric != "dark":
        arguments = {"metric": metric, "ascending": True}
        mine, theirs = (one.component_gallery(**arguments) for one in (likewise, vis))
        assert rig.ids(mine) == rig.ids(theirs)
        assert column(mine, metric) == column(theirs, metric)


def test_sort_by_means_the_statistic_too(likewise: FastdupVisualizer) -> None:
    assert rig.ids(likewise.outliers_gallery(sort_by="blur", ascending=False)) == [[7], [4]]
    assert rig.ids(likewise.outliers_gallery(sort_by="weight")) == [[4], [7]]
    assert rig.ids(likewise.outliers_gallery(sort_by="rms_contrast")) == [[7], [4]]
    assert rig.ids(likewise.component_gallery(sort_by="rms_contrast")) == [[0, 1, 2, 3], [4, 6]]
    assert rig.ids(likewise.stats_gallery(metric="rms_contrast", num_images=2)) == [[0], [1]]
    with pytest.raises(BadArgument, match=r"metric='blur_1' is unknown; allowed: blur, "):
        likewise.component_gallery(metric="blur_1")


def test_a_row_has_the_statistic_and_the_column_of_its_name(likewise: FastdupVisualizer) -> None:
    table = json.loads(rig.parsed(likewise.outliers_gallery(num_images=1)).find(id="rows").string)
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (row["index"], row["blur"], row["blur_1"], row["img_w"]) == (7, 1000.0, -1000.0, 100)
    assert (row["contrast"], row["Contrast_1"]) == (0.4, "loud")
    assert len({name.lower() for name in table["columns"]}) == len(table["columns"])


def test_component_gallery_of_size(vis: FastdupVisualizer) -> None:
    page = vis.component_gallery(metric="size")
    assert (rig.ids(page), column(page, "size")) == ([[4, 6], [0, 1, 2, 3]], ["240,000", "172,800"])


@pytest.mark.parametrize(
    ("values", "asked", "shown"),
    [
        ([1, 1, 2, 2, 3, 1, 1, 9], 1, [[0, 1], [1, 2], [4, 6], [0, 2]]),
        ([1, 1, 2, 2, 3, 1, 1, 9], [np.int64(2), "3"], [[2, 3], [1, 2], [4, 6], [0, 2]]),
        ([1, 1, 2, 2, None, 1, 1, None], 2, [[2, 3], [1, 2], [0, 2]]),
        ([1.5, 1, 2, 2, 3, 1, 1, 9], 1.5, [[0, 1], [0, 2]]),
        ([True, False, False, False, False, True, False, True], [True], [[0, 1], [0, 2]]),
        ([True, False, False, False, False, True, False, True], np.True_, [[0, 1], [0, 2]]),
    ],
)
def test_labels_that_are_no_text_can_be_sliced_by(tmp_path: Path, values: list, asked: object, shown: list) -> None:
    facts = rig.facts(tmp_path / "photos")
    facts["user_annotations"] = facts["user_annotations"].assign(label=values)
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    assert rig.ids(vis.duplicates_gallery(slice=asked)) == shown
    with pytest.raises(BadArgument, match=r"slice='7' is unknown"):
        vis.duplicates_gallery(slice=7)


def test_labels_by_id_stand_for_those_of_the_run(vis: FastdupVisualizer) -> None:
    own = {0: "x", 1: "y", 2: "y", 3: "x", 4: "x", 6: "x"}
    page = vis.duplicates_gallery(external_labels=own)
    assert (column(page, "From_Label"), column(page, "To_Label")) == (list("xyyxx"), list("yxyxy"))
    assert rig.ids(vis.duplicates_gallery(external_labels=pd.Series(own), slice="same")) == [[1, 2], [4, 6]]
    assert rig.ids(vis.similarity_gallery(external_labels=own, slice="same")) == [[4, 6], [6, 4]]
    assert rig.ids(vis.component_gallery(external_labels=own, group_by="label", slice="y")) == [[1, 2]]
    assert rig.ids(vis.stats_gallery(external_labels=own, slice="y")) == [[1], [2]]
    assert rig.ids(vis.outliers_gallery(external_labels=own, slice="x")) == [[4]]
    assert rig.ids(vis.component_gallery(external_labels=own | {5: "y"}, group_by="label", slice="y")) == [[1, 2, 5]]
    with pytest.raises(BadArgument, match="slice='cat' is unknown; allowed: x, y"):
        vis.stats_gallery(external_labels=own, slice="cat")


# ---- frames of one's own ----


def test_names_that_look_like_numbers_are_sorted_as_names(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    facts["user_annotations"]["kind"] = ["zebra", "7", "cat", "12", "nan", "dog", "ant", "9"]
    other = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    edges = {"outlier": [0, 1, 2, 3], "nearest": [1, 2, 3, 4], "distance": 0.1}
    groups = {"index": [0, 1, 2, 3], "component_id": [0, 1, 2, 3]}
    for gallery, frame in (("outliers_gallery", edges), ("component_gallery", groups)):
        for ascending, shown in ((True, [[3], [1], [2], [0]]), (False, [[0], [2], [1], [3]])):
            more = {"min_items": 1} if gallery == "component_gallery" else {}
            page = getattr(other, gallery)(external_df=pd.DataFrame(frame), sort_by="kind", ascending=ascending, **more)
            assert rig.ids(page) == shown, gallery


@pytest.mark.parametrize("numbers", [[0.2, 0.7], [np.inf, np.inf]])
def test_components_have_whole_numbers(vis: FastdupVisualizer, numbers: list) -> None:
    with pytest.raises(BadArgument, match="no whole number"):
        vis.component_gallery(external_df=pd.DataFrame({"index": [0, 1], "component_id": numbers}))


@pytest.mark.parametrize(
    ("gallery", "columns"),
    [
        ("duplicates_gallery", ["from", "to", "distance"]),
        ("similarity_gallery", ["from", "to", "distance"]),
        ("outliers_gallery", ["outlier", "nearest", "distance"]),
        ("component_gallery", ["index", "component_id"]),
        ("stats_gallery", ["index", "img_w", "img_h", "mean"]),
    ],
)
def test_an_empty_frame_makes_an_empty_page(vis: FastdupVisualizer, gallery: str, columns: list) -> None:
    page = getattr(vis, gallery)(external_df=pd.DataFrame(columns=columns))
    assert rig.ids(page) == []
    assert "Nothing to show" in rig.parsed(page).get_text()


def test_frames_that_do_not_fit_are_refused(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"from": [0, 1], "to": [77, 2], "distance": [0.5, 0.7]})
    with pytest.raises(BadArgument, match="1 ids that are not in this collection: 77"):
        vis.duplicates_gallery(external_df=own)
    with pytest.raises(BadArgument, match="'distance' holds other things than numbers"):
        vis.similarity_gallery(external_df=own.assign(distance="far"))
    with pytest.raises(BadArgument, match="without a value in 'from'"):
        vis.duplicates_gallery(
            external_df=own.astype({"from": "Int64"}).assign(**{"from": pd.array([None, 1], "Int64")})
        )
    with pytest.raises(BadArgument, match="image 0 in several components"):
        vis.component_gallery(external_df=pd.DataFrame({"index": [0, 1, 0], "component_id": [1, 1, 2]}))
    with pytest.raises(BadArgument, match="lacks the columns blur"):
        vis.stats_gallery(metric="blur", external_df=pd.DataFrame({"index": [0], "img_w": [1], "img_h": [1]}))


def test_frames_as_a_merge_leaves_them(vis: FastdupVisualizer) -> None:
    own = pd.DataFrame({"from": [0.0, 1.0], "to": [4.0, 2.0], "distance": [0.5, 0.7]})
    assert rig.ids(vis.duplicates_gallery(external_df=own)) == [[1, 2], [0, 4]]
    twice = pd.DataFrame({"index": [0, 1, 1], "component_id": [5, 5, 5]})
    assert rig.ids(vis.component_gallery(external_df=twice)) == [[0, 1]]
    assert rig.ids(vis.component_gallery(external_df=twice, group_by="label", min_items=1)) == [[0, 1]]


def test_groups_are_sorted_by_a_flag_as_by_a_number(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    flag = [True, False, False, False, True, False, True, False]  # a quarter of {0, 1, 2, 3}, all of {4, 6}
    facts["user_annotations"] = facts["user_annotations"].assign(flag=flag)
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    by_flag = {"sort_by": "flag", "sort_by_reduction": "mean"}
    assert rig.ids(vis.component_gallery(**by_flag)) == [[4, 6], [0, 1, 2, 3]]
    assert rig.ids(vis.component_gallery(**by_flag, ascending=True)) == [[0, 1, 2, 3], [4, 6]]


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
