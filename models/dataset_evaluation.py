"""Measures an engine on a data set folder: words, and labels as semantic maps and as single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.data.dataset_folder import DatasetFolder
from models.data.sample import Sample
from models.engine import Engine
from models.evaluation import Expression, ask_expressions
from models.evaluation import Sample as AskedSample
from models.figures import rounded
from models.label_evaluation import LabelAnswer, LabelEvaluation, answer_of_proposals, answer_of_segments
from models.masks import coco_rle_to_mask
from models.proposals import ProposalOptions, Proposals, ProposingEngine
from models.results.document import Skipped
from models.results.referring import PROTOCOLS, referring_figures
from models.results.rows import ExpressionRow, expression_rows
from models.types import BoolMask, RgbImage

REFERRING = "referring"
SEMANTIC = "semantic"
INSTANCES = "instances"
EVALUATION_TASKS = (REFERRING, SEMANTIC, INSTANCES)

NO_KIND = "unnamed"
"""Row of the table for expressions without a kind."""

ReadImage = Callable[[Path], RgbImage]
Record = Callable[[dict[str, Any]], None]


class EvaluationError(ValueError):
    """A data set that cannot be evaluated as asked."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a data set is to be evaluated; made by :func:`select_samples`, which looks at every sample but at no pixel."""

    folder: DatasetFolder
    split: str | None
    tasks: tuple[str, ...]
    labels: tuple[str, ...]
    """In the order of the manifest."""
    n_images: int
    missing: tuple[str, ...]
    """Images that are not there."""
    limit: int | None = None
    stuff: frozenset[str] = frozenset()
    """Those of the labels that cannot be counted."""

    def samples(self) -> Iterator[Sample]:
        """The samples of the split, with the expressions of the split."""
        return _samples(self.folder, self.split, self.limit)


def select_samples(folder: DatasetFolder, split: str | None, tasks: Sequence[str] = (), limit: int | None = None) -> Selection:
    """Choose what to evaluate.

    Args:
        folder: the data set.
        split: its name; ``None`` for all samples.
        tasks: of :data:`EVALUATION_TASKS`; where none is named: words if anything is said about the images, else both tasks of labels.
        limit: only the first so many images.

    Raises:
        EvaluationError: there is no such split, nothing is in it, or nothing that a task needs.
        DatasetError: a line is damaged.
    """
    known = [name for name in folder.manifest.splits if name]
    if split is not None and split not in known:
        raise EvaluationError(f"{folder.path} has no split {split!r}; it has {', '.join(known) or 'none: leave the split out'}")
    has_words, labels, missing, count = False, set[str](), [], 0
    for sample in _samples(folder, split, limit):
        count += 1
        has_words |= bool(sample.expressions)
        labels |= {target.label for target in sample.targets if target.label is not None}
        if not folder.image_path(sample).is_file():
            missing.append(sample.image)
    if count == 0:
        raise EvaluationError(f"{folder.path} has no samples" + (f" in split {split!r}" if split else ""))
    ordered = [category.name for category in folder.manifest.categories]
    names = (*ordered, *sorted(labels - set(ordered)))
    chosen = tuple(task for task in EVALUATION_TASKS if task in tasks) if tasks else ((REFERRING,) if has_words else (SEMANTIC, INSTANCES))
    if REFERRING in chosen and not has_words:
        raise EvaluationError(f"nothing is said about the images of {folder.path}; choose the task {SEMANTIC} or {INSTANCES}")
    if set(chosen) - {REFERRING} and not names:
        raise EvaluationError(f"{folder.path} has no labels; only the task {REFERRING} can be evaluated")
    stuff = frozenset(category.name for category in folder.manifest.categories if not category.isthing)
    return Selection(folder, split, chosen, names, count, tuple(missing), limit, stuff)


def _samples(folder: DatasetFolder, split: str | None, limit: int | None) -> Iterator[Sample]:
    count = 0
    for sample in folder:
        said = tuple(one for one in sample.expressions if split is None or sample.split_of(one) == split)
        if not said and split is not None and (sample.expressions or sample.split != split):
            continue
        if limit is not None and count == limit:
            return
        count += 1
        yield Sample(sample.image, sample.size_hw, sample.split, sample.targets, said, sample.attributes)


@dataclass(slots=True)
class _Asked:
    """How sparingly SAM was asked for label lists, summed over images."""

    images: int = 0
    objects: int = 0
    points: int = 0
    sam_masks: int = 0
    joined_masks: int = 0

    def add(self, found: Proposals, objects: int) -> None:
        """Take in the answer for an image on which so many objects are marked."""
        self.images += 1
        self.objects += objects
        self.points += len(found.stages.points)
        self.sam_masks += len(found.stages.sam_masks)
        self.joined_masks += len(found.stages.joined_masks)

    def figures(self) -> dict[str, float | None] | None:
        """Means; ``None`` where no list was asked."""
        if not self.images:
            return None
        per_object = {"sam_masks_per_object": self.sam_masks, "joined_masks_per_object": self.joined_masks}
        means = {name: count / self.objects if self.objects else None for name, count in per_object.items()}
        answer: dict[str, float | None] = rounded({"points_per_image": self.points / self.images, **means})
        return answer


@dataclass(slots=True)
class _Run:
    engine: Engine
    selection: Selection
    read_image: ReadImage
    record: Record
    skipped: Skipped
    as_lists: bool
    """Whether labels are asked as a list, as against one phrase each."""
    rows: list[ExpressionRow] = field(default_factory=list)
    asked: _Asked = field(default_factory=_Asked)


