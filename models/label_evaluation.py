"""Labels as questions: each image is asked for all of them at once, and the answers are judged pixel by pixel and object by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from models.data.sample import Sample, Target
from models.figures import rounded
from models.instance_metrics import INSTANCES_PROTOCOL, ImageMatches, evaluate_instances
from models.masks import CocoRle, mask_to_coco_rle
from models.proposals import Proposals
from models.results.document import Skipped
from models.results.rows import to_drawn
from models.semantic_metrics import BACKGROUND, MESS, SEMANTIC_PROTOCOLS, Counts, LabelMap, count_pairs, paint_labels, semantic_scores
from models.types import BoolMask, Segment

_DECIMALS = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Marked:
    target: Target
    label: str
    mask: BoolMask


class FoundObject(NamedTuple):
    """One object of an answer."""

    label: int
    """Number of the label, from 1."""
    rle: CocoRle
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class LabelAnswer:
    """What an engine says of one image when asked for labels."""

    label_map: LabelMap
    """int32 ``[H, W]``: 0 for nothing, else the number of the label."""
    objects: tuple[FoundObject, ...]


def answer_of_segments(size_hw: tuple[int, int], found: Sequence[Sequence[Segment]]) -> LabelAnswer:
    """From one list of segments per label; where they overlap, the surer one lies on top."""
    segments = [(number, segment) for number, of_label in enumerate(found, 1) for segment in of_label]
    label_map = paint_labels(size_hw, [(segment.mask, number, segment.score) for number, segment in segments])
    return LabelAnswer(label_map, tuple(FoundObject(number, mask_to_coco_rle(one.mask), one.score) for number, one in segments))


def answer_of_proposals(found: Proposals) -> LabelAnswer:
    """From a label map and its proposals."""
    return LabelAnswer(found.label_map, tuple(FoundObject(one.label_index + 1, one.rle, one.score) for one in found.proposals))


class LabelEvaluation:
    """Takes in one image after the other and yields the figures of both tasks of labels.

    Args:
        labels: names, in the order of the answers.
        semantic: whether pixels are judged.
        instances: whether single objects are judged.
    """

    def __init__(self, labels: Sequence[str], semantic: bool, instances: bool) -> None:
        self._labels = tuple(labels)
        self._numbers = {label: number for number, label in enumerate(labels, 1)}
        side = len(labels) + 1
        self._counts = np.zeros((side, side), np.int64) if semantic else None
        self._truth: dict[str, list[dict[str, Any]]] | None = None
        self._found: list[dict[str, Any]] = []
        self._matches: list[ImageMatches] = []
        if instances:
            categories = [{"id": number, "name": label} for label, number in self._numbers.items()]
            self._truth = {"images": [], "annotations": [], "categories": categories}

    def add(self, sample: Sample, masks: Mapping[int, BoolMask], answer: LabelAnswer, skipped: Skipped) -> Iterator[dict[str, Any]]:
        """Judge the answer on one image; yields its rows, as JSON values. Pixels of a crowd without a label are not judged.

        Args:
            sample: what is marked.
            masks: bool ``[H, W]`` by the id of the target, of those that have one.
            answer: of the engine.
            skipped: is told what cannot be judged.
        """
        for target in sample.targets:
            if target.id not in masks or (target.label is None and not target.iscrowd):
                skipped.add(sample.image, f"target {target.id}", "has no label" if target.id in masks else "has no mask")
        marked = [_Marked(target, target.label, masks[target.id]) for target in sample.targets if target.label and target.id in masks]
        if self._counts is not None:
            unjudged = [masks[target.id] for target in sample.targets if target.iscrowd and target.id in masks]
            truth = self._paint(sample.size_hw, marked, unjudged)
            pairs = count_pairs(truth, answer.label_map, len(self._labels))
            self._counts += pairs
            yield _pixel_row(sample.image, pairs, truth, answer.label_map)
        if self._truth is not None:
            self._collect_objects(self._truth, sample, marked, answer.objects)

    def _paint(self, size_hw: tuple[int, int], marked: Sequence[_Marked], unjudged: Sequence[BoolMask]) -> LabelMap:
        # The smaller of two overlapping objects lies on top: a cup is marked on the table that is marked below it.
        objects = [(one.mask, self._numbers[one.label], -float(one.mask.sum())) for one in marked if not one.target.iscrowd]
        return paint_labels(size_hw, objects, ignored=unjudged)

    def _collect_objects(
        self, truth: dict[str, list[dict[str, Any]]], sample: Sample, marked: Sequence[_Marked], found: Sequence[FoundObject]
    ) -> None:
        image_id = len(truth["images"]) + 1
        height, width = sample.size_hw
        truth["images"].append({"id": image_id, "file_name": sample.image, "height": height, "width": width})
        for one in marked:
            annotation = {
                "id": len(truth["annotations"]) + 1,
                "image_id": image_id,
                "category_id": self._numbers[one.label],
                "segmentation": one.target.rle,
                "area": int(np.count_nonzero(one.mask)),
                "iscrowd": int(one.target.iscrowd),
            }
            truth["annotations"].append(annotation)
        for one_found in found:
            record = {"image_id": image_id, "category_id": one_found.label, "segmentation": one_found.rle, "score": one_found.score}
            self._found.append(record)

    def figures(self) -> dict[str, Any]:
        """``semantic`` and ``instances``, as far as they were asked for."""
        figures: dict[str, Any] = {}
        if self._counts is not None:
            counts = self._counts
            scores = {name: rounded(asdict(semantic_scores(counts, self._labels, name))) for name in (MESS, BACKGROUND)}
            figures["semantic"] = {"labels": list(self._labels), **scores}
        if self._truth is not None:
            instances, self._matches = evaluate_instances(self._truth, self._found)
            figures["instances"] = {"n_images": len(self._truth["images"]), **rounded(asdict(instances))}
        return figures

    def protocols(self) -> dict[str, str]:
        """What the figures count, by name."""
        of_instances = {} if self._truth is None else {"instances": INSTANCES_PROTOCOL}
        return {**({} if self._counts is None else SEMANTIC_PROTOCOLS), **of_instances}

    def final_rows(self) -> Iterator[dict[str, Any]]:
        """Rows that are known only after the last image: what was matched, as JSON values. Call :meth:`figures` first."""
        names = {image["id"]: image["file_name"] for image in (self._truth or {"images": []})["images"]}
        for match in self._matches:
            yield match_to_json(match, names[match.image_id])
        for image_id, name in names.items():
            yield {"task": "instance_image", "image": name, "id": image_id}


def _pixel_row(image: str, pairs: Counts, truth: LabelMap, found: LabelMap) -> dict[str, Any]:
    """One row of the file: counts of (true label, found label) where there are any, and what was right and wrong, to be drawn."""
    rows, columns = np.nonzero(pairs)
    masks = {
        "right": (truth > 0) & (truth == found),
        "missed": (truth > 0) & (found == 0),
        "wrong": (truth >= 0) & (found > 0) & (truth != found),
    }
    drawn = {name: to_drawn(mask) for name, mask in masks.items()}
    return {
        "task": "semantic",
        "image": image,
        "pairs": np.stack([rows, columns, pairs[rows, columns]], axis=1).tolist(),
        "drawn_hw": drawn["right"]["size"],
        **{name: rle["counts"] for name, rle in drawn.items()},
    }


def match_to_json(match: ImageMatches, image: str) -> dict[str, Any]:
    """One row of the file."""
    return {
        "task": "instances",
        "image": image,
        "id": match.image_id,
        "label": match.label,
        "n_truth": match.n_truth,
        "scores": [round(score, _DECIMALS) for score in match.scores],
        "hits": list(match.hits),
        "ignored": list(match.ignored),
    }


def match_from_json(record: dict[str, Any]) -> ImageMatches:
    """The reverse of :func:`match_to_json`."""
    return ImageMatches(
        record["id"], record["label"], record["n_truth"], tuple(record["scores"]), tuple(record["hits"]), tuple(record["ignored"])
    )
