"""Collages show what they say: every mask lies where its piece was pasted, and nothing untrue is said of the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import DatasetFolder, Expression, Sample, Target, mask_to_coco_rle
from models.finetuning.collages import MOST_IN_ALL, Collage, make_collages
from models.finetuning.examples import Example, read_examples
from models.masks import coco_rle_to_mask
from tests.models.finetuning.world import COLOURS, write_dataset


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return read_examples(DatasetFolder(write_dataset(tmp_path_factory.mktemp("squares") / "data", training=4, validation=0)))


def example(folder: Path, masks: dict[str, np.ndarray], said: tuple[Expression, ...], name: str = "one") -> Example:
    path = folder / f"{name}.png"
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    targets = tuple(Target(number, mask_to_coco_rle(mask), label=label) for number, (label, mask) in enumerate(masks.items()))
    return Example(Sample(str(path), (40, 60), "train", targets, said), path, name)


def block(y: int, x: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((40, 60), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


def test_a_mask_covers_the_colour_that_it_names(squares: list[Example]) -> None:
    for one in make_collages(squares, 5, seed=0):
        image = one.image().astype(int)
        for target in one.sample.targets:
            inside = image[coco_rle_to_mask(target.rle)]
            off = np.abs(inside - COLOURS[target.label]).max(axis=1)
            assert np.mean(off < 30) > 0.85  # its border may be mixed with what lies around it


def test_everything_of_a_label_is_meant_by_its_words(squares: list[Example]) -> None:
    made = make_collages(squares, 5, seed=0)
    assert len(made) == 20
    for one in made:
        for said in one.sample.expressions:
            own = {target.id for target in one.sample.targets if target.label == said.text}
            assert set(said.target_ids) == own
            assert said.kind == ("label" if own else "absent")


def test_the_same_seed_makes_the_same_collages_and_each_has_a_key_of_its_own(squares: list[Example]) -> None:
    first, again, other = (make_collages(squares, 3, seed=seed) for seed in (1, 1, 2))
    assert [one.key for one in first] == [one.key for one in again]
    assert all(np.array_equal(a.image(), b.image()) for a, b in zip(first, again, strict=True))
    assert len({one.key for one in [*first, *other, *squares]}) == len([*first, *other, *squares])


def test_pieces_lie_inside_the_image_and_cover_what_is_below(squares: list[Example]) -> None:
    for one in make_collages(squares, 5, seed=3):
        assert isinstance(one, Collage)
        top = one.pieces[-1].mask(one.sample.size_hw)
        assert 0 < top.sum() == max(int((top & coco_rle_to_mask(target.rle)).sum()) for target in one.sample.targets)


def test_what_a_piece_hides_is_absent_and_of_a_rest_nothing_is_said(tmp_path: Path) -> None:
    said = (Expression("small", (0,), "label"), Expression("big", (1,), "label"), Expression("cloud", (), "absent"))
    hidden = 0
    below = example(tmp_path, {"small": block(15, 25, 4), "big": block(2, 2, 34)}, said)
    for seed in range(40):
        for one in make_collages([below], 1, seed=seed):
            texts = {said.text: said for said in one.sample.expressions}
            assert texts["cloud"].kind == "absent"  # nobody has pasted one
            assert isinstance(one, Collage)
            pasted = {piece.marked.label for piece in one.pieces}
            cover = np.any([piece.mask((40, 60)) for piece in one.pieces], axis=0)
            if pasted == {"big"} and "small" in texts and not (block(15, 25, 4) & ~cover).any():
                hidden += 1
                assert texts["small"].target_ids == ()
            if pasted == {"big"} and 0 < (block(15, 25, 4) & ~cover).sum() < 4:
                assert "small" not in texts
    assert hidden > 0


def test_of_the_prompts_of_an_image_nothing_is_kept(tmp_path: Path) -> None:
    said = (Expression("the left one", (0,), "spatial"), Expression("car", (0,), "label"), Expression("a red bus", (), "none_attribute"))
    below = example(tmp_path, {"car": block(5, 5)}, said)
    assert {said.text for one in make_collages([below], 8, seed=0) for said in one.sample.expressions} == {"car"}


def test_regions_that_lie_over_each_other_in_an_image_stay_whole(tmp_path: Path) -> None:
    said = (Expression("car", (0,), "label"), Expression("thing", (1,), "label"))
    whole = example(tmp_path, {"car": block(2, 2, 6), "thing": block(2, 2, 6)}, said)
    piece = example(tmp_path, {"dot": block(30, 50, 3)}, (Expression("dot", (0,), "label"),), "other")
    for one in make_collages([whole, piece], 20, seed=0):
        assert isinstance(one, Collage)
        if one.digest == "one" and {piece.marked.label for piece in one.pieces} == {"dot"}:
            cover = np.any([piece.mask((40, 60)) for piece in one.pieces], axis=0)
            for target in one.sample.targets:
                if target.label != "dot":
                    assert np.array_equal(coco_rle_to_mask(target.rle), block(2, 2, 6) & ~cover)


def test_boxes_are_never_cut_out_and_their_labels_not_spoken_of(tmp_path: Path) -> None:
    below = example(tmp_path, {"car": block(5, 5)}, (Expression("car", (0,), "label"),))
    weak, bus = Target(7, None, (20.0, 20.0, 30.0, 30.0), label="bus"), Expression("bus", (7,), "label")
    boxed = replace(
        below,
        sample=replace(below.sample, targets=(*below.sample.targets, weak), expressions=(*below.sample.expressions, bus)),
    )
    made = make_collages([boxed], 8, seed=0)
    assert {said.text for one in made for said in one.sample.expressions} == {"car"}
    assert all(target.rle is not None for one in made for target in one.sample.targets)
    only = replace(boxed, sample=replace(boxed.sample, targets=(weak,), expressions=(bus,)))
    assert make_collages([only], 8, seed=0) == []


def test_there_is_an_end_to_them(squares: list[Example]) -> None:
    assert len(make_collages(squares, MOST_IN_ALL, seed=0)) == MOST_IN_ALL
    assert make_collages(squares, 0, seed=0) == []
    assert make_collages([], 5, seed=0) == []