def evaluate_dataset(
    engine: Engine,
    selection: Selection,
    read_image: ReadImage,
    record: Record,
    *,
    skip_broken: bool = False,
    labels_as_phrases: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Ask an engine about every image of a selection and score its answers.

    Args:
        engine: to be scored.
        selection: as from :func:`select_samples`.
        read_image: decodes an image file to uint8 ``[H, W, 3]`` RGB; raises ``OSError`` or ``ValueError`` where it cannot.
        record: is given the row of each sample, as JSON values.
        skip_broken: leave out images that are missing or of another size than the data set says, and list them.
        labels_as_phrases: ask for every label by itself even where the engine prefers lists of labels, to compare the two.
        on_image: called after each image.

    Returns:
        ``protocols``, ``referring``, ``semantic``, ``instances``, ``proposals`` (``None`` where not asked for) and ``skipped``.

    Raises:
        EvaluationError: an image is missing, cannot be read or has another size, and ``skip_broken`` is not given.
    """
    as_lists = isinstance(engine, ProposingEngine) and engine.prefers_lists and not labels_as_phrases
    run = _Run(engine, selection, read_image, record, Skipped(), as_lists)
    if selection.missing and not skip_broken:
        first, count = selection.missing[0], len(selection.missing)
        raise EvaluationError(
            f"{count} of {selection.n_images} images are not in {selection.folder.path}, the first is {first}; "
            "put them there, or leave them out with --skip-broken"
        )
    asks_labels = bool(set(selection.tasks) - {REFERRING})
    labels = LabelEvaluation(selection.labels, SEMANTIC in selection.tasks, INSTANCES in selection.tasks) if asks_labels else None
    for sample in selection.samples():
        try:
            opened = _open(run, sample)
        except (OSError, ValueError) as error:
            if not skip_broken:
                raise EvaluationError(f"{sample.image}: {error}; mend it, or leave it out with --skip-broken") from error
            run.skipped.add(sample.image, "image", str(error))
        else:
            _ask(run, opened, labels)
        on_image()
    return _figures(run, labels)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    sample: Sample
    image: RgbImage
    masks: dict[int, BoolMask]
    """Of the targets that have one."""


def _open(run: _Run, sample: Sample) -> _Opened:
    image = run.read_image(run.selection.folder.image_path(sample))
    if image.shape[:2] != sample.size_hw:
        height, width = sample.size_hw
        raise ValueError(f"the image has {image.shape[1]} x {image.shape[0]} pixels, its masks have {width} x {height}")
    masks = {target.id: coco_rle_to_mask(target.rle) for target in sample.targets if target.rle is not None}
    return _Opened(sample, image, masks)


def _ask(run: _Run, opened: _Opened, labels: LabelEvaluation | None) -> None:
    if REFERRING in run.selection.tasks:
        asked = AskedSample(opened.sample.image, opened.image, tuple(_expressions(opened, run.skipped)))
        for row in expression_rows(asked, ask_expressions(run.engine, asked)):
            run.rows.append(row)
            run.record(row.to_json())
    if labels is not None:
        for line in labels.add(opened.sample, opened.masks, _ask_labels(run, opened), run.skipped):
            run.record(line)


def _ask_labels(run: _Run, opened: _Opened) -> LabelAnswer:
    engine, labels = run.engine, run.selection.labels
    if run.as_lists and isinstance(engine, ProposingEngine):
        found = engine.propose(opened.image, labels, options=ProposalOptions(stuff=run.selection.stuff))
        run.asked.add(found, sum(not target.iscrowd for target in opened.sample.targets))
        return answer_of_proposals(found)
    return answer_of_segments(opened.sample.size_hw, engine.segment(opened.image, labels))


def _expressions(opened: _Opened, skipped: Skipped) -> Iterator[Expression]:
    labels = {target.id: target.label for target in opened.sample.targets}
    for said in opened.sample.expressions:
        if not opened.masks.keys() >= set(said.target_ids):
            skipped.add(opened.sample.image, said.text, "refers to something with a box but no mask")
            continue
        mask = np.zeros(opened.sample.size_hw, np.bool_)
        for one in said.target_ids:
            mask |= opened.masks[one]
        names = sorted({label for one in said.target_ids if (label := labels[one]) is not None})
        yield Expression(said.text, said.kind or NO_KIND, mask, tuple(names))


def _figures(run: _Run, labels: LabelEvaluation | None) -> dict[str, Any]:
    if REFERRING in run.selection.tasks and not run.rows:
        raise EvaluationError(f"not one expression of {run.selection.folder.path} could be evaluated; {_first(run.skipped)}")
    figures: dict[str, Any] = {
        "protocols": dict(PROTOCOLS) if run.rows else {},
        "referring": referring_figures(run.rows) if run.rows else None,
        "semantic": None,
        "instances": None,
        "proposals": run.asked.figures(),
    }
    if labels is not None:
        figures |= labels.figures()
        figures["protocols"] |= labels.protocols()
        for row in labels.final_rows():
            run.record(row)
    return {**figures, "skipped": run.skipped.to_json()}


def _first(skipped: Skipped) -> str:
    return "; ".join(f"{one['image']}: {one['why']}" for one in skipped.examples[:1]) or "the split is empty"
