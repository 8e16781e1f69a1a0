"""The page as a file: where it goes, what is inlined, what is escaped, what a missing image leaves behind."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import types
from pathlib import Path

import cv2
import galleries_rig as rig
import numpy as np
import pandas as pd
import pytest

from fastdup_db.errors import BadArgument
from fastdup_db.galleries.cards import readable
from fastdup_db.galleries.visualizer import FastdupVisualizer

HOSTILE = [
    "<script>alert(1)</script>",
    "\"quoted\" and 'quoted'",
    "two\nlines",
    "</script><img src=x onerror=alert(2)>",
    "emoji 🦜 & ünïcode",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:alert(3) $\\frac{1}$",
    "back\\slash\u2028separator",
]


def visualizer(folder: Path, **options: object) -> FastdupVisualizer:
    return FastdupVisualizer(rig.Rig(folder / "work", rig.facts(folder / "photos"), **options))


@pytest.fixture(scope="module")
def vis(tmp_path_factory: pytest.TempPathFactory) -> FastdupVisualizer:
    """The eight known images, all there, for pages that are saved elsewhere."""
    return visualizer(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def report(vis: FastdupVisualizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the known images, two of each kind."""
    return vis.report(save_path=tmp_path_factory.mktemp("report"), num_images=2)


def pixels(src: str) -> np.ndarray:
    """The image of a data URL, BGR."""
    assert src.startswith("data:image/webp;base64,")
    return cv2.imdecode(np.frombuffer(base64.b64decode(src.split(",", 1)[1]), np.uint8), cv2.IMREAD_COLOR)


def test_a_page_is_one_file_with_its_pictures(tmp_path: Path) -> None:
    page = visualizer(tmp_path).stats_gallery()
    assert page == tmp_path / "work" / "galleries" / "mean.html"
    assert page.is_absolute()
    for card in rig.cards(page):
        i = int(card.select_one(".shot")["data-id"])
        shown = pixels(card.img["src"])
        assert shown.shape[:2] == (360, 480)
        b, g, r = shown[150, 400]  # inside the coloured rectangle
        assert np.allclose((r, g, b), rig.COLOURS[i % len(rig.COLOURS)], atol=12)


def test_nothing_on_a_page_is_remote(vis: FastdupVisualizer, report: Path, tmp_path: Path) -> None:
    lazy = vis.component_gallery(save_path=tmp_path, lazy_load=True)
    for page in (vis.duplicates_gallery(save_path=tmp_path), lazy, report):
        soup = rig.parsed(page)
        for tag in soup.find_all(src=True):
            assert tag["src"].startswith("data:") or not re.match(r"[a-z]+:|//|/", tag["src"])
        assert [link["href"] for link in soup.find_all("link")] == ["data:,"]
        assert not soup.find_all("script", src=True)
        assert "url(" not in soup.style.string
        assert "@import" not in soup.style.string
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        assert "default-src 'none'" in policy
        assert "http" not in policy


def test_hostile_names_labels_and_columns_are_text(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    facts["listing"] = rig.listing([f"/photos/{i}{name}" for i, name in enumerate(HOSTILE)])
    names = [*HOSTILE[:7], HOSTILE[0]]  # one label twice, so that the report draws a chart of labels
    user = pd.DataFrame({"id": range(8), "label": names, "<b>column</b>": names, 'quo"te': names})
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts | {"user_annotations": user}))
    for page in (vis.duplicates_gallery(), vis.component_gallery(), vis.similarity_gallery(slice="diff"), vis.report()):
        soup = rig.parsed(page)
        scripts = [script for script in soup.find_all("script") if script.get("type") != "application/json"]
        assert len(scripts) == 1  # our own, and the data elements stayed whole
        assert not soup.select("article script, article b > script, [onerror]")
        assert len(soup.find_all("img", src="x")) == 0
        table = json.loads(soup.find(id="rows").string)
        assert "<b>column</b>" in table["columns"]
        at = table["columns"].index("label")
        for row in table["data"]:
            assert row[at] == names[row[table["columns"].index("index")]]
        images = json.loads(soup.find(id="images").string)
        assert images["0"][0] == f"/photos/0{HOSTILE[0]}"
    card = rig.cards(vis.duplicates_gallery())[0]
    assert card.select_one(".name")["title"] == f"/photos/0{HOSTILE[0]}"
    assert rig.fields(card)["From_Label"] == HOSTILE[0]
    assert rig.ids(vis.duplicates_gallery(slice=HOSTILE[4])) == [[4, 6]]
    assert rig.ids(vis.duplicates_gallery(label_col="<b>column</b>", slice=HOSTILE[4])) == [[4, 6]]
    assert rig.ids(vis.outliers_gallery(sort_by='quo"te')) == [[7], [4]]


