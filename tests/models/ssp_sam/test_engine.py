"""The engine with random weights: what it answers means nothing, how it answers is what counts."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.answer import Answer, JudgingEngine, ScoredEngine
from models.doubt import answer_doubt
from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.image_vectors import DescribingEngine
from models.ssp_sam.config import SspSamConfig, contract, tiny
from models.ssp_sam.engine import DECODED_AT_ONCE, SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import random_engine
from tests.models.ssp_sam.networks import perturbed

PHRASES = ["the red car", "a dog on the left", "all cats", "the biggest house behind the tree"]
VOCABULARY = vocabulary_of(PHRASES)


def with_vocabulary(config: SspSamConfig) -> SspSamConfig:
    return replace(config, clip=replace(config.clip, vocab_size=len(VOCABULARY) + 4))


class Setup:
    """An engine and how often its image encoders ran."""

    def __init__(self, model: SspSam, cache_bytes: int = 2**24, cache_dir: Path | None = None, presence: float = 0.5) -> None:
        self.clip_runs = self.sam_runs = 0
        model.clip.visual.conv1.register_forward_hook(self._count_clip)
        model.sam.image_encoder.neck.register_forward_hook(self._count_sam)
        self.engine = SspSamEngine(
            model,
            PhraseTokenizer(model.config.clip.context_length, VOCABULARY),
            name=model.config.name,
            version=f"{model.config.name}-test",
            device=torch.device("cpu"),
            thresholds=Thresholds(presence=presence),
            cache=EmbeddingCache(cache_bytes, cache_dir),
        )

    def _count_clip(self, *_) -> None:
        self.clip_runs += 1

    def _count_sam(self, *_) -> None:
        self.sam_runs += 1

    def masks(self, image: np.ndarray, phrases=PHRASES) -> list[np.ndarray]:
        """The mask behind each answer, also where the engine decides that nothing is there."""
        return [answer.mask for answer in self.engine.segment_scored(image, phrases)]


def setup(**options) -> Setup:
    return Setup(perturbed(with_vocabulary(contract())), **options)


def picture(seed: int = 0, size_hw: tuple[int, int] = (60, 90)) -> np.ndarray:
    """Blobs of colour, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    rows, columns = (np.linspace(0, n, side, endpoint=False).astype(int) for n, side in zip((4, 6), size_hw, strict=True))
    return coarse[rows][:, columns]


def share_of_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float((a != b).mean())


def test_it_is_an_engine_that_also_tells_what_is_behind_its_answers():
    engine = setup().engine
    assert isinstance(engine, Engine)
    assert isinstance(engine, ScoredEngine)


def test_it_judges_the_answers_it_gives_and_describes_images(tiny_model):
    image = np.random.default_rng(3).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    engine = Setup(tiny_model, presence=0.0).engine
    assert isinstance(engine, JudgingEngine)
    assert isinstance(engine, DescribingEngine)
    for judged, segments, answer in zip(
        engine.segment_judged(image, PHRASES), engine.segment(image, PHRASES), engine.segment_scored(image, PHRASES), strict=True
    ):
        assert [one.score for one in judged.segments] == [one.score for one in segments]
        evidence = judged.evidence
        assert (evidence.is_found, evidence.presence) == (bool(segments), answer.presence)
        assert min(evidence.predicted_iou, evidence.stability, evidence.relevance_entropy) >= 0
        assert max(evidence.predicted_iou, evidence.stability, evidence.relevance_entropy) <= 1
    vector = engine.describe(image)
    assert vector.ndim == 1
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert float(vector @ engine.describe(255 - image)) < 1 - 1e-4


