"""A JSON export of Label Studio as samples, by the rules of exports and training: whose annotation counts, what a region covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.annotator_rule import Chosen, chosen_annotations
from backend.dataset.marks import read_marks
from backend.dataset.wording import expressions_of
from backend.errors import ImageUnavailable, LabelConfigError
from backend.export.image_files import ImageFiles
from backend.export.image_sizes import agreed_size
from backend.export.label_scheme import LabelScheme
from backend.export.result_regions import ResultRegion, regions_of_result
from backend.export.schemes import scheme_of_file
from backend.export.task_file import read_tasks
from backend.export.task_images import TaskImage, image_of, left_name, own_name, task_images
from backend.findings import Finding, Findings, Place, place
from backend.importing.image_shelf import FOLDER, ImageShelf
from backend.label_config import parse_label_config, with_task_labels
from backend.label_plan import LabelSpec
from backend.targets import label_targets
from backend.tasks import Task, task_data
from models import Category, Sample


class ExportReader:
    """Reads the tasks of one file.

    Args:
        path: the export.
        label_config: XML of the project's labeling config; without it, labels that nobody used are unknown.
        shelf: keeps the images.
        findings: told of what is left out or changed.
        files: where image files come from; ``None``: they are not looked at, sizes are what the regions say.
        split: of all samples.
        predictions: take predictions in place of annotations.

    Raises:
        BadRequest: the file cannot be read or is no export.
        LabelConfigError: the labeling config cannot be read.
    """

    def __init__(
        self,
        path: Path,
        label_config: str | None,
        shelf: ImageShelf,
        findings: Findings,
        files: ImageFiles | None,
        split: str | None,
        predictions: bool,
    ) -> None:
        self._path, self._shelf, self._findings, self._files, self._split = path, shelf, findings, files, split
        self._source: Any = "predictions" if predictions else "annotations"
        self._plan = parse_label_config(label_config) if label_config else None
        self._scheme: LabelScheme = scheme_of_file(path, label_config)

    def categories(self) -> tuple[Category, ...]:
        """Labels in config order, or sorted where there is no config."""
        return tuple(Category(number, name) for number, name in enumerate(self._scheme.categories, 1))

    def samples(self) -> Iterator[Sample]:
        """One sample per image that somebody has reviewed, or a model predicted."""
        for task in read_tasks(self._path):
            if isinstance(task, Finding):
                self._findings.add(task)
            else:
                yield from self._of_task(task)

    def _of_task(self, task: Task) -> Iterator[Sample]:
        choice = chosen_annotations(task, self._source)
        images, problems = task_images(task, self._scheme)
        told = [Finding("error", "no-image", place(task=task["id"]), problem, "left out") for problem in problems]
        if not choice.chosen:
            what = f"the task has no {self._source[:-1]} that counts"
            told.append(Finding("note", "not-reviewed", place(task=task["id"]), what, "the task is left out"))
        self._tell([*choice.findings, *told])
        for chosen in choice.chosen:
            where = place(task=task["id"]) + place(**{chosen.kind: chosen.id})
            regions, found = regions_of_result(chosen.result, where)
            self._tell(found)
            for region in regions:
                if image_of(region.entry, images) is None:
                    what = "the task has no image that the region lies on"
                    self._tell([Finding("error", "unknown-image", where + place(region=region.id), what, "left out")])
            for image in images:
                own = [region for region in regions if image_of(region.entry, images) == image]
                sample = self._sample(task, chosen, image, own, where)
                if sample is not None:
                    yield sample

    def _sample(self, task: Task, chosen: Chosen, image: TaskImage, regions: list[ResultRegion], where: Place) -> Sample | None:
        try:
            name, size_hw = self._image(image, task["id"], [region.entry for region in regions])
            labels = self._labels(task, image)
        except (ImageUnavailable, LabelConfigError, OSError) as error:
            self._tell([Finding("error", "no-image", where, str(error), "the image is left out with all that is marked in it")])
            return None
        marks = read_marks(regions, size_hw, where)
        self._tell(marks.findings)
        # Only a person who saw the labels says by leaving one out that there is no such thing.
        reviewed = {label.value for label in labels} if chosen.kind == "annotation" else set()
        told = {"task": task["id"], chosen.kind: chosen.id, "annotator": chosen.annotator, "ground_truth": chosen.is_ground_truth or None}
        return Sample(
            image=name,
            size_hw=size_hw,
            split=self._split,
            targets=tuple(mark.target for mark in marks.marks),
            expressions=expressions_of(marks, labels, reviewed=reviewed),
            attributes={key: value for key, value in told.items() if value is not None},
        )

    def _image(self, image: TaskImage, task_id: int, entries: list[Mapping[str, Any]]) -> tuple[str, tuple[int, int]]:
        if self._files is None:
            size_hw = agreed_size(entries)
            if size_hw is None:
                raise ImageUnavailable("no region tells the size of the image; say with --image-root where its file is")
            return f"{FOLDER}/{left_name(image)}", size_hw
        file = self._files.get(image, task_id)
        if file.path is not None:
            return self._shelf.keep(own_name(image), file.path), file.size_hw
        return self._shelf.keep_bytes(own_name(image), file.body), file.size_hw

    def _labels(self, task: Task, image: TaskImage) -> list[LabelSpec]:
        if self._plan is None:
            return []
        return [label for _, label in label_targets(with_task_labels(self._plan, task_data(task)), image.name)]

    def _tell(self, findings: Any) -> None:
        for finding in findings:
            self._findings.add(finding)
