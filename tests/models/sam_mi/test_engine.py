"""Label lists through the engine, in both modes: what it answers means nothing with random weights, how it answers is what counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.data.sample_scenes import load_sample_scenes
from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.engine_options import EngineOptions
from models.proposals import ProposalOptions, Proposals, ProposingEngine
from models.sam_mi.config import tiny as tiny_network
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.presets import Preset, tiny_preset
from models.sam_mi.weights import build_engine
from models.types import RgbImage
from models.weights_folder import find_weights
from tests.models.sam_mi.networks import GENEROUS, eager, encoders, engine, random_network

LABELS = ["cat", "dog", "car"]
MODES = pytest.mark.parametrize("trained", [pytest.param(False, id="zero-training"), pytest.param(True, id="trained")])


@pytest.fixture(scope="module")
def engines() -> dict[bool, SamMiEngine]:
    return {trained: engine(trained=trained) for trained in (False, True)}


def picture(seed: int = 0, size_hw: tuple[int, int] = (60, 90)) -> RgbImage:
    """Blobs of colour, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    rows, columns = (np.linspace(0, n, side, endpoint=False).astype(int) for n, side in zip((4, 6), size_hw, strict=True))
    return coarse[rows][:, columns]


def assert_sound(found: Proposals, image: RgbImage) -> None:
    """Everything has the size of the image, numbers are numbers, and labels are those of the list."""
    size_hw = image.shape[:2]
    assert found.label_map.shape == size_hw
    assert 0 <= found.label_map.min() <= found.label_map.max() <= len(found.labels)
    for one in found.proposals:
        mask = one.mask()
        assert mask.shape == size_hw
        assert one.area == mask.sum() > 0
        assert one.segment().box == one.box
        assert 0 <= one.score <= 1
        assert one.label == found.labels[one.label_index]
        assert all(0 <= x <= size_hw[1] - 1 and 0 <= y <= size_hw[0] - 1 for x, y in one.points)
    scores = [one.score for one in found.proposals]
    assert scores == sorted(scores, reverse=True)
    assert np.isfinite(found.stages.cost_confidence).all()
    height, width = found.stages.cost_labels.shape
    assert found.stages.sam_masks.shape[1:] == found.stages.joined_masks.shape[1:] == (height, width)
    assert len(found.stages.joined_masks) <= len(found.stages.sam_masks) <= len(found.stages.points)


@MODES
def test_an_engine_for_expressions_also_takes_label_lists(engines, trained):
    one = engines[trained]
    assert isinstance(one, Engine)
    assert isinstance(one, ProposingEngine)
    found = one.propose(picture(), LABELS)
    assert_sound(found, picture())
    assert found.labels == tuple(LABELS)
    assert len(found.proposals) > 0
    assert found.label_map.any()
    assert found.semantic_mask(0).sum() == (found.label_map == 1).sum()


@MODES
def test_proposals_come_without_a_label_map_where_nobody_wants_one(engines, trained):
    whole, bare = (engines[trained].propose(picture(), LABELS, options=ProposalOptions(label_map=wanted)) for wanted in (True, False))
    assert [one.rle for one in bare.proposals] == [one.rle for one in whole.proposals]
    with pytest.raises(ValueError, match="label_map=True"):
        bare.semantic_mask(0)


@MODES
@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([], id="no label"),
        pytest.param(["cat"], id="one label"),
        pytest.param(["chat noir", "猫", "кот", "🐈"], id="other languages"),
        pytest.param([f"thing {number}" for number in range(1000)], id="a thousand", marks=pytest.mark.slow),
    ],
)
def test_every_list_of_labels_has_a_defined_answer(engines, trained, labels):
    assert_sound(engines[trained].propose(picture(), labels), picture())


@MODES
@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((50, 70, 3), np.uint8), id="black"),
        pytest.param(np.full((50, 70, 3), 255, np.uint8), id="white"),
        pytest.param(picture(size_hw=(1, 4)), id="1 x 4"),
        pytest.param(picture(size_hw=(4, 1)), id="4 x 1"),
        pytest.param(picture(size_hw=(1, 1)), id="one pixel"),
        pytest.param(picture(size_hw=(30, 120)), id="aspect 1 to 4"),
        pytest.param(picture(size_hw=(120, 30)), id="aspect 4 to 1"),
        pytest.param(picture(size_hw=(2, 500)), id="a strip"),
    ],
)
def test_every_image_has_a_defined_answer(engines, trained, image):
    assert_sound(engines[trained].propose(image, LABELS), image)