def test_a_missing_original_is_a_placeholder(tmp_path: Path) -> None:
    page = visualizer(tmp_path, missing=frozenset({1})).duplicates_gallery()
    first, second = rig.cards(page)[0].select(".shot")
    assert first.img is not None
    assert second.img is None
    assert second.select_one(".placeholder").get_text() == "image not available"


def test_an_image_shown_twice_is_inlined_once(vis: FastdupVisualizer, tmp_path: Path) -> None:
    soup = rig.parsed(vis.duplicates_gallery(save_path=tmp_path))
    shots = soup.select(".shot img")
    inlined = [img.parent["data-id"] for img in shots if img.get("src")]
    assert len(inlined) == len(set(inlined)) == 6
    assert all(img["data-same"] in inlined for img in shots if not img.get("src"))


def test_lazy_pages_keep_their_pictures_beside_them(vis: FastdupVisualizer, tmp_path: Path) -> None:
    page = vis.duplicates_gallery(save_path=tmp_path / "out" / "näme #1.html", lazy_load=True)
    sources = {img["src"] for img in rig.parsed(page).select(".shot img[src]")}
    files = {p.name for p in (page.parent / "näme #1_images").iterdir()}
    assert {s.split("/")[1] for s in sources} == files
    assert all(s.startswith("n%C3%A4me%20%231_images/") for s in sources)
    assert all(img["loading"] == "lazy" for img in rig.parsed(page).select(".shot img"))
    vis.duplicates_gallery(save_path=page, lazy_load=True, num_images=1)
    assert len(list((page.parent / "näme #1_images").iterdir())) == 2  # what the new page shows, no more


def test_save_path_is_a_page_or_a_folder(vis: FastdupVisualizer, tmp_path: Path) -> None:
    assert vis.outliers_gallery(save_path=str(tmp_path / "a")) == tmp_path / "a" / "outliers.html"
    assert vis.outliers_gallery(save_path=tmp_path / "b" / "mine.htm") == tmp_path / "b" / "mine.htm"
    taken = tmp_path / "taken.txt"
    taken.write_text("x")
    with pytest.raises(BadArgument, match="is a file"):
        vis.outliers_gallery(save_path=taken)


