"""README's Python blocks, run from top to bottom in one namespace beside a prepared collection.

The blocks find, in the current directory: `photos/` (class folders) and `more_photos/`, `train/` and `test/`,
`photos.tar`, `clip.mp4`, `labels.csv` (filename, label, split), `boxes.csv`, `coco.json`, `dataset.yaml`,
`embeddings.npy` with `names.txt`. A fence ```python no-run, or a block that names a bucket, is not run; nor is one that
looks for faces where the real photographs are absent: drawn scenes have none.
"""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from fastdup_db import demo
from tests.conftest import data_folder

README = Path(__file__).resolve().parents[1] / "README.md"
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NETWORK = ("s3://", "minio://", "http://", "https://")
CLASSES = ("bird", "cat")
REAL = data_folder()
PEOPLE = REAL / "coco128" / "images" / "train2017" / "000000000459.jpg" if REAL else None
UNAVAILABLE = (*NETWORK, "face") if PEOPLE is None else NETWORK


def blocks(text: str) -> list[tuple[int, str]]:
    """(line of the first statement, code) of every block that is to be run."""
    return [
        (text[: found.start(2)].count("\n") + 1, found[2])
        for found in FENCE.finditer(text)
        if "no-run" not in found[1] and not any(name in found[2] for name in UNAVAILABLE)
    ]


def prepare(folder: Path, *, planted: bool) -> None:
    """Everything that README's examples open. planted: `photos/` also has copies, dark, blurry and broken files."""
    _photographs(folder / "photos", range(12))
    _photographs(folder / "more_photos", range(10, 18))
    _photographs(folder / "train", range(20, 26))
    _photographs(folder / "test", range(24, 28))
    if planted:
        demo.draw(folder / "photos")
        if PEOPLE is not None:
            (folder / "photos" / "people.jpg").write_bytes(PEOPLE.read_bytes())
    with tarfile.open(folder / "photos.tar", "w") as tar:
        tar.add(folder / "photos", "photos")
    _film(folder / "clip.mp4", range(6))

    names = sorted(str(p.relative_to(folder / "photos")) for p in (folder / "photos").glob("*/*.jpg"))
    labels = pd.DataFrame({"filename": names, "label": [Path(n).parent.name for n in names]})
    labels["split"] = np.where(np.arange(len(names)) % 3, "train", "test")
    labels.to_csv(folder / "labels.csv", index=False)
    boxes = labels.drop(columns="split").loc[labels.index.repeat(2)].reset_index(drop=True)
    second = np.arange(len(boxes)) % 2
    boxes = boxes.assign(col_x=20 + 120 * second, row_y=30 + 60 * second, width=100, height=90)
    boxes.to_csv(folder / "boxes.csv", index=False)
    (folder / "coco.json").write_text(json.dumps(_coco(boxes)))
    _yolo(folder, boxes)
    vectors = np.random.default_rng(0).normal(size=(len(names), 16)).astype(np.float32)
    np.save(folder / "embeddings.npy", vectors)
    (folder / "names.txt").write_text("\n".join(names) + "\n")


def _photographs(folder: Path, numbers: range) -> None:
    for number in numbers:
        path = folder / CLASSES[number % 2] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), demo.scene(number))


def _film(path: Path, numbers: range) -> None:
    height, width = demo.SIZE
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in numbers:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(demo.scene(number), format="bgr24")))
        out.mux(stream.encode(None))