@MODES
def test_labels_that_say_the_same_count_once(engines, trained):
    found = engines[trained].propose(picture(), ["cat", " Cat ", "dog", "CAT"])
    assert {one.label_index for one in found.proposals} <= {0, 2}
    once = engines[trained].propose(picture(), ["cat", "dog"])
    assert np.array_equal(found.label_map == 1, once.label_map == 1)
    assert np.array_equal(found.label_map == 3, once.label_map == 2)


@MODES
def test_no_label_at_all_finds_nothing(engines, trained):
    found = engines[trained].propose(picture(), [])
    assert found.proposals == ()
    assert not found.label_map.any()


@pytest.mark.parametrize(
    ("labels", "background"),
    [pytest.param(["cat", "  "], [], id="blank label"), pytest.param(["cat"], ["sky", ""], id="blank background")],
)
def test_a_blank_name_is_refused_with_its_place(engines, labels, background):
    with pytest.raises(ValueError, match=r"name . of . is blank"):
        engines[False].propose(picture(), labels, background=background)


def test_what_is_no_image_is_refused(engines):
    with pytest.raises(ValueError, match="uint8 array"):
        engines[False].propose(np.zeros((5, 5)), LABELS)


@MODES
def test_the_order_of_labels_changes_names_and_nothing_else(engines, trained):
    found, turned = engines[trained].propose(picture(), LABELS), engines[trained].propose(picture(), LABELS[::-1])
    for number in range(3):
        assert np.array_equal(found.semantic_mask(number), turned.semantic_mask(2 - number))


@MODES
def test_background_competes_and_is_not_returned(engines, trained):
    alone, contested = (engines[trained].propose(picture(), ["cat"], background=names) for names in ([], ["tree", "house", "cat"]))
    assert contested.labels == ("cat",)
    assert contested.label_map.sum() < alone.label_map.sum()


def test_stuff_gives_one_proposal_a_label(engines):
    many = engines[False].propose(picture(), LABELS)
    found = engines[False].propose(picture(), LABELS, options=ProposalOptions(stuff=frozenset(LABELS)))
    from_sam = [one for one in found.proposals if one.source == "sam"]
    assert all(one.is_stuff for one in found.proposals)
    assert len({one.label for one in from_sam}) == len(from_sam) <= sum(one.source == "sam" for one in many.proposals)


@MODES
def test_thresholds_and_caps_are_kept(engines, trained):
    everything = engines[trained].propose(picture(), LABELS, options=ProposalOptions(min_score=0.0)).proposals
    scores = [one.score for one in everything]
    middle = (min(scores) + max(scores)) / 2
    sure = engines[trained].propose(picture(), LABELS, options=ProposalOptions(min_score=middle)).proposals
    assert [one.score for one in sure] == [score for score in scores if score >= middle]
    assert not engines[trained].propose(picture(), LABELS, options=ProposalOptions(min_score=max(scores) + 0.01)).proposals
    assert min(one.score for one in sure) >= middle
    few = engines[trained].propose(picture(), LABELS, options=ProposalOptions(min_score=0.0, max_proposals=2)).proposals
    assert [one.score for one in few] == [one.score for one in everything[:2]]


@pytest.mark.parametrize("options", [{"min_score": 1.5}, {"min_score": -0.1}, {"max_proposals": -1}], ids=str)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="ProposalOptions"):
        ProposalOptions(**options)


def test_an_image_is_encoded_once_for_expressions_and_label_lists():
    model = encoders()
    runs = []
    model.sam.image_encoder.neck.register_forward_hook(lambda *_: runs.append("sam"))
    model.clip.visual.conv1.register_forward_hook(lambda *_: runs.append("clip"))
    one = engine(model=model)
    one.propose(picture(), LABELS)
    one.propose(picture(), ["tree"])
    one.segment(picture(), ["the red car"])
    assert sorted(runs) == ["clip", "sam"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"close_labels": 2}, 2, id="the most probable two"),
        pytest.param({"close_labels": None}, 5, id="as many as there are"),
        pytest.param({"close_labels": 9}, 5, id="no more than there are"),
        pytest.param({"close_labels": None, "close_probability": 1.0}, 0, id="none is probable"),
    ],
)
def test_the_network_looks_at_what_the_words_hold_probable(options, expected):
    network, seen = eager(random_network(tiny_network())), []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[1])))
    one = engine(replace(GENEROUS, **options), trained=True, network=network)
    assert_sound(found := one.propose(picture(), [*LABELS, "tree", "house"]), picture())
    assert seen == [expected]
    assert len(set(np.unique(found.label_map)) - {0}) <= expected