def test_each_part_of_a_phrase_for_several_things_is_answered_on_its_own(tiny_model):
    engine = Setup(tiny_model, presence=0.0).engine
    whole, one, other = engine.segment_scored(picture(), ["the red car and all cats", "the red car", "all cats"])
    np.testing.assert_array_equal(whole.mask, one.mask | other.mask)
    assert whole.presence == pytest.approx(max(one.presence, other.presence), abs=1e-5)
    assert whole.segments
    assert {segment.text for segment in whole.segments} == {"the red car and all cats"}
    scores = [segment.score for segment in whole.segments]
    assert scores == sorted(scores, reverse=True)
    assert set(np.round(scores, 4)) <= {round(segment.score, 4) for segment in (*one.segments, *other.segments)}
    doubts = [
        answer_doubt(judged.evidence)
        for judged in engine.segment_judged(picture(), ["the red car and all cats", "the red car", "all cats"])
    ]
    assert doubts[0] == pytest.approx(max(doubts[1:]), abs=1e-5)


def test_an_object_that_two_parts_find_is_answered_once(tiny_model):
    engine = Setup(tiny_model, presence=0.0).engine
    twice, once = engine.segment(picture(), ["the red car and the red car", "the red car"])
    assert [segment.score for segment in twice] == pytest.approx([segment.score for segment in once], abs=1e-5)


def test_published_networks_read_a_phrase_for_several_things_as_one():
    engine = setup(presence=0.0).engine
    whole, one, other = engine.segment_scored(picture(), ["the red car and all cats", "the red car", "all cats"])
    assert (whole.mask != (one.mask | other.mask)).any()


def test_a_network_without_a_map_of_relevance_says_so():
    image = np.zeros((20, 30, 3), np.uint8)
    assert [one.evidence.relevance_entropy for one in setup().engine.segment_judged(image, PHRASES[:1])] == [None]


def test_a_second_prompt_on_a_known_image_runs_no_image_encoder():
    one = setup()
    first = one.engine.segment(picture(), PHRASES[:1])
    assert (one.clip_runs, one.sam_runs) == (1, 1)
    again = one.engine.segment(picture(), PHRASES[:1])
    one.engine.segment(picture(), PHRASES)
    one.engine.segment_from_points(picture(), np.array([[5.0, 5.0]]), np.array([True]))
    one.engine.segment_from_boxes(picture(), np.array([[0.0, 0.0, 20.0, 20.0]]))
    assert (one.clip_runs, one.sam_runs) == (1, 1)
    assert [[s.score for s in segments] for segments in again] == [[s.score for s in segments] for segments in first]
    one.engine.segment(picture(seed=1), PHRASES[:1])
    assert (one.clip_runs, one.sam_runs) == (2, 2)


def test_clicks_wait_for_sam_alone_and_descriptions_for_clip_alone():
    clicked, described = setup(), setup()
    clicked.engine.segment_from_points(picture(), np.array([[5.0, 5.0]]), np.array([True]))
    described.engine.describe(picture())
    assert (clicked.clip_runs, clicked.sam_runs) == (0, 1)
    assert (described.clip_runs, described.sam_runs) == (1, 0)


def test_answered_phrases_leave_no_masks_in_memory_but_those_of_their_segments():
    one = setup()
    held = []

    def count(*_):
        held.append(sum(type(thing) is Answer for thing in gc.get_objects()))

    one.engine._model.clip.token_embedding.register_forward_hook(count)  # runs once per batch of phrases
    one.engine.segment(picture(), PHRASES[:1] * (DECODED_AT_ONCE + 1))
    assert held == [0, 1]


def test_features_stay_under_the_budget_and_answers_stay_the_same():
    small, large = setup(cache_bytes=10_000), setup()
    for seed in (0, 1, 0, 1):
        for a, b in zip(small.masks(picture(seed)), large.masks(picture(seed)), strict=True):
            assert np.array_equal(a, b)
    assert small.sam_runs == 4
    assert large.sam_runs == 2


def test_features_on_disk_survive_a_restart(tmp_path):
    before, after = setup(cache_dir=tmp_path), setup(cache_dir=tmp_path)
    expected = before.masks(picture())
    for mask, wanted in zip(after.masks(picture()), expected, strict=True):
        assert np.array_equal(mask, wanted)
    assert (before.sam_runs, after.sam_runs) == (1, 0)


