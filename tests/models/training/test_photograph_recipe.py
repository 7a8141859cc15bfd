"""The recipe for photographs on a small sample in COCO-Stuff's own layout: it learns, and its weights load and answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.data.readers import DatasetReadError
from models.data.readers.label_maps import LabelMapFolder
from models.loading import load_engine
from models.sam_mi.config import clip_vit_b_sam_vit_b, contract, tiny
from models.sam_mi.injection import MaskInput
from models.sam_mi.model import SamMi
from models.sam_mi.proposer import Frames
from models.sam_mi.trained import check_fits, maps_of
from models.ssp_sam.config import contract as contract_encoders
from models.ssp_sam.config import ssp_sam_224_vit_b
from models.ssp_sam.config import tiny as tiny_encoders
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.sam_masks import SamFeatures
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import write_weights_folder
from models.training.label_map_batches import LabelMapSampler
from models.training.loop import StageConfig
from models.training.photograph_recipe import PhotographRecipe, coco_stuff_vit_b, train_on_photographs
from models.weights_folder import WeightsFolder
from tests.label_map_world import write_coco_stuff


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_coco_stuff(tmp_path_factory.mktemp("photographs") / "coco-stuff")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> WeightsFolder:
    vocabulary = vocabulary_of(["person bicycle banner blanket"])
    config = tiny_encoders(vocab_size=len(vocabulary) + 4)
    torch.manual_seed(0)
    tokenizer = PhraseTokenizer(config.clip.context_length, vocabulary)
    return write_weights_folder(SspSam(config), tokenizer, tmp_path_factory.mktemp("base") / "base", release="1", thresholds=Thresholds())


def short_recipe() -> PhotographRecipe:
    stage = StageConfig(steps=2, batch_size=2, learning_rate=1e-3, warmup_steps=0, bfloat16=False)
    return replace(coco_stuff_vit_b(), name="short", network=tiny(), labels=3, stage=stage)


@pytest.mark.slow
def test_the_recipe_runs_on_cocos_own_layout_and_its_weights_answer(folder, base, tmp_path):
    told = []
    done = train_on_photographs(
        short_recipe(), folder, tmp_path, base=base.path, device="cpu", report=lambda *figures: told.append(figures[:3])
    )
    assert told == [("sam-mi", 2, 2)]
    found = load_engine(done.weights, device="cpu").propose(np.zeros((40, 60, 3), np.uint8), ["person", "blanket"])
    assert found.label_map.shape == (40, 60)
    again = train_on_photographs(short_recipe(), folder, tmp_path, base=base.path, device="cpu")
    assert (again.weights / "model.safetensors").read_bytes() == (done.weights / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="use another run folder"):
        train_on_photographs(replace(short_recipe(), seed=1), folder, tmp_path, base=base.path, device="cpu")


def test_a_split_or_images_that_are_not_there_are_named(folder, base, tmp_path):
    with pytest.raises(DatasetReadError, match="no folder 'test2017'; it has train2017, val2017"):
        train_on_photographs(replace(short_recipe(), split="test2017"), folder, tmp_path, base=base.path, device="cpu")
    empty = write_coco_stuff(tmp_path / "empty")
    for image in (empty / "images" / "train2017").iterdir():
        image.unlink()
    with pytest.raises(ValueError, match="holds no image of a label map"):
        LabelMapSampler(LabelMapFolder(empty), "train2017", tiny_encoders())


def test_a_crop_fills_both_canvases_and_its_labels_lie_where_its_pixels_do(folder):
    encoders = contract_encoders()
    batch = LabelMapSampler(LabelMapFolder(folder), "val2017", encoders).batch(np.random.default_rng(0), 8)
    side = encoders.clip.image_size
    assert batch.clip_image.shape == (8, 3, side, side)
    assert batch.sam_image.shape == (8, 3, encoders.sam.image_size, encoders.sam.image_size)
    assert batch.labels.shape == (8, side, side)
    assert batch.sizes_hw == ((side, side),) * 8
    assert set(batch.labels.unique().tolist()) == {0, 1, 2, 4}, "unlabelled counts as nothing, the banner is not there"
    # A person is green in these pictures, a blanket is not.
    green = batch.clip_image[:, 1]
    assert green[batch.labels == 1].mean() > green[batch.labels == 4].mean() + 1


def test_a_label_map_of_another_size_than_its_image_is_refused(tmp_path):
    folder = write_coco_stuff(tmp_path / "set", 1)
    [image] = (folder / "images" / "train2017").iterdir()
    Image.new("RGB", (20, 20)).save(image)
    with pytest.raises(ValueError, match=r"has \(20, 20\) pixels .* label map \(60, 80\)"):
        LabelMapSampler(LabelMapFolder(folder), "train2017", contract_encoders()).batch(np.random.default_rng(0), 1)


def test_the_large_network_stands_behind_the_encoders_it_is_meant_for():
    recipe, encoders = coco_stuff_vit_b(), ssp_sam_224_vit_b()
    assert recipe.network == clip_vit_b_sam_vit_b()
    check_fits(recipe.network, encoders)
    with torch.device("meta"):
        network = SamMi(recipe.network)
        grid = encoders.clip.grid
        sam = SamFeatures(torch.zeros(1, encoders.sam.out_channels, encoders.sam.grid, encoders.sam.grid))
        assert network.high1.mix.in_channels == sam.embedding.shape[1] + 1
        assert network.aggregator.appearance[0].in_channels == encoders.clip.embed_dim
    assert sum(parameter.numel() for parameter in network.parameters()) < 10_000_000
    assert encoders.sam.grid >= 4 * grid, "SAM's embedding is fine enough to guide the last step up"


def test_sams_embedding_guides_networks_behind_encoders_without_skips():
    encoders = contract_encoders()
    width = encoders.sam.out_channels
    config = replace(contract(), taps=None, sam_embedding=True, guidance=(width, width))
    check_fits(config, encoders)
    cells, side = encoders.clip.grid, encoders.sam.grid
    tokens = torch.randn(1, 1 + cells**2, encoders.clip.embed_dim)
    features = ImageFeatures(tokens, SamFeatures(torch.randn(1, width, side, side)))
    frames = Frames.of((60, 90), encoders)
    maps = maps_of(features, frames, sam_embedding=True)
    assert maps.finer.shape == (1, width, 2 * cells, 2 * cells)
    assert maps.finest.shape == (1, width, 4 * cells, 4 * cells)
    none = MaskInput(torch.zeros(1, 0, 4 * cells, 4 * cells), torch.zeros(1, 0, dtype=torch.bool))
    with torch.no_grad():
        logits = SamMi(config).eval()(maps, torch.nn.functional.normalize(torch.randn(3, encoders.clip.embed_dim), dim=1), none)
    assert logits.shape == (1, 3, 4 * cells, 4 * cells)
    with pytest.raises(ValueError, match="no high-resolution skips"):
        maps_of(features, frames, sam_embedding=False)
    with pytest.raises(ValueError, match="both say where the finer maps come from"):
        replace(contract(), sam_embedding=True)