def test_boxes_are_drawn_on_the_whole_image_or_cut_out(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    facts["boxes"] = pd.DataFrame(
        {
            "id": [0, 1],
            "image_id": [0, 0],
            "col_x": [10.0, 0],
            "row_y": [20.0, 0],
            "width": [30.0, 0],
            "height": [40.0, 0],
        }
        | {"x1": [None, 1.0], "y1": [None, 2.0], "x2": [None, 9.0], "y2": [None, 3.0]}
        | {"x3": [None, 8.0], "y3": [None, 7.0], "x4": [None, 0.0], "y4": [None, 6.0]}
    )
    facts["instances"] = facts["instances"].assign(image_id=[0, 0, 2, 3, 4, 5, 6, 7])
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    first, second = rig.cards(vis.duplicates_gallery(num_images=1))[0].select(".shot")
    assert first.svg["viewbox"] == "0 0 480 360"
    assert first.polygon["points"] == "10,20 40,20 40,60 10,60"
    assert second.polygon["points"] == "1,2 9,3 8,7 0,6"
    for arguments in ({"draw_bbox": False}, {"load_crops": True}):
        first = rig.cards(vis.duplicates_gallery(num_images=1, **arguments))[0].select_one(".shot")
        assert first.svg is None
        assert pixels(first.img["src"]).shape == (90, 120, 3)


def test_extra_columns_and_renamed_files(vis: FastdupVisualizer) -> None:
    own = {"get_extra_col_func": lambda name: Path(name).stem * 2, "get_reformat_filename_func": lambda name: name[-5:]}
    card = rig.cards(vis.duplicates_gallery(**own))[0]
    assert (rig.fields(card)["extra_from"], rig.fields(card)["extra_to"]) == ("00", "11")
    assert card.select_one(".name").get_text() == "0.jpg"
    assert rig.fields(rig.cards(vis.outliers_gallery(**own))[0])["extra"] == "77"
    notes = [n.get_text() for n in rig.cards(vis.component_gallery(**own))[0].select(".note")]
    assert notes == ["00", "11", "22", "33"]
    table = json.loads(rig.parsed(vis.outliers_gallery(**own)).find(id="rows").string)
    assert table["columns"][-1] == "extra"


def test_names_are_short_and_the_row_is_whole(vis: FastdupVisualizer, tmp_path: Path) -> None:
    page = vis.outliers_gallery(save_path=tmp_path)
    assert [c.select_one(".name").get_text() for c in rig.cards(page)] == ["c/7.jpg", "b/4.jpg"]
    table = json.loads(rig.parsed(page).find(id="rows").string)
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["filename"] == str(Path(vis._controller.work_dir).with_name("photos") / "b" / "4.jpg")
    assert (row["index"], row["label"], row["weight"], row["blur"]) == (4, "bird", 5.0, 700.0)


def test_max_width_and_gray(tmp_path: Path) -> None:
    page = FastdupVisualizer(
        rig.Rig(tmp_path / "work", rig.facts(tmp_path)), default_config={"cv2_imread_flag": cv2.IMREAD_GRAYSCALE}
    ).outliers_gallery(max_width=700)
    assert rig.parsed(page).select_one(".page")["style"] == "--page: 700px"
    shown = pixels(rig.cards(page)[0].img["src"])
    assert np.abs(shown[:, :, 0].astype(int) - shown[:, :, 2]).max() <= 2
    with pytest.raises(BadArgument, match="cv2_imread_flag"):
        FastdupVisualizer(rig.Rig(tmp_path / "other", rig.facts(tmp_path)), default_config={"dpi": 3})


def test_save_artifacts_writes_images_and_csv(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path / "photos")
    for i, name in enumerate(facts["listing"]["filename"]):
        if i != 6:  # one original is gone from its place, as an archive member would be
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(b"original %d" % i)
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    page = vis.component_gallery(save_path=tmp_path / "out", save_artifacts=True)
    folder = page.with_name("components_artifacts")
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*")) == [
        "comp_0/0000000_0.jpg",
        "comp_0/0000001_1.jpg",
        "comp_0/0000002_2.jpg",
        "comp_0/0000003_3.jpg",
        "comp_4/0000004_4.jpg",
        "comp_4/0000006.png",
    ]
    assert (folder / "comp_0" / "0000001_1.jpg").read_bytes() == b"original 1"
    assert np.array_equal(cv2.imread(str(folder / "comp_4" / "0000006.png"))[:, :, ::-1], rig.drawn(6))
    assert pd.read_csv(page.with_suffix(".csv"))["num_images"].tolist() == [4, 2]
    page = vis.duplicates_gallery(save_path=tmp_path / "out", save_artifacts=True, num_images=1)
    assert len(list(page.with_name("duplicates_artifacts").iterdir())) == 2
    saved = pd.read_csv(page.with_suffix(".csv"))
    assert saved[["from_id", "to_id", "distance"]].values.tolist() == [[0, 1, 0.99]]