def test_threads_never_see_each_others_images():
    images = [picture(seed) for seed in range(8)]
    reference = setup()
    expected = [reference.masks(image) for image in images]
    for a in range(8):
        for b in range(a):
            assert max(share_of_difference(x, y) for x, y in zip(expected[a], expected[b], strict=True)) > 0.05
    # A budget for three images: features come and go while eight threads work.
    shared = setup(cache_bytes=3 * 12_000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: shared.masks(images[number % 8]), range(32)))
    for number, masks in enumerate(answers):
        for mask, wanted in zip(masks, expected[number % 8], strict=True):
            assert np.array_equal(mask, wanted)


def test_phrases_in_one_batch_answer_as_one_by_one():
    one = setup()
    together = one.masks(picture())
    for phrase, mask in zip(PHRASES, together, strict=True):
        (alone,) = one.masks(picture(), [phrase])
        assert share_of_difference(mask, alone) < 0.002  # rounding may move a pixel at the border
    assert share_of_difference(together[0], together[1]) > 0.01


def test_more_phrases_than_fit_in_one_batch_are_answered_in_order():
    one = setup()
    phrases = (PHRASES * DECODED_AT_ONCE)[: DECODED_AT_ONCE + 3]
    answers = one.engine.segment_scored(picture(), phrases)
    assert len(answers) == len(phrases)
    (last,) = one.masks(picture(), phrases[-1:])
    assert share_of_difference(answers[-1].mask, last) < 0.002


def test_segments_lie_inside_the_mask_behind_them_and_carry_their_phrase():
    answers = setup().engine.segment_scored(picture(), PHRASES)
    assert any(len(answer.segments) > 0 for answer in answers)
    for phrase, answer in zip(PHRASES, answers, strict=True):
        areas = [segment.area for segment in answer.segments]
        assert areas == sorted(areas, reverse=True)
        for segment in answer.segments:
            assert segment.text == phrase
            assert segment.size_hw == (60, 90)
            assert not (segment.mask & ~answer.mask).any()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 2000), (2000, 1), (37, 53), (2, 3), (311, 200)], ids=lambda hw: f"{hw[0]}x{hw[1]}")
def test_images_of_any_size_are_answered_at_their_size(size_hw):
    one = setup()
    image = picture(size_hw=size_hw)
    assert {mask.shape for mask in one.masks(image)} == {size_hw}
    for segment in one.engine.segment_from_points(image, np.array([[0.0, 0.0]]), np.array([True])):
        assert segment.size_hw == size_hw
    assert len(one.engine.segment_from_boxes(image, np.array([[0.0, 0.0, size_hw[1], size_hw[0]]]))) == 1


def test_no_phrases_run_nothing():
    one = setup()
    assert one.engine.segment(picture(), []) == []
    assert one.sam_runs == 0


@pytest.mark.parametrize(
    "phrase",
    [
        pytest.param("", id="empty"),
        pytest.param("red " * 2500, id="10,000 characters"),
        pytest.param("q" * 10_000, id="one word of 10,000 letters"),
        pytest.param("🦕🚀", id="emoji"),
        pytest.param("собака слева", id="not English"),
        pytest.param("\ud800", id="half a surrogate pair"),
    ],
)
def test_any_phrase_is_answered(phrase):
    (answer,) = setup().engine.segment_scored(picture(), [phrase])
    assert answer.mask.shape == (60, 90)


def test_unknown_words_are_named():
    assert setup().engine.unknown_words("the purple car") == ["purple"]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((4, 4), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), id="with alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), id="float"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), id="no rows"),
    ],
)
def test_what_is_no_rgb_image_is_refused(image):
    engine = setup().engine
    for ask in (
        lambda: engine.segment(image, ["dog"]),
        lambda: engine.segment_from_points(image, np.array([[0.0, 0.0]]), np.array([True])),
        lambda: engine.segment_from_boxes(image, np.array([[0.0, 0.0, 1.0, 1.0]])),
    ):
        with pytest.raises(ValueError, match=r"uint8 array \[H, W, 3\] in RGB, found"):
            ask()


