"""What was measured on each single sample: small values from which every figure of an evaluation can be computed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from models.evaluation import Asked, Expression, Sample
from models.masks import CocoRle, coco_rle_to_mask, mask_to_coco_rle
from models.metrics import Overlap
from models.official_metrics import pad_ground_truth, pad_prediction
from models.types import BoolMask

DRAWN_SIDE = 320
"""Longest side in pixels at which rows keep masks: enough to draw them, too coarse to measure them."""

_DECIMALS = 5


@dataclass(frozen=True, slots=True)
class ExpressionRow:
    """One expression with how well its answer fits."""

    image: str
    place: int
    """Place among the expressions of its image; image and place together name an expression."""
    text: str
    kind: str
    labels: tuple[str, ...]
    clean: Overlap
    """At the resolution of the original image."""
    official: Overlap
    """On the padded 512 x 512 square."""
    ungated: Overlap | None
    """Like ``clean``, before the engine decides whether anything is there."""
    presence: float | None
    """How sure the engine is that something is there, 0..1."""
    score: float
    """Of the best segment; 0 where none was found."""
    truth_drawn: CocoRle
    found_drawn: CocoRle

    @property
    def key(self) -> tuple[str, int]:
        """Tells the expression from all others of its evaluation."""
        return self.image, self.place

    def to_json(self) -> dict[str, Any]:
        """One line of the file."""
        return {
            "task": "referring",
            "image": self.image,
            "place": self.place,
            "text": self.text,
            "kind": self.kind,
            "labels": list(self.labels),
            "clean": _counts(self.clean),
            "official": _counts(self.official),
            "ungated": None if self.ungated is None else _counts(self.ungated),
            "presence": None if self.presence is None else round(self.presence, _DECIMALS),
            "score": round(self.score, _DECIMALS),
            "drawn_hw": self.truth_drawn["size"],
            "truth": self.truth_drawn["counts"],
            "found": self.found_drawn["counts"],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ExpressionRow:
        """The reverse of :meth:`to_json`. Raises ``KeyError``, ``TypeError`` or ``ValueError`` if the record is none."""
        return cls(
            image=record["image"],
            place=record["place"],
            text=record["text"],
            kind=record["kind"],
            labels=tuple(record["labels"]),
            clean=Overlap(*record["clean"]),
            official=Overlap(*record["official"]),
            ungated=None if record["ungated"] is None else Overlap(*record["ungated"]),
            presence=record["presence"],
            score=record["score"],
            truth_drawn={"size": record["drawn_hw"], "counts": record["truth"]},
            found_drawn={"size": record["drawn_hw"], "counts": record["found"]},
        )


def expression_rows(sample: Sample, answers: list[Asked]) -> list[ExpressionRow]:
    """The rows of one image; ``answers`` are those to its expressions, in their order."""
    pairs = zip(sample.expressions, answers, strict=True)
    return [_row(sample.name, place, expression, asked) for place, (expression, asked) in enumerate(pairs)]


def _row(image: str, place: int, expression: Expression, asked: Asked) -> ExpressionRow:
    return ExpressionRow(
        image=image,
        place=place,
        text=expression.text,
        kind=expression.kind,
        labels=expression.labels,
        clean=Overlap.between(asked.mask, expression.mask),
        official=Overlap.between(pad_prediction(asked.mask), pad_ground_truth(expression.mask)),
        ungated=None if asked.ungated is None else Overlap.between(asked.ungated, expression.mask),
        presence=asked.presence,
        score=max((segment.score for segment in asked.segments), default=0.0),
        truth_drawn=to_drawn(expression.mask),
        found_drawn=to_drawn(asked.mask),
    )


def drawn_size(size_hw: tuple[int, ...]) -> tuple[int, int]:
    """Height and width at which an image of ``size_hw`` is drawn."""
    scale = min(1.0, DRAWN_SIDE / max(size_hw[:2]))
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def to_drawn(mask: BoolMask) -> CocoRle:
    """A mask ``[H, W]`` at drawing size; what is too thin to cover half a pixel stays visible."""
    height, width = drawn_size(mask.shape)
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    drawn = covered >= 0.5
    return mask_to_coco_rle(np.asarray(drawn if drawn.any() else covered > 0, np.bool_))


def from_drawn(rle: CocoRle) -> BoolMask:
    """The mask that :func:`to_drawn` kept."""
    return coco_rle_to_mask(rle)


def _counts(overlap: Overlap) -> list[int]:
    return [overlap.intersection, overlap.predicted, overlap.truth]
