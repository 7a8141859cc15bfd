"""How good the answers to label lists are: every pixel's label, every object's mask, and how sparingly SAM was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from models.data.emoji_scenes.dataset import SceneSet
from models.instance_metrics import evaluate_instances
from models.masks import mask_to_coco_rle
from models.proposals import Proposals
from models.semantic_metrics import BACKGROUND, MESS, LabelMap, count_pairs, semantic_scores
from models.types import BoolMask, RgbImage

Propose = Callable[[RgbImage, Sequence[str]], Proposals]
"""An engine's ``propose``, or anything that answers like it."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """One image with its right answers."""

    image: RgbImage
    label_map: LabelMap
    """int32 ``[H, W]``: 0 for nothing, else 1 + place of the label, -1 where nothing is judged."""
    objects: tuple[tuple[int, BoolMask], ...]
    """Place of the label, and mask bool ``[H, W]``, of every object."""


@dataclass(slots=True)
class ProposalEvaluation:
    """Takes in one answer after the other and sums them up.

    Args:
        labels: every image is asked for all of them.
    """

    labels: tuple[str, ...]
    _counts: Any = field(init=False)
    _truth: list[dict[str, Any]] = field(init=False, default_factory=list)
    _found: list[dict[str, Any]] = field(init=False, default_factory=list)
    _images: list[dict[str, int]] = field(init=False, default_factory=list)
    _asked: dict[str, int] = field(init=False, default_factory=lambda: dict.fromkeys(("points", "sam_masks", "joined_masks"), 0))

    def __post_init__(self) -> None:
        side = len(self.labels) + 1
        self._counts = np.zeros((side, side), np.int64)

    def add(self, wanted: LabelledImage, found: Proposals) -> None:
        """Compare the answer for one image with what is right."""
        number = len(self._images) + 1
        height, width = wanted.label_map.shape
        self._images.append({"id": number, "height": height, "width": width})
        self._counts += count_pairs(wanted.label_map, found.label_map, len(self.labels))
        for label, mask in wanted.objects:
            rle = mask_to_coco_rle(mask)
            area = float(np.count_nonzero(mask))
            one = {
                "id": len(self._truth) + 1,
                "image_id": number,
                "category_id": label + 1,
                "segmentation": rle,
                "area": area,
                "iscrowd": 0,
            }
            self._truth.append({**one, "bbox": [0, 0, width, height]})
        for proposal in found.proposals:
            record = {"image_id": number, "category_id": proposal.label_index + 1, "segmentation": proposal.rle, "score": proposal.score}
            self._found.append(record)
        stages = found.stages
        for step, count in (
            ("points", len(stages.points)),
            ("sam_masks", len(stages.sam_masks)),
            ("joined_masks", len(stages.joined_masks)),
        ):
            self._asked[step] += count

    def scores(self) -> dict[str, Any]:
        """Figures as JSON values; ``None`` where nothing decides one.

        ``miou`` and ``pixel_accuracy`` judge every pixel, those with ``_mess`` only pixels that have a label; ``ap`` and ``ar100`` ask for
        the right label, ``ar100_any_label`` for the mask alone; the rest are means per image, and masks per object.
        """
        images, objects = max(1, len(self._images)), max(1, len(self._truth))
        everywhere, labelled = (semantic_scores(self._counts, self.labels, protocol) for protocol in (BACKGROUND, MESS))
        named, unnamed = self._instances(self.labels), self._instances(())
        return {
            "images": len(self._images),
            "objects": len(self._truth),
            "miou": everywhere.miou,
            "pixel_accuracy": everywhere.pixel_accuracy,
            "miou_mess": labelled.miou,
            "pixel_accuracy_mess": labelled.pixel_accuracy,
            "ap": named.get("ap"),
            "ar100": named.get("ar100"),
            "ar100_any_label": unnamed.get("ar100"),
            "points_per_image": self._asked["points"] / images,
            "proposals_per_image": len(self._found) / images,
            "sam_masks_per_object": self._asked["sam_masks"] / objects,
            "joined_masks_per_object": self._asked["joined_masks"] / objects,
        }

    def _instances(self, labels: Sequence[str]) -> dict[str, float | None]:
        """COCO's figures; without labels everything is of one kind."""
        if not self._truth:
            return {}
        names = labels or ("object",)
        categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        truth, found = ([dict(one) if labels else {**one, "category_id": 1} for one in records] for records in (self._truth, self._found))
        scores, _ = evaluate_instances({"images": self._images, "annotations": truth, "categories": categories}, found)
        return asdict(scores)["stats"]  # type: ignore[no-any-return]


def evaluate_label_lists(
    propose: Propose, images: Iterable[LabelledImage], labels: Sequence[str], on_image: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Ask for all labels on every image and score the answers, see :meth:`ProposalEvaluation.scores`.

    Args:
        propose: answers.
        images: with the same labels in the same order.
        labels: what is asked for.
        on_image: called after each image.
    """
    evaluation = ProposalEvaluation(tuple(labels))
    for wanted in images:
        evaluation.add(wanted, propose(wanted.image, labels))
        on_image()
    return evaluation.scores()


def evaluate_short_lists(propose: Propose, images: Iterable[LabelledImage], labels: Sequence[str], length: int) -> dict[str, float]:
    """Ask every image for a list of its own: up to half of it what the image shows, the rest what it does not. The unlisted is nothing.

    Args:
        propose: answers.
        images: with the labels that they may show.
        labels: all of them.
        length: of each list.

    Returns:
        ``miou`` over the listed labels that their image shows; ``false_labels``: per image, those found though it does not show them.
    """
    ious: list[float] = []
    false_labels = count = 0
    for count, wanted in enumerate(images, start=1):
        places = _draw_list(wanted, len(labels), length, np.random.default_rng(count))
        found = propose(wanted.image, [labels[place] for place in places]).label_map
        for number, place in enumerate(places, start=1):
            truth, answer = wanted.label_map == place + 1, found == number
            if truth.any():
                ious.append(float(np.count_nonzero(truth & answer) / np.count_nonzero(truth | answer)))
            else:
                false_labels += int(answer.any())
    return {"miou": float(np.mean(ious)), "false_labels": false_labels / count}


def _draw_list(wanted: LabelledImage, labels: int, length: int, rng: np.random.Generator) -> list[int]:
    shown = np.unique(wanted.label_map[wanted.label_map > 0]) - 1
    named = rng.permutation(shown)[: -(-length // 2)]
    others = rng.permutation(np.setdiff1d(np.arange(labels), shown))[: length - len(named)]
    return [int(place) for place in rng.permutation(np.concatenate([named, others]))]


def labelled_scenes(scenes: SceneSet, labels: Sequence[str], count: int | None = None) -> Iterator[LabelledImage]:
    """Emoji scenes with the label of every pixel; the first ``count`` of a set, or all.

    Args:
        scenes: of any split.
        labels: names of classes, all that occur.
        count: how many.
    """
    place = {label: number for number, label in enumerate(labels)}
    for index in range(len(scenes) if count is None else min(count, len(scenes))):
        meta = scenes.meta(index)
        height, width = meta.size_hw
        ids = scenes.ids(index)[:height, :width]
        label_of = np.zeros(256, np.int32)
        for one in meta.objects:
            label_of[one.id] = place[one.name] + 1
        objects = tuple((place[one.name], ids == one.id) for one in meta.objects)
        yield LabelledImage(np.ascontiguousarray(scenes.image(index)[:height, :width]), label_of[ids], objects)