def test_clicks_and_boxes_go_to_sam_in_its_own_coordinates():
    """Twice the image and twice the coordinates are the same question."""
    one = setup()
    large = picture(size_hw=(120, 180))
    small = large[::2, ::2]
    for points, box in [([[60.0, 40.0]], None), ([[60.0, 40.0], [10.0, 10.0]], (8.0, 6.0, 150.0, 100.0))]:
        marks = np.arange(len(points)) == 0
        (a,) = one.engine.segment_from_points(large, np.array(points), marks, box)
        half = None if box is None else tuple(side / 2 for side in box)
        (b,) = one.engine.segment_from_points(small, np.array(points) / 2, marks, half)
        assert share_of_difference(a.mask[::2, ::2], b.mask) < 0.1


def test_a_negative_click_is_not_a_positive_one():
    one, points = setup(), np.array([[30.0, 20.0], [70.0, 50.0]])
    answers = [one.engine.segment_from_points(picture(), points, np.array(marks)) for marks in ([True, True], [True, False])]
    assert share_of_difference(answers[0][0].mask, answers[1][0].mask) > 0.001


def test_boxes_are_answered_one_by_one_in_order():
    one = setup()
    boxes = np.array([[0.0, 0.0, 30.0, 30.0], [40.0, 20.0, 90.0, 60.0]] * DECODED_AT_ONCE)
    together = one.engine.segment_from_boxes(picture(), boxes)
    (alone,) = one.engine.segment_from_boxes(picture(), boxes[-1:])
    assert len(together) == len(boxes)
    assert share_of_difference(together[-1].mask, alone.mask) < 0.002
    assert share_of_difference(together[0].mask, together[1].mask) > 0.001
    assert one.engine.segment_from_boxes(picture(), np.zeros((0, 4))) == []


def test_a_box_alone_is_asked_for_as_points_without_points():
    one, box = setup(), (10.0, 10.0, 60.0, 50.0)
    (from_points,) = one.engine.segment_from_points(picture(), np.zeros((0, 2)), np.zeros(0, bool), box)
    (from_boxes,) = one.engine.segment_from_boxes(picture(), np.array([box]))
    assert np.array_equal(from_points.mask, from_boxes.mask)


def test_clicks_without_their_marks_or_without_anything_are_refused():
    engine = setup().engine
    with pytest.raises(ValueError, match="found 1 points and 2 entries"):
        engine.segment_from_points(picture(), np.array([[1.0, 1.0]]), np.array([True, False]))
    with pytest.raises(ValueError, match="neither a point nor a box"):
        engine.segment_from_points(picture(), np.zeros((0, 2)), np.zeros(0, bool))


@pytest.fixture(scope="module")
def tiny_model() -> SspSam:
    torch.manual_seed(0)
    return SspSam(with_vocabulary(tiny()))


def test_the_presence_threshold_decides_about_segments_and_not_about_the_mask(tiny_model):
    def ask(presence: float):
        return Setup(tiny_model, presence=presence).engine.segment_scored(picture(), PHRASES[:1])[0]

    eager, strict = ask(0.0), ask(1.0)
    assert 0.0 < eager.presence == strict.presence < 1.0
    assert np.array_equal(eager.mask, strict.mask)
    assert strict.segments == []
    assert eager.segments == [] if not eager.mask.any() else len(eager.segments) >= 1


def test_the_tiny_model_keeps_its_finer_features_in_the_cache(tiny_model, tmp_path):
    before, after = (Setup(tiny_model, cache_bytes=size, cache_dir=tmp_path) for size in (2**24, 0))
    for a, b in zip(before.masks(picture()), after.masks(picture()), strict=True):
        assert np.array_equal(a, b)
    assert before.sam_runs == 1


def test_thresholds_are_probabilities():
    with pytest.raises(ValueError, match=r"0\.\.1, found 1\.5"):
        Thresholds(presence=1.5)


def test_a_random_engine_is_reproducible_says_so_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (random_engine(contract(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert one.name == "random-contract"
    assert one.version == same.version != other.version
    masks = [engine.segment_scored(picture(), ["the dog"])[0].mask for engine in (one, same, other)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
