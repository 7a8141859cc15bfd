"""The engine under load, short of memory and in reduced precision: the answers stay what they are."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import EngineMemoryError
from models.answer import Answer
from models.embedding_cache import EmbeddingCache
from models.engine_options import EngineOptions
from models.ssp_sam.adapters import sentence_similarity
from models.ssp_sam.config import contract
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.sam_masks import NOT_A_POINT, POINT_POSITIVE, SamFeatures, embed_prompts, positional_code
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.types import RgbImage
from tests.models.ssp_sam.networks import perturbed

SCENES = Path(__file__).parents[2] / "data" / "floor_scenes"
PHRASES = ["the red car", "a dog on the left", "all cats"]
VOCABULARY = vocabulary_of(PHRASES)


def picture(seed: int) -> RgbImage:
    """Blocks of colour, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(15, axis=0).repeat(15, axis=1))


@pytest.fixture
def model() -> SspSam:
    config = contract()
    return perturbed(replace(config, clip=replace(config.clip, vocab_size=len(VOCABULARY) + 4)))


def engine_of(model: SspSam, cache_bytes: int = 2**24, cache_dir: Path | None = None, **options) -> SspSamEngine:
    return SspSamEngine(
        model,
        PhraseTokenizer(model.config.clip.context_length, VOCABULARY),
        name="contract",
        version="contract-test",
        device=torch.device("cpu"),
        thresholds=Thresholds(presence=0.5),
        cache=EmbeddingCache(cache_bytes, cache_dir),
        options=EngineOptions(**options),
    )


@contextmanager
def room_for(part: nn.Module, most: int) -> Iterator[list[int]]:
    """While inside, a part of the network finds no memory for batches of more than ``most``; gives the sizes that were tried."""
    tried: list[int] = []

    def check(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

    handle = part.register_forward_pre_hook(check)
    try:
        yield tried
    finally:
        handle.remove()


def assert_same(found: list[Answer], expected: list[Answer], *, pixels: float = 0.0) -> None:
    """The same decisions, scores up to rounding, masks that differ in no more than a share of ``pixels``."""
    for one, other in zip(found, expected, strict=True):
        assert np.mean(one.mask != other.mask) <= pixels
        assert one.presence == pytest.approx(other.presence, abs=1e-4)
        assert [s.score for s in one.segments] == pytest.approx([s.score for s in other.segments], abs=1e-4)


def test_64_concurrent_clients_get_the_answers_of_a_quiet_day(model):
    images = [picture(seed) for seed in range(16)]
    quiet = engine_of(model)
    expected = [quiet.segment_scored(image, PHRASES) for image in images]
    busy, together, sizes = engine_of(model, micro_batch=8, micro_batch_wait_seconds=0.05), threading.Barrier(64), []
    model.sam.image_encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))

    def client(number: int) -> list[Answer]:
        together.wait()
        return busy.segment_scored(images[number % 16], PHRASES)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(client, range(64)))
    for number, found in enumerate(answers):
        # Kernels round differently by the size of a batch, here by the last bit; a pixel on the very border may change sides.
        assert_same(found, expected[number % 16], pixels=0.001)
    assert sum(sizes) == 16  # every image was encoded once, though four clients asked for it
    assert max(sizes) > 1


def test_an_image_that_is_refused_costs_only_its_own_client_the_answer(model):
    engine, together = engine_of(model, micro_batch=8, micro_batch_wait_seconds=0.05), threading.Barrier(8)

    def client(number: int) -> list[Answer] | None:
        together.wait()
        image = picture(number) if number % 2 else np.zeros((4, 4), np.uint8)
        try:
            return engine.segment_scored(image, PHRASES)
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client, range(8)))
    assert [answer is None for answer in answers] == [True, False] * 4


def test_many_phrases_are_decoded_in_smaller_batches_when_memory_runs_out(model):
    engine = engine_of(model)
    expected = engine.segment_scored(picture(0), PHRASES * 3)
    with room_for(model.sam.mask_decoder.transformer, 3) as tried:
        found = engine.segment_scored(picture(0), PHRASES * 3)
    assert_same(found, expected, pixels=0.002)
    assert tried[:3] == [9, 4, 2]


