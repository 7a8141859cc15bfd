"""One task to the records of an export. Pure: no files, no network; runs in any process, in any order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from backend.annotator_rule import Chosen, chosen_annotations
from backend.export.image_sizes import agreed_size
from backend.export.painters import Painter, new_painter
from backend.export.records import ConvertOptions, ImageRecord, MaskRecord, Painted, PreparedTask, TaskRecord
from backend.export.region_masks import category_of, mask_record, read_mask
from backend.export.result_regions import ResultRegion, regions_of_result
from backend.export.task_images import TaskImage, image_of, left_name, own_name, shown_uri, task_images
from backend.findings import Finding, Place, place
from backend.tasks import task_data

logger = logging.getLogger(__name__)

_LEFT_OUT = "left out"
_LONGEST_FIELD = 200


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A region that is to be written: where it was found, and on which image."""

    region: ResultRegion
    chosen: Chosen
    image: TaskImage
    where: Place


@dataclass(frozen=True, slots=True)
class Converter:
    """Turns tasks into records; small enough to be sent to every process.

    Args:
        options: how.
    """

    options: ConvertOptions

    def __call__(self, tasks: Sequence[PreparedTask | Finding]) -> list[TaskRecord]:
        """Convert several tasks; what was found in place of one keeps its place."""
        return [self._convert(task) for task in tasks]

    def _convert(self, task: PreparedTask | Finding) -> TaskRecord:
        if isinstance(task, Finding):
            return TaskRecord(None, {}, findings=(task,))
        try:
            return convert_task(task, self.options)
        except Exception as error:  # whatever is wrong with one task, the others get theirs
            logger.exception("task %s failed", task.task["id"])
            where, what = place(task=task.task["id"]), f"unexpected {type(error).__name__}: {error}"
            finding = Finding("error", "unexpected", where, what, "the task is left out; please tell us, as this is a mistake of ours")
            return TaskRecord(task.task["id"], {}, findings=(*task.findings, finding))


def convert_task(prepared: PreparedTask, options: ConvertOptions) -> TaskRecord:
    """Convert one task.

    A task that somebody has looked at keeps all its images, those without a region as examples of nothing. Any other task is left out.
    """
    task = prepared.task
    choice = chosen_annotations(task, options.source, model_version=options.model_version)
    findings = [*prepared.findings, *choice.findings]
    if not choice.chosen:
        what = f"the task has no {'annotation or prediction' if options.source == 'both' else options.source[:-1]} that counts"
        findings.append(Finding("note", "not-reviewed", place(task=task["id"]), what, "the task is left out"))
        return TaskRecord(task["id"], _split_data(task_data(task)), findings=tuple(findings))
    images, problems = task_images(task, options.scheme)
    findings += [
        Finding("error", "no-image", place(task=task["id"]), problem, "the image and its regions are left out") for problem in problems
    ]
    wanted = [found for chosen in choice.chosen for found in _wanted_regions(task["id"], chosen, images, findings)]
    image_records: list[ImageRecord] = []
    masks: list[MaskRecord] = []
    files: dict[int, Painted] = {}
    for image in images:
        own = [found for found in wanted if found.image.id == image.id]
        size_hw = _size(image, own, prepared, options, findings)
        file_name = prepared.file_names.get(image.id) or left_name(image)
        stem = PurePosixPath(own_name(image)).stem
        image_records.append(ImageRecord(image.id, task["id"], shown_uri(image.uri), file_name, stem, size_hw, image.item_index))
        if size_hw is None:
            continue
        painter = new_painter(size_hw, options)
        masks += _masks(own, size_hw, options, painter, findings)
        if painter is not None:
            files[image.id] = painter.finish()
            findings += files[image.id].findings
    return TaskRecord(task["id"], _split_data(task_data(task)), tuple(image_records), tuple(masks), files, tuple(findings))


def _wanted_regions(task_id: int, chosen: Chosen, images: list[TaskImage], findings: list[Finding]) -> list[_Wanted]:
    where = place(task=task_id) + place(**{chosen.kind: chosen.id})
    regions, told = regions_of_result(chosen.result, where)
    findings += told
    wanted = []
    for number, region in enumerate(regions):
        own = where + (place(region=region.id) if region.id is not None else place(entry=number))
        image = image_of(region.entry, images)
        if image is None:
            what = f"the task has no image {region.entry.get('to_name')!r:.60} at place {region.entry.get('item_index') or 0!r:.20}"
            findings.append(Finding("error", "unknown-image", own, what, _LEFT_OUT))
        else:
            wanted.append(_Wanted(region, chosen, image, own))
    return wanted


def _size(
    image: TaskImage, own: list[_Wanted], prepared: PreparedTask, options: ConvertOptions, findings: list[Finding]
) -> tuple[int, int] | None:
    """Height and width of an image; without them its regions are lost, and it stays as an image of unknown size."""
    size_hw = prepared.sizes.get(image.id) or agreed_size([found.region.entry for found in own])
    if size_hw is not None and size_hw[0] * size_hw[1] <= options.max_pixels:
        return size_hw
    where = place(task=prepared.task["id"], image=image.id)
    found = "nothing tells the size of the image" if size_hw is None else f"the image would have {size_hw[1]}x{size_hw[0]} pixels"
    if own:
        findings += [Finding("error", "no-size", found_at.where, found, _LEFT_OUT) for found_at in own]
    findings.append(Finding("warning", "no-size", where, found, "written without width and height; let the images be looked at (--sizes)"))
    return None


def _masks(
    own: list[_Wanted], size_hw: tuple[int, int], options: ConvertOptions, painter: Painter | None, findings: list[Finding]
) -> Iterator[MaskRecord]:
    """The masks of one image; only one of them is in memory at a time."""
    for found in own:
        category_id, told = category_of(found.region, options, found.where)
        findings += told
        if category_id is None:
            continue
        mask, told = read_mask(found.region, size_hw, found.where)
        findings += told
        if mask is None:
            continue
        record, told = mask_record(mask, found.region, category_id, found.image.id, found.chosen, options, found.where)
        findings += told
        if painter is not None:
            painter.add(record, mask, found.where)
        yield record


def _split_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a task that a split may be made by: short texts and numbers."""
    return {key: value for key, value in data.items() if isinstance(value, (int, float, bool, str)) and len(str(value)) <= _LONGEST_FIELD}