def _coco(boxes: pd.DataFrame) -> dict[str, list]:
    names = boxes["filename"].drop_duplicates().tolist()
    height, width = demo.SIZE
    return {
        "images": [{"id": i, "file_name": n, "width": width, "height": height} for i, n in enumerate(names)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [
            {"id": i, "image_id": names.index(r.filename), "category_id": CLASSES.index(r.label),
             "bbox": [r.col_x, r.row_y, r.width, r.height]}
            for i, r in enumerate(boxes.itertuples())
        ],
    }  # fmt: skip


def _yolo(folder: Path, boxes: pd.DataFrame) -> None:
    """`dataset.yaml` with its own `yolo/images/{train,val}` and labels, as the trainers want them."""
    height, width = demo.SIZE
    for number, (name, rows) in enumerate(boxes.groupby("filename")):
        split = "val" if number % 4 == 0 else "train"
        image = folder / "yolo" / "images" / split / f"{number:02d}.jpg"
        label = folder / "yolo" / "labels" / split / f"{number:02d}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes((folder / "photos" / name).read_bytes())
        label.write_text(
            "".join(
                f"{CLASSES.index(r.label)} {(r.col_x + r.width / 2) / width} {(r.row_y + r.height / 2) / height} "
                f"{r.width / width} {r.height / height}\n"
                for r in rows.itertuples()
            )
        )
    (folder / "dataset.yaml").write_text(
        f"path: yolo\ntrain: images/train\nval: images/val\nnames: {json.dumps(list(CLASSES))}\n"
    )


def execute(text: str, *, name: str) -> None:
    """Run the blocks of `text` in one namespace; a failure points at its line of the file."""
    namespace: dict[str, object] = {"__name__": "readme"}
    for line, code in blocks(text):
        exec(compile("\n" * (line - 1) + code, name, "exec"), namespace)


def test_the_blocks_of_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not README.is_file():
        pytest.skip("there is no README.md yet")
    prepare(tmp_path, planted=True)
    monkeypatch.chdir(tmp_path)
    execute(README.read_text(encoding="utf-8"), name=str(README))


def test_every_form_of_input_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of README's table of inputs, on what its examples find."""
    prepare(tmp_path, planted=False)
    monkeypatch.chdir(tmp_path)
    execute(FORMS, name="forms")


def test_blocks_are_found_with_their_lines() -> None:
    text = "a\n```python\nx = 1\n```\n```python no-run\nno\n```\n```python\nrun('s3://b')\n```\n```bash\nls\n```\n"
    assert blocks(text) == [(3, "x = 1\n")]


FORMS = """
```python
import numpy as np, pandas as pd
import fastdup_db as fastdup

def ran(input_dir=None, run_mode=1, **arguments):  # 1: what is read, without the neighbours
    fd = fastdup.create("results", input_dir)
    fd.run(**arguments, run_mode=run_mode, progress=False)
    return fd

labels, boxes = pd.read_csv("labels.csv"), pd.read_csv("boxes.csv")
assert ran("photos").num_instances() == 12
assert ran("photos/cat/01.jpg").num_instances() == 1
assert ran(["photos/cat", "more_photos"]).num_instances() == 6 + 8
assert ran("photos.tar").num_instances() == 12
assert ran("clip.mp4", video_fps=1).num_instances() == 6
fd = ran("dataset.yaml")
assert fd.num_instances() == 24 and set(fd.annotations()["split"]) == {"train", "val"}
fd = ran("photos", label_from_folder=True)
assert {"cat", "bird"} <= set(fd.annotations()["label"].dropna())
fd = ran("photos", annotations=labels[:10])
assert fd.num_instances() == 10 and len(fd.annotations(include_unannotated=True)) == 12
assert ran("photos", annotations="labels.csv").num_instances() == 12
assert ran("photos", annotations=labels["filename"].tolist()).num_instances() == 12
assert ran("photos", annotations=boxes).num_instances() == 24
assert ran("photos", annotations="boxes.csv").num_instances() == 24
assert ran("photos", annotations="coco.json").num_instances() == 24
assert ran("photos", subset=["cat/01.jpg", "bird/02.jpg"]).num_instances() == 2
fd = ran("train", test_dir="test", run_mode=0)
assert set(fd.similarity(threshold=0)["split_from"]) == {"test"}
names = open("names.txt").read().split()
assert ran(annotations=names, embeddings=np.load("embeddings.npy")).embeddings()[1].shape == (12, 16)
assert ran("photos", bounding_box="row_y=10,col_x=10,height=100,width=100").img_stats()["img_w"].max() == 100
```
"""
