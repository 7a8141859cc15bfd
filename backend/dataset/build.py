"""One task of Label Studio to the samples it gives: at most one per image, none where nobody has reviewed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.annotator_rule import Chosen, chosen_annotations
from backend.dataset.images_kept import KeptImages
from backend.dataset.marks import read_marks
from backend.dataset.split import split_of
from backend.dataset.wording import expressions_of
from backend.errors import BackendError, ImageUnavailable, LabelConfigError
from backend.export.label_scheme import read_scheme
from backend.export.result_regions import ResultRegion, regions_of_result
from backend.export.task_images import TaskImage, image_of, task_images
from backend.findings import Finding, Place, place
from backend.images import ImageLoader
from backend.label_config import LabelPlan, parse_label_config, with_task_labels
from backend.label_plan import LabelSpec
from backend.targets import label_targets
from backend.tasks import Task, task_data
from models import Sample


@dataclass(frozen=True, slots=True)
class BuiltSample:
    """A sample, the place of its image in the task, and the digest of the image's pixels."""

    item: int
    digest: str
    sample: Sample


@dataclass(frozen=True, slots=True)
class BuiltTask:
    """What came of one task.

    Args:
        id: the task.
        updated_at: when it last changed.
        annotations: ids of all its annotations; an event that tells of a deletion names nothing else.
        samples: one per image that could be had.
        findings: what was left out or changed.
        is_complete: false when an image could not be had: the task is to be looked at again.
    """

    id: int
    updated_at: str
    annotations: tuple[int, ...]
    samples: tuple[BuiltSample, ...]
    findings: tuple[Finding, ...]
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class TaskBuilder:
    """Builds the tasks of one project.

    Args:
        label_config: of the project, as it is now.
        labels_since: when each label came into the config, as far as that was seen; a label teaches "none" only on images that were
            reviewed with it at hand.
        images: fetches images.
        kept: keeps them.
    """

    label_config: str
    labels_since: Mapping[str, str]
    images: ImageLoader
    kept: KeptImages

    def build(self, task: Task) -> BuiltTask:
        """Build one task as Label Studio lists it, with its annotations.

        Raises:
            LabelConfigError: the labeling config cannot be read, or none of its controls holds masks.
            OSError: an image cannot be kept.
        """
        annotations = tuple(found["id"] for found in task.get("annotations") or [] if isinstance(found, dict) and "id" in found)
        choice = chosen_annotations(task, "annotations")
        findings = list(choice.findings)
        samples: list[BuiltSample] = []
        is_complete = True
        for chosen in choice.chosen:
            where = place(task=task["id"], annotation=chosen.id)
            try:
                plan = with_task_labels(parse_label_config(self.label_config), task_data(task))
            except LabelConfigError as error:
                findings.append(Finding("error", "labels", where, str(error), "the task is left out"))
                continue
            images, problems = task_images(task, read_scheme(self.label_config).scheme)
            findings += [Finding("error", "no-image", where, problem, "left out") for problem in problems]
            regions, told = regions_of_result(chosen.result, where)
            findings += told
            for item, image in enumerate(images):
                own = [region for region in regions if image_of(region.entry, images) == image]
                try:
                    samples.append(self._sample(task, chosen, image, item, own, plan, findings))
                except ImageUnavailable as error:
                    is_complete = False
                    findings.append(Finding("error", "no-image", where, str(error), "left out until the image can be had"))
        return BuiltTask(task["id"], str(task["updated_at"]), annotations, tuple(samples), tuple(findings), is_complete)

    def _sample(
        self,
        task: Task,
        chosen: Chosen,
        image: TaskImage,
        item: int,
        regions: list[ResultRegion],
        plan: LabelPlan,
        findings: list[Finding],
    ) -> BuiltSample:
        loaded = self.images.load(image.uri, task_id=task["id"])
        digest = self.kept.keep(loaded.rgb)
        where: Place = place(task=task["id"], annotation=chosen.id)
        marks = read_marks(regions, loaded.size_hw, where)
        findings += marks.findings
        asked = list(label_targets(plan, image.name))
        labels = [label for _, label in asked]
        told = {
            "task": task["id"],
            "annotation": chosen.id,
            "annotator": chosen.annotator,
            "ground_truth": chosen.is_ground_truth or None,
            "digest": digest,
            # A version is measured as its project is served.
            "in_words": any(control.model == "ssp-sam" for control, _ in asked) or None,
        }
        sample = Sample(
            image=str(self.kept.path(digest).resolve()),
            size_hw=loaded.size_hw,
            split=split_of(digest),
            targets=tuple(mark.target for mark in marks.marks),
            expressions=expressions_of(marks, labels, reviewed=self._labels_at(_changed_at(task, chosen), labels)),
            attributes={name: value for name, value in told.items() if value is not None},
        )
        return BuiltSample(item, digest, sample)

    def _labels_at(self, time: str, labels: list[LabelSpec]) -> set[str]:
        """Values of the labels that were in the config at a time; Label Studio's times sort as their text does."""
        return {label.value for label in labels if self.labels_since.get(label.value, "") <= time}


def failed_task(task: Task, error: BackendError) -> BuiltTask:
    """A task that cannot be built at all: it gives nothing, is told, and is looked at again."""
    finding = Finding("error", "task", place(task=task["id"]), str(error), "the task is left out until this is corrected")
    return BuiltTask(task["id"], str(task.get("updated_at", "")), (), (), (finding,), is_complete=False)


def _changed_at(task: Task, chosen: Chosen) -> str:
    found: Any = next((one for one in task["annotations"] if one.get("id") == chosen.id), {})
    return str(found.get("updated_at") or found.get("created_at") or "")
