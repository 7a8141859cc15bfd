"""What tasks tell where there is no labeling config, and labels that come with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import BadRequest, LabelConfigError
from backend.export.label_scheme import read_scheme
from backend.export.schemes import scheme_of_file, scheme_of_project
from backend.label_plan import ImageObject
from tests.export_factories import annotated, brush_region, ring_and_island, write_tasks

REGION = brush_region(ring_and_island())
FIELDS = [
    pytest.param({"image": "/data/upload/1/a.png", "url": "https://h.org/b"}, ImageObject("image", "image"), id="the field of its name"),
    pytest.param({"photo": "s3://b/a.png", "title": "a dog in the park"}, ImageObject("image", "photo"), id="the only address"),
    pytest.param({"images": ["a/1.png", "a/2.png"]}, ImageObject("image", "images", is_list=True), id="a list of addresses"),
]


@pytest.mark.parametrize(("data", "image"), FIELDS)
def test_the_field_of_the_image_is_found(tmp_path: Path, data: dict[str, object], image: ImageObject) -> None:
    path = write_tasks(tmp_path / "tasks.json", [annotated(1, [REGION], data=data)])
    assert scheme_of_file(path, None).images == (image,)


def test_which_of_two_fields_is_the_image_is_asked_not_guessed(tmp_path: Path) -> None:
    path = write_tasks(tmp_path / "tasks.json", [annotated(1, [REGION], data={"a": "x/1.png", "b": "x/2.png"})])
    with pytest.raises(BadRequest, match=r"cannot be told .fields with addresses: a, b.*--label-config"):
        scheme_of_file(path, None)


def test_labels_that_come_with_the_tasks_stand_behind_those_of_the_config(tmp_path: Path) -> None:
    config = """<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image" value="$labels">
    <Label value="Zebra"/></BrushLabels></View>"""
    tasks = [annotated(n, [brush_region(ring_and_island(), labels=[label])]) for n, label in ((1, "Cow"), (2, "Ape"), (3, "Zebra"))]
    path = write_tasks(tmp_path / "tasks.json", tasks)
    assert scheme_of_project(config, path).categories == ("Zebra", "Ape", "Cow")


def test_controls_that_the_model_leaves_alone_are_exported() -> None:
    config = """<View><Image name="image" value="$image"/>
    <EllipseLabels name="e" toName="image"><Label value="Dog"/></EllipseLabels>
    <BrushLabels name="b" toName="image" model_skip="true"><Label value="Cat"/><Label value="Dog"/></BrushLabels>
    <KeyPointLabels name="k" toName="image"><Label value="Point"/></KeyPointLabels>
    <BrushLabels name="lost" toName="text"><Label value="Lost"/></BrushLabels></View>"""
    assert read_scheme(config).scheme.categories == ("Dog", "Cat")


@pytest.mark.parametrize("xml", ["", "<View/>", '<View><Image name="i" value="$i"/><Choices name="c" toName="i"/></View>'])
def test_a_config_without_masks_is_refused(xml: str) -> None:
    with pytest.raises(LabelConfigError):
        read_scheme(xml)


def test_more_labels_than_a_config_may_have_are_refused(tmp_path: Path) -> None:
    regions = [brush_region(ring_and_island(), labels=[f"label {n}" for n in range(3001)])]
    with pytest.raises(BadRequest, match="more than 3000 labels"):
        scheme_of_file(write_tasks(tmp_path / "tasks.json", [annotated(1, regions)]), None)