@pytest.mark.skipif(os.name == "nt", reason="names are shorter there")
def test_names_as_long_as_a_disk_allows(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    places = facts["listing"]["filename"].tolist()
    long = tmp_path / ("é" * 124 + ".jpg")
    long.write_bytes(b"an image")
    facts["listing"]["filename"] = [str(long), *places[1:]]
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    page = vis.duplicates_gallery(save_path=tmp_path / "out", save_artifacts=True, num_images=1)
    (copied,) = [p for p in page.with_name("duplicates_artifacts").iterdir() if p.read_bytes() == b"an image"]
    assert copied.name.startswith("0000000_") and copied.name.endswith("é.jpg")
    for wrong in ("p" * 300, "a\0b.html"):
        with pytest.raises(BadArgument, match="names of at most 255 bytes"):
            vis.duplicates_gallery(save_path=tmp_path / wrong)


def test_a_page_is_written_whole_or_not_at_all(
    vis: FastdupVisualizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = vis.duplicates_gallery(save_path=tmp_path / "out", get_reformat_filename_func=lambda _: "\udcff")
    before = page.read_text()
    link = tmp_path / "link.html"
    link.symlink_to(page)
    vis.duplicates_gallery(save_path=link, get_reformat_filename_func=lambda _: "\udcff")
    assert link.is_symlink() and page.read_text() == before
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        vis.duplicates_gallery(save_path=tmp_path / "out", num_images=1)
    assert page.read_text() == before and [p.name for p in page.parent.iterdir()] == ["duplicates.html"]


def test_artifacts_without_labels_have_no_columns_of_labels(vis: FastdupVisualizer, tmp_path: Path) -> None:
    page = vis.outliers_gallery(label_col=None, save_artifacts=True, save_path=tmp_path)
    assert list(pd.read_csv(page.with_suffix(".csv"))) == ["outlier", "nearest", "distance"]


def test_what_is_said_of_one_picture_stands_under_it(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path / "photos") | {"verified": rig.verified()}
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    card = rig.cards(vis.duplicates_gallery(get_extra_col_func=lambda name: "more"))[0]
    sides = {row.dt.get_text(): row.get("class") for row in card.select(".fields > div")}
    assert sides == dict.fromkeys(["Distance", "Kind", "Score", "Inliers"]) | {
        "From_Label": ["from"], "To_Label": ["to"], "extra_from": ["from"], "extra_to": ["to"],
    }  # fmt: skip


def test_a_blank_label_has_a_name(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path / "photos")
    facts["user_annotations"] = facts["user_annotations"].assign(label=["", "", " ", " ", "a", "a", "a", "a"])
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", facts))
    titles = [card.h2.get_text() for card in rig.cards(vis.component_gallery(group_by="label"))]
    assert titles == ["a", "(blank)", "(blank)"]
    assert rig.fields(rig.cards(vis.duplicates_gallery())[0])["From_Label"] == "(blank)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (48e6, "48,000,000"),
        (1000.0, "1,000"),
        (9794.9596, "9,795.0"),
        (0.7, "0.7"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.00001, "0"),
        (2**60, f"{2**60:,}"),
        (True, "yes"),
        (float("nan"), "–"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float, text: str) -> None:
    assert readable(value) == text


def test_show_does_nothing_outside_a_notebook(vis: FastdupVisualizer, capsys: pytest.CaptureFixture[str]) -> None:
    vis.outliers_gallery(show=True)
    assert capsys.readouterr() == ("", "")


def test_show_displays_the_page_in_a_notebook(vis: FastdupVisualizer, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display = types.ModuleType("IPython.display")
    display.HTML = lambda text: text  # type: ignore[attr-defined]
    display.IFrame = lambda src, **size: src  # type: ignore[attr-defined]
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    vis.outliers_gallery(show=False)
    assert shown == []
    vis.outliers_gallery(show=True)
    assert "Outliers Report" in str(shown[0])
    assert "<script" not in str(shown[0])  # the page lies escaped inside srcdoc
    page = vis.outliers_gallery(lazy_load=True)
    assert Path(str(shown[1])) == page


def test_the_same_answer_makes_the_same_page(vis: FastdupVisualizer, report: Path, tmp_path: Path) -> None:
    photos = Path(vis._controller.work_dir).with_name("photos")
    again = FastdupVisualizer(rig.Rig(tmp_path / "work", rig.facts(photos)))  # of another database with the same facts
    assert again.report(num_images=2).read_bytes() == report.read_bytes()


def test_report_has_summary_charts_and_every_gallery(report: Path) -> None:
    soup = rig.parsed(report)
    assert report.name == "report.html"
    assert [li.get_text() for li in soup.select(".summary li")] == [line.replace("`", "") for line in rig.Rig.lines]
    assert [code.get_text() for code in soup.select(".summary code")] == [".outliers()"]
    captions = [c.get_text() for c in soup.select(".chart figcaption")]
    assert captions[0] == "Brightness (mean of the pixels)"
    assert captions[-1] == "Images of each label"
    assert all(chart.svg for chart in soup.select(".chart"))
    titles = [h.get_text() for h in soup.select("section > h2")][2:]
    assert titles == [
        "Duplicates Report",
        "Components Report",
        "Outliers Report",
        "Similarity Report, label_score",
        "Dark Image Report",
        "Bright Image Report",
        "Blurry Image Report",
    ]
    keys = [card["id"] for card in soup.select("article")]
    assert len(keys) == len(set(keys))
    assert [int(s["data-id"]) for s in soup.select("#section-duplicates .shot")] == [0, 1, 2, 3]
    assert [int(s["data-id"]) for s in soup.select("#section-outliers .shot")] == [7, 4]
    assert "Showing all 2 outliers" in soup.select_one("#section-outliers").get_text()  # as outliers() has it
    everything = [element["id"] for element in soup.select("[id]")]
    assert len(everything) == len(set(everything))
    used = re.findall(r'(?:href="|url\()#(chart-[^")]+)', report.read_text())
    assert used and set(used) <= set(everything)
    assert "#010203" not in report.read_text()  # every colour of a chart is the theme's


def test_report_without_labels(tmp_path: Path) -> None:
    vis = FastdupVisualizer(rig.Rig(tmp_path / "work", rig.facts(tmp_path, labelled=False)))
    titles = [h.get_text() for h in rig.parsed(vis.report()).select("section > h2")]
    assert "Similarity Report, label_score" not in titles


def test_report_of_boxes_counts_objects(tmp_path: Path) -> None:
    facts = rig.facts(tmp_path)
    facts["runs"] = facts["runs"].assign(data_type="boxes")
    soup = rig.parsed(FastdupVisualizer(rig.Rig(tmp_path / "work", facts)).report(num_images=1))
    assert soup.select(".chart figcaption")[-1].get_text() == "Objects of each label"
    assert "objects (1 invalid left out)" in soup.select_one(".facts").get_text()


def test_lengths_of_time_and_the_largest_numbers_reach_the_page(tmp_path: Path) -> None:
    """pandas counts lengths of time among the whole numbers, and the least of these has no absolute value."""
    facts = rig.facts(tmp_path / "photos")
    least = np.iinfo(np.int64).min
    columns = {"label": pd.to_timedelta(range(8), unit="h"), "photo_id": least + np.arange(8)}
    facts["user_annotations"] = facts["user_annotations"].assign(**columns)
    page = FastdupVisualizer(rig.Rig(tmp_path / "work", facts)).stats_gallery(save_path=tmp_path)
    assert "P0DT3H0M0S" in page.read_text() and f'"{least + 3}"' in page.read_text()
