"""`Fastdup`: the controller with everything a user reaches from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.controller import FastdupController


class Fastdup(FastdupController):
    """All of fastdup_db on one work_dir.

    fd = fastdup_db.create(work_dir="results", input_dir="photos")
    fd.run()
    fd.similarity(); fd.outliers(); fd.connected_components(); fd.img_stats()
    """

    def caption(
        self,
        model_name: str = "automatic",
        device: str = "cpu",
        batch_size: int = 8,
        subset: Sequence[str] | None = None,
        vqa_prompt: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        progress: bool = True,
    ) -> pd.DataFrame:
        """A sentence about every valid image (or box), or an answer to a question about it.

        Needs the extra `caption` (transformers and torch). What was asked before is not computed again; the captions
        asked last are a column of `annotations()`, and all of them are the table `captions`.

        Args:
            model_name: automatic (ViT-GPT2), vitgpt2, blip, blip2, git, vqa, age, a folder, or a Hugging Face id.
            device: cpu, gpu, or a torch device such as cuda:1.
            batch_size: images described at once.
            subset: names of the images to describe, all by default.
            vqa_prompt: the question to answer about each image.
            kwargs: arguments of the model's `generate`, such as `num_beams`.

        Returns:
            `filename, caption`, by id; no caption where an image can no longer be read.

        Raises:
            BadArgument, MissingExtra, ModelUnavailable (without a network: it says what to fetch), NotRun.
        """
        from fastdup_db.pipeline import captioning

        base = self.input_dir
        return captioning.run(
            captioning.CaptionRequest(
                work_dir=self.work_dir,
                model_name=model_name,
                device=device,
                batch_size=batch_size,
                subset=subset,
                vqa_prompt=vqa_prompt,
                kwargs=dict(kwargs or {}),
                bases=(base,) if isinstance(base, str) else (),
                progress=progress,
            )
        )

    def images_without_detections(self) -> pd.DataFrame:
        """`image_id, filename` of the images in which `bounding_box='face'|'ocr'|'yolov5s'` found nothing."""
        with self._database() as db:
            self._last_run(db)
            return db.frame("annotations/without_detections")


def create(work_dir: str | Path = "work_dir", input_dir: Any = None) -> Fastdup:
    """A `Fastdup` on a work_dir, new or existing; nothing is read or written yet."""
    return Fastdup(work_dir=work_dir, input_dir=input_dir)
