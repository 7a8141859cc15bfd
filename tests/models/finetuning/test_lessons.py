"""What expressions mean on the networks' canvases, and how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import DatasetFolder, Sample, Target, mask_to_coco_rle
from models.data.sample import Expression
from models.finetuning.examples import Example, read_examples, split_examples, words_to_labels
from models.finetuning.lessons import Meanings, Sampler, draw_expressions
from models.ssp_sam.config import contract
from models.ssp_sam.weights import tokenizer_for
from tests.models.finetuning.world import write_dataset

CONFIG = contract()
SIZE_HW = (64, 128)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def example(*, weak: bool = False, text: str = "the cat") -> Example:
    drawn = Target(1, mask_to_coco_rle(rectangle(16, 0, 32, 64)), label="cat")
    boxed = Target(2, None, (64.0, 16.0, 96.0, 48.0), label="dog")
    said = (Expression(text, (1,)), Expression("both", (1, 2)) if weak else Expression("no bird", ()))
    return Example(Sample("x.png", SIZE_HW, "train", (drawn, boxed), said), Path("x.png"), "0" * 32)


def test_a_mask_lies_on_sams_canvas_and_its_box_on_clips() -> None:
    meaning = Meanings(CONFIG, 2**20).of(example(), example().sample.expressions[0])
    expected = torch.zeros(64, 64)  # 128 pixels wide as SAM's canvas, compared at 64
    expected[:32, 8:16] = 1
    assert torch.equal(meaning.mask, expected)
    # CLIP's canvas of 32 pixels holds the image in its middle.
    assert meaning.box.tolist() == pytest.approx([12 / 64, 0.5, 8 / 64, 0.5])
    assert not meaning.is_weak


def test_one_box_among_masks_makes_the_whole_weak() -> None:
    meaning = Meanings(CONFIG, 2**20).of(example(weak=True), example(weak=True).sample.expressions[1])
    assert meaning.is_weak
    assert meaning.mask[8:24, 32:48].min() == 1
    assert meaning.mask[:32, 8:16].min() == 1


def test_words_for_nothing_mean_an_empty_mask_without_a_box() -> None:
    meaning = Meanings(CONFIG, 2**20).of(example(), example().sample.expressions[1])
    assert (meaning.mask.sum(), meaning.box.sum()) == (0, 0)


def test_in_a_mirror_masks_change_sides_and_sides_are_not_spoken_of() -> None:
    _, one = example(text="the cat on the left").views(2)
    assert [said.text for said in one.sample.expressions] == ["no bird"]
    mask = Meanings(CONFIG, 2**20).of(one, Expression("cat", (1,))).mask
    assert mask[:32, 48:56].min() == 1
    assert mask.sum() == 32 * 8


@pytest.mark.parametrize(
    ("something", "nothing", "count", "expected"),
    [
        pytest.param(1, 100, 6, (1, 1), id="a label list leaves a hundred unused"),
        pytest.param(20, 0, 6, (6, 0), id="nothing is absent"),
        pytest.param(20, 20, 6, (3, 3), id="enough of both"),
        pytest.param(0, 20, 6, (0, 1), id="an image without anything"),
        pytest.param(1, 1, 1, (1, 0), id="one expression an image"),
    ],
)
def test_what_is_there_is_drawn_before_what_is_not(something: int, nothing: int, count: int, expected: tuple[int, int]) -> None:
    said = [Expression(f"yes {n}", (1,)) for n in range(something)] + [Expression(f"no {n}", ()) for n in range(nothing)]
    drawn = draw_expressions(said, count, np.random.default_rng(0))
    assert len({one.text for one in drawn}) == len(drawn)
    assert (sum(bool(one.target_ids) for one in drawn), sum(not one.target_ids for one in drawn)) == expected


def test_a_lesson_names_the_patches_of_labelled_regions(tmp_path: Path) -> None:
    examples = read_examples(DatasetFolder(write_dataset(tmp_path / "data")))
    sampler = Sampler(examples, [], 2, 0, 3, Meanings(CONFIG, 2**20), tokenizer_for(CONFIG))
    batch = sampler.draw(np.random.default_rng(0))
    lesson = sampler.lesson(batch)
    assert lesson.names.shape == (2, CONFIG.clip.grid**2)
    labels = sorted({label for one in examples for label in (target.label for target in one.sample.targets)})
    for row, (one, _) in zip(lesson.names, batch, strict=True):
        shown = {labels[number] for number in row.tolist() if number >= 0}
        assert shown <= {target.label for target in one.sample.targets}
        assert shown


def test_the_same_step_draws_the_same_batch(tmp_path: Path) -> None:
    examples = read_examples(DatasetFolder(write_dataset(tmp_path / "data")))
    sampler = Sampler(examples, examples[:1], 3, 2, 3, Meanings(CONFIG, 2**20), tokenizer_for(CONFIG))
    one, two = (sampler.draw(np.random.default_rng(7)) for _ in range(2))
    assert one == two
    assert [example for example, _ in one[3:]] == [examples[0]] * 2
    assert len({example.key for example, _ in one[:3]}) == 3


def test_without_a_validation_split_every_fifth_image_measures_and_does_not_teach(tmp_path: Path) -> None:
    split = split_examples(read_examples(DatasetFolder(write_dataset(tmp_path / "data", training=11, validation=0))))
    assert (len(split.training), len(split.measuring), split.measured_on) == (8, 3, "held-out training images")
    assert not set(split.training) & set(split.measuring)


def test_a_handful_of_images_measures_itself(tmp_path: Path) -> None:
    split = split_examples(read_examples(DatasetFolder(write_dataset(tmp_path / "data", training=3, validation=0))))
    assert (split.training, split.measured_on) == (split.measuring, "training images")


def test_words_of_two_labels_stand_for_neither() -> None:
    targets = (Target(1, None, (0, 0, 4, 4), label="cat"), Target(2, None, (8, 8, 12, 12), label="dog"))
    said = (Expression("a cat", (1,)), Expression("an animal", (1, 2)))
    assert words_to_labels([Example(Sample("x", SIZE_HW, None, targets, said), Path("x"), "x")]) == {"a cat": "cat"}