def test_clicks_and_boxes_are_decoded_in_smaller_batches_when_memory_runs_out(model):
    engine, boxes = engine_of(model), np.array([[0.0, 0.0, 30.0, 30.0], [40.0, 20.0, 90.0, 60.0]] * 3)
    expected = engine.segment_from_boxes(picture(0), boxes)
    with room_for(model.sam.mask_decoder.transformer, 2):
        found = engine.segment_from_boxes(picture(0), boxes)
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        assert np.mean(one.mask != other.mask) < 0.002


def test_a_shared_run_of_the_encoders_is_halved_when_memory_runs_out(model):
    engine = engine_of(model, micro_batch=8)
    expected = [engine_of(model)._images.sam.encode([prepared]) for prepared in prepared_images(model)]
    with room_for(model.sam.image_encoder, 2) as tried:
        found = engine._images.sam.encode(prepared_images(model))
    assert tried == [5, 2, 2, 1]
    for one, (other,) in zip(found, expected, strict=True):
        assert torch.allclose(one["embedding"], other["embedding"], atol=1e-4)


def prepared_images(model: SspSam):
    return [engine_of(model)._images.sam.prepare(picture(seed)) for seed in range(5)]


@pytest.mark.parametrize("micro_batch", [pytest.param(1, id="alone"), pytest.param(8, id="in shared batches")])
def test_memory_that_does_not_suffice_for_one_image_is_told_and_the_engine_lives_on(model, micro_batch):
    engine = engine_of(model, micro_batch=micro_batch)
    with room_for(model.sam.image_encoder, 0), pytest.raises(EngineMemoryError, match="free memory on the device"):
        engine.segment(picture(0), PHRASES)
    assert len(engine.segment(picture(0), PHRASES)) == len(PHRASES)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_answers_almost_the_same(model, precision):
    exact = engine_of(model).segment_scored(picture(0), PHRASES)
    reduced = engine_of(perturbed(model.config), precision=precision).segment_scored(picture(0), PHRASES)
    for one, other in zip(reduced, exact, strict=True):
        assert np.mean(one.mask != other.mask) < 0.1
    assert any(not np.array_equal(one.mask, other.mask) for one, other in zip(reduced, exact, strict=True))


def test_features_of_another_precision_are_never_taken_from_the_cache(model, tmp_path):
    engine_of(model, cache_dir=tmp_path).segment(picture(0), PHRASES)
    engine_of(model, cache_dir=tmp_path, precision="bf16").segment(picture(0), PHRASES)
    assert len(list(tmp_path.iterdir())) == 4  # of both encoders


def test_positions_are_exact_under_autocast(model):
    points, kinds = torch.tensor([[[31.3, 90.7], [0.0, 0.0]]]), torch.tensor([[POINT_POSITIVE, NOT_A_POINT]])
    features = SamFeatures(torch.zeros(1, model.config.sam.out_channels, model.config.sam.grid, model.config.sam.grid))
    with torch.no_grad():
        expected = positional_code(model.sam), embed_prompts(model.sam, features, points, kinds)
        with torch.autocast("cpu", torch.bfloat16):
            found = positional_code(model.sam), embed_prompts(model.sam, features, points, kinds)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_similarities_are_exact_under_autocast(model):
    patches, sentence = torch.randn(2, 16, 48), torch.randn(2, 48)
    words, padding = torch.randn(2, 16, 64), torch.arange(16).expand(2, -1) > 5
    with torch.no_grad():
        expected = sentence_similarity(patches, sentence), model.visual_adapter.verification(patches, patches.roll(1, dims=1))
        with torch.autocast("cpu", torch.bfloat16):
            found = sentence_similarity(patches, sentence), model.visual_adapter.verification(patches, patches.roll(1, dims=1))
            _, phrase = model.linguistic_adapter(words, padding)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert phrase.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler here")
def test_compiled_encoders_answer_the_same(model):
    expected = engine_of(model).segment_scored(picture(0), PHRASES)
    assert_same(engine_of(model, compiled=True).segment_scored(picture(0), PHRASES), expected, pixels=0.001)


def test_encoders_that_cannot_be_compiled_are_refused_at_once(model, monkeypatch):
    def without_compiler(function: object, *, dynamic: bool) -> object:
        def fail(*_: object) -> torch.Tensor:
            raise RuntimeError("No working C++ compiler found\nlong details")

        return fail

    monkeypatch.setattr(torch, "compile", without_compiler)
    with pytest.raises(ValueError, match=r"cannot be compiled here \(No working C\+\+ compiler found\); switch compilation off"):
        engine_of(model, compiled=True)
