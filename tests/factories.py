"""Minimal valid inputs, every field overridable; a test names only the field that it is about."""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.settings import Settings
from models import Box, Proposal, ProposalOptions, Proposals, ProposalStages, RgbImage, Segment, mask_to_coco_rle
from models.proposals import EVERYTHING


def make_settings(data_dir: Path, **changes: Any) -> Settings:
    """Settings with defaults, nothing read from the environment, state under ``data_dir`` (pass ``tmp_path``)."""
    return Settings(data_dir=data_dir, **changes)


def make_image(size_hw: tuple[int, int] = (48, 64), colour: tuple[int, int, int] = (40, 80, 120)) -> RgbImage:
    """An image of one colour, uint8 ``[H, W, 3]``."""
    return np.full((*size_hw, 3), colour, dtype=np.uint8)


def make_data_uri(image: RgbImage | None = None) -> str:
    """``image`` as a PNG inside a data URI."""
    buffer = BytesIO()
    Image.fromarray(make_image() if image is None else image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_task(task_id: int = 1, data: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A task as Label Studio sends it, with a small image inside a data URI."""
    return {
        "id": task_id,
        "data": {"image": make_data_uri()} if data is None else dict(data),
        "annotations": [],
        "predictions": [],
        **fields,
    }


def make_weights_folder(folder: Path, *, release: str = "1.0.0", content: bytes = b"no real weights") -> Path:
    """A weights folder that can be found, though nothing can be loaded from it."""
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps({"architecture": "ssp-sam", "release": release}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(content)
    return folder


def make_mask(size_hw: tuple[int, int] = (48, 64), box: tuple[int, int, int, int] = (8, 4, 24, 20)) -> npt.NDArray[np.bool_]:
    """A mask that is true inside ``box``, pixels ``(x0, y0, x1, y1)``."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def make_segment(text: str = "dog", score: float = 0.9, mask: npt.NDArray[np.bool_] | None = None) -> Segment:
    """A segment with a rectangular mask on a 48 x 64 image."""
    return Segment(text=text, mask=make_mask() if mask is None else mask, score=score)


@dataclass
class FakeEngine:
    """Answers every phrase with a rectangle that depends on the phrase and on the image's first pixel, and records its calls.

    Args:
        instances: how many rectangles a phrase gets; one where it is not named.
        scores: the score of a phrase's rectangles; 0.9 where it is not named.
        delay: seconds that every call takes.
        failure: raised by every call.
    """

    name: str = "fake"
    version: str = "fake-1.0.0+00000000"
    instances: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    delay: float = 0.0
    failure: Exception | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        """One list of rectangles per phrase."""
        self._work("segment", list(phrases))
        return [[self._segment(image, phrase, number) for number in range(self.instances.get(phrase, 1))] for phrase in phrases]

    def segment_from_points(
        self, image: RgbImage, points: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_], box: Box | None = None
    ) -> list[Segment]:
        """A 5 x 5 square around the first positive point (clipped to the image), or the box."""
        self._work("points", (points.tolist(), is_positive.tolist(), box))
        if not is_positive.any():
            return [] if box is None else [s for s in self._boxes(image, np.array([box])) if s]
        x, y = points[is_positive][0].round().astype(int)
        height, width = image.shape[:2]
        square = (max(0, x - 2), max(0, y - 2), min(width, x + 3), min(height, y + 3))
        return [Segment("", make_mask((height, width), square), 0.8)]

    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        """Each box, filled."""
        self._work("boxes", boxes.tolist())
        return self._boxes(image, boxes)

    def _boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        masks = [make_mask(image.shape[:2], tuple(round(edge) for edge in box)) for box in boxes]  # type: ignore[arg-type]
        return [Segment("", mask, 0.8) if mask.any() else None for mask in masks]

    def _segment(self, image: RgbImage, phrase: str, number: int) -> Segment:
        return Segment(phrase, fake_mask(image, phrase, number), self.scores.get(phrase, 0.9))

    def _work(self, method: str, arguments: Any) -> None:
        with self._lock:
            self.calls.append((method, arguments))
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            time.sleep(self.delay)
            if self.failure is not None:
                raise self.failure
        finally:
            with self._lock:
                self._running -= 1


@dataclass
class FakeProposingEngine(FakeEngine):
    """Also takes label lists: every label gets its rectangles, as a phrase would, and the label map shows them."""

    prefers_lists: bool = True

    def propose(
        self, image: RgbImage, labels: Sequence[str], *, background: Sequence[str] = (), options: ProposalOptions = EVERYTHING
    ) -> Proposals:
        """As many rectangles per label as ``instances`` says, all from "SAM"."""
        self._work("propose", (list(labels), list(background), options))
        label_map = np.zeros(image.shape[:2], np.int32)
        found = []
        for place, label in enumerate(labels):
            for number in range(self.instances.get(label, 1)):
                one = self._segment(image, label, number)
                label_map[one.mask] = place + 1
                found.append(make_proposal(one, place, is_stuff=label in options.stuff))
        least = options.min_score or 0.0
        kept = sorted((one for one in found if one.score >= least), key=lambda one: -one.score)[: options.max_proposals]
        small = np.zeros((4, 4), np.bool_)
        none = np.zeros((0, 4, 4), np.bool_)
        stages = ProposalStages(small.astype(np.int32), small.astype(np.float32), np.zeros((0, 2)), none, none, {})
        return Proposals(tuple(labels), label_map if options.label_map else None, tuple(kept), stages)


def make_proposal(segment: Segment | None = None, label_index: int = 0, **fields: Any) -> Proposal:
    """A proposal of a segment, as of one point of SAM."""
    one = make_segment() if segment is None else segment
    values: dict[str, Any] = {
        "label": one.text, "label_index": label_index, "score": one.score, "rle": mask_to_coco_rle(one.mask), "box": one.box,
        "area": one.area, "source": "sam", "predicted_iou": 0.9, "stability": 0.9, "points": (), "members": (0,), "is_stuff": False,
    }  # fmt: skip
    return Proposal(**{**values, **fields})


def fake_mask(image: RgbImage, phrase: str, number: int = 0) -> npt.NDArray[np.bool_]:
    """The rectangle that :class:`FakeEngine` finds: a quarter of each side, at one of 16 places that do not overlap."""
    height, width = image.shape[:2]
    place = (zlib.crc32(phrase.encode()) + int(image[0, 0].sum()) + 5 * number) % 16
    x0, y0 = width * (place % 4) // 4, height * (place // 4) // 4
    return make_mask((height, width), (x0, y0, max(x0 + 1, x0 + width // 4), max(y0 + 1, y0 + height // 4)))