@pytest.mark.parametrize("inject_masks", [True, False])
def test_the_network_sees_the_masks_where_the_preset_says_so(inject_masks):
    network, seen = eager(random_network(tiny_network())), []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2].valid.shape[1]))
    found = engine(replace(GENEROUS, inject_masks=inject_masks), trained=True, network=network).propose(picture(), LABELS)
    assert len(found.stages.joined_masks) > 0
    assert seen == [len(found.stages.joined_masks) if inject_masks else 0]


def test_a_label_is_encoded_once():
    model = encoders()
    asked: list[int] = []
    model.clip.token_embedding.register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0])))
    one = engine(model=model)
    one.propose(picture(), LABELS)
    first = sum(asked)
    one.propose(picture(1), [*LABELS, "tree"])
    assert sum(asked) - first == first / 3


@MODES
def test_threads_that_ask_at_once_get_what_they_would_get_alone(engines, trained):
    images = [picture(seed) for seed in range(4)]
    alone = [engines[trained].propose(image, LABELS).label_map for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: engines[trained].propose(image, LABELS).label_map, images))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_region_that_sam_gives_no_mask_for_is_proposed_as_the_words_see_it():
    found = engine(replace(GENEROUS, mask_iou=1.0, stability=1.0)).propose(picture(), LABELS)
    assert {one.source for one in found.proposals} == {"region"}
    assert all(one.members == () and one.points == () for one in found.proposals)


def test_without_correction_the_label_map_is_that_of_the_words():
    found = engine(replace(GENEROUS, correction=0.0)).propose(picture(size_hw=(64, 64)), LABELS)
    side = found.stages.cost_labels.shape[0]
    centres = (np.arange(side) * 64 + 32) // side
    agreement = (found.label_map[centres][:, centres] == found.stages.cost_labels).mean()
    assert agreement > 0.95


def test_masks_that_one_label_mostly_fills_decide_in_the_shipped_model():
    scene = load_sample_scenes()[0]
    shipped = tiny_preset()
    assert shipped.mask_agreement is not None
    silent, heard = (
        build_engine(find_weights("tiny"), torch.device("cpu"), EmbeddingCache(0), preset=replace(shipped, mask_agreement=share)).propose(
            scene.sample.image, sorted(set(scene.classes))
        )
        for share in (None, shipped.mask_agreement)
    )
    assert not np.array_equal(silent.label_map, heard.label_map)
    assert [one.rle for one in silent.proposals] == [one.rle for one in heard.proposals]


def test_several_masks_per_point_are_looked_at_where_the_preset_says_so():
    found = engine(replace(GENEROUS, mask_tokens=(1, 2, 3))).propose(picture(), LABELS)
    assert_sound(found, picture())


def test_a_network_for_other_encoders_is_refused():
    with pytest.raises(ValueError, match="high_resolution_skips"):
        engine(model=encoders(), trained=True)
    with pytest.raises(ValueError, match="taps=None"):
        engine(network=random_network(), trained=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"background_words": (), "background_cosine": None}, "single label", id="nothing to compete with"),
        pytest.param({"mask_iou": 1.2}, "share", id="share above one"),
        pytest.param({"correction": -1.0}, "negative", id="negative correction"),
        pytest.param({"mask_agreement": 60.0}, "0..1, or None", id="a share in percent"),
        pytest.param({"mask_tokens": ()}, "at least one", id="no mask"),
        pytest.param({"close_labels": 0}, "at least 1", id="no label looked at"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Preset(**change)


def test_an_answer_needs_no_gradient(engines):
    engines[False].propose(picture(), LABELS)
    assert torch.is_grad_enabled()


@MODES
def test_half_precision_answers_as_full_precision_does(trained):
    exact, rounded = (engine(trained=trained, options=EngineOptions(precision=precision)) for precision in ("fp32", "bf16"))
    assert rounded.placement["precision"] == "bfloat16"
    images = [picture(seed) for seed in range(4)]
    pairs = [(exact.propose(image, LABELS), rounded.propose(image, LABELS)) for image in images]
    for (_, found), image in zip(pairs, images, strict=True):
        assert_sound(found, image)
    agreement = np.mean([(a.label_map == b.label_map).mean() for a, b in pairs])
    assert agreement > 0.9
