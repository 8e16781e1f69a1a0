"""Images without an annotation: no answer, no page and no file of labels mixes them with the others."""

from __future__ import annotations

from pathlib import Path

import cv2
import galleries_rig as rig
import numpy as np
import pandas as pd
import pytest
from planted_models import channel_means

import fastdup_db
from fastdup_db import demo

GROUPS, SIZE = 4, 3


@pytest.fixture(scope="module")
def partly(tmp_path_factory) -> fastdup_db.Fastdup:
    """Four pictures, three copies each, named g<picture>_<copy>; the middle copies have no annotation."""
    folder = tmp_path_factory.mktemp("partly")
    names = [f"g{group}_{copy}.png" for group in range(GROUPS) for copy in range(SIZE)]
    (folder / "photos").mkdir()
    for name in names:
        cv2.imwrite(str(folder / "photos" / name), demo.scene(int(name[1]) + 20))
    said = pd.DataFrame({"filename": [name for name in names if not name.endswith("_1.png")]})
    said["label"] = said["filename"].str[:2]
    fd = fastdup_db.create(folder / "work", folder / "photos")
    fd.run(annotations=said, progress=False, nearest_neighbors_k=3)
    fd.verify(progress=False)
    return fd


def shown(page: Path) -> set[int]:
    return {i for card in rig.ids(page) for i in card}


def test_galleries_show_what_the_answers_have(partly):
    annotated = set(partly.annotations()["fd_index"])
    assert len(annotated) == GROUPS * (SIZE - 1)
    groups, _ = partly.connected_components()
    assert set(groups["index"]) == annotated == shown(partly.vis.component_gallery())
    assert {len(card) for card in rig.ids(partly.vis.component_gallery())} == {SIZE - 1}
    assert shown(partly.vis.duplicates_gallery()) == annotated
    assert len(rig.ids(partly.vis.duplicates_gallery(verified=True))) == len(partly.duplicates()) == GROUPS
    assert shown(partly.vis.outliers_gallery(how="one")) <= annotated


def test_views_count_the_rows_they_have(partly):
    members = partly.sql("from connected_components")
    assert len(members) == GROUPS * SIZE and set(members["count"]) == {SIZE}
    assert partly.sql("from component_info")["count"].tolist() == [SIZE] * GROUPS
    (row,) = partly.sql("from summary").to_dict("records")
    kept = SIZE - 1
    assert (row["images"], row["components"], row["clustered"], row["largest_component"]) == (
        GROUPS * kept, GROUPS, GROUPS * kept, kept
    )  # fmt: skip


def test_the_summary_joins_nothing_by_what_has_no_annotation(tmp_path):
    """Colours in a row, each near to the next: one component, which falls apart where the second has no annotation."""
    (tmp_path / "photos").mkdir()
    for name, angle in zip("abcdef", np.radians(range(10, 70, 10)), strict=True):
        colour = np.uint8([0, 200 * np.sin(angle), 200 * np.cos(angle)])
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), np.tile(colour, (32, 32, 1)))
    model = channel_means(tmp_path / "m.onnx", dim=3, shape=("n", 3, "h", "w"))
    fd = fastdup_db.create(tmp_path / "work", tmp_path / "photos")
    fd.run(
        annotations=["a.png", "c.png", "d.png", "e.png", "f.png"],
        model_path=str(model),
        model_input={"mean": 0, "std": 1, "input_size": 32},
        adapt=False,
        cc_threshold=0.98,
        progress=False,
    )
    assert len(fd.sql("from components")) == 6
    members, info = fd.connected_components()
    assert [Path(name).name for name in members["filename"]] == ["c.png", "d.png", "e.png", "f.png"]
    (row,) = fd.sql("from summary").to_dict("records")
    assert (row["components"], row["clustered"], row["largest_component"]) == (len(info), 4, 4)
    kept = fd.sql("from annotated_components")
    assert kept.to_numpy().tolist() == members[["index", "component_id"]].to_numpy().tolist()


def test_labels_stay_with_their_images(partly, tmp_path):
    fastdup_db.export_to_tensorboard_projector(partly.work_dir, tmp_path, with_images=False)
    rows = pd.read_csv(tmp_path / "metadata.tsv", sep="\t", keep_default_na=False)
    assert len(rows) == GROUPS * SIZE
    for name, label in zip(rows["filename"], rows["label"], strict=True):
        assert label == ("N/A" if name.endswith("_1.png") else Path(name).name[:2])
    fastdup_db.run_kmeans_on_extracted(work_dir=partly.work_dir, num_clusters=GROUPS)
    clusters = pd.read_csv(Path(partly.work_dir) / "kmeans_assignments.csv")
    of = clusters["filename"].map(lambda name: Path(name).name[:2])
    assert clusters.groupby("cluster")["filename"].size().tolist() == [SIZE] * GROUPS
    assert of.groupby(clusters["cluster"]).nunique().eq(1).all()


def test_a_missing_label_neither_agrees_nor_disagrees(partly, tmp_path):
    labels = dict.fromkeys(partly.annotations(include_unannotated=True)["filename"])
    folder = Path(next(iter(labels))).parent
    labels[str(folder / "g0_0.png")] = "cat"
    labels |= {str(folder / "g1_0.png"): "dog", str(folder / "g1_2.png"): "cow"}
    top = fastdup_db.find_top_components(partly.work_dir, labels)
    assert fastdup_db.delete_components_by_label(top, min_items=2, verbose=False) == [str(folder / "g1_2.png")]
    both = fastdup_db.find_top_components(partly.work_dir, labels, slice="diff")
    assert [Path(files[0]).name for files in both["files"]] == ["g1_0.png"]
    one = fastdup_db.find_top_components(partly.work_dir, labels, slice="same")
    assert [Path(files[0]).name for files in one["files"]] == ["g0_0.png"]
    by_id = partly.annotations().set_index("fd_index")["filename"].map(labels)
    differ = shown(partly.vis.similarity_gallery(slice="diff", external_labels=by_id, threshold=0.99))
    assert {Path(partly[i]["filename"]).name[:2] for i in differ} == {"g1"}
