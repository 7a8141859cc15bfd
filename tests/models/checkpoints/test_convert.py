"""From published files to weights that serve: the same numbers, whichever layout they came in and whichever file held the frozen parts."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models import (
    Engine,
    Profile,
    ProposalOptions,
    ProposingEngine,
    WeightsError,
    convert_checkpoint,
    find_weights,
    load_engine,
)
from models import weights_tensors as weights_tensors_module
from models.checkpoints import convert as convert_module
from models.embedding_cache import EmbeddingCache
from models.ssp_sam.checkpoint import load_official
from models.ssp_sam.config import contract
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import tokenizer_for
from tests.models.ssp_sam.files import write_clip_archive, write_official, write_sam
from tests.models.ssp_sam.networks import perturbed

PROFILE = Profile(name="mine", title="", architecture="ssp-sam", config="contract", checkpoint="mine", thresholds={"presence": 0.25})
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PHRASES = ["the red car", "a dog on the left"]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TorchScript


@pytest.fixture(scope="module")
def model() -> SspSam:
    return perturbed(seed=1)


def masks_of(engine: SspSamEngine) -> list[np.ndarray]:
    return [answer.mask for answer in engine.segment_scored(IMAGE, PHRASES)]


def engine_of(model: SspSam) -> SspSamEngine:
    cache, thresholds = EmbeddingCache(0), Thresholds(presence=0.25)
    return SspSamEngine(
        model, tokenizer_for(model.config), name="", version="", device=torch.device("cpu"), thresholds=thresholds, cache=cache
    )


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("layout", ["saved", "fresh"])
def test_weights_and_predictions_are_bit_equal_before_and_after(model, layout, tmp_path):
    published = write_official(tmp_path / "checkpoint_best_miou.pth", model, layout)
    before = SspSam(contract())
    load_official(published, before)
    folder = convert_checkpoint(PROFILE, published, tmp_path / "mine")
    assert same(load_file(folder.path / "model.safetensors"), model.state_dict())
    engine = load_engine(folder.path, device="cpu")
    expected = masks_of(engine_of(before))
    assert all(0.05 < mask.mean() < 0.95 for mask in expected)
    assert all(np.array_equal(found, wanted) for found, wanted in zip(masks_of(engine), expected, strict=True))


def test_the_folder_names_profile_sizes_and_thresholds_and_holds_no_optimizer(model, tmp_path):
    folder = convert_checkpoint(PROFILE, write_official(tmp_path / "a.pth", model), tmp_path / "mine")
    assert folder == find_weights(tmp_path / "mine")
    assert folder.version.startswith("mine-published+")
    assert {key: folder.manifest[key] for key in ("architecture", "config", "thresholds")} == {
        "architecture": "ssp-sam",
        "config": "contract",
        "thresholds": {"presence": 0.25},
    }
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["engine.json", "model.safetensors"]
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert 0 < (tmp_path / "mine" / "model.safetensors").stat().st_size - size < 100_000


@pytest.mark.parametrize("lacking", [("clip",), ("sam_image_encoder",), ("clip", "sam_image_encoder")], ids="-".join)
def test_frozen_parts_that_are_lacking_come_from_upstream(model, lacking, tmp_path):
    published = write_official(tmp_path / "a.pth", model, leave_out=lacking)
    files = {"clip": write_clip_archive(tmp_path / "ViT-B-16.pt", model), "sam_image_encoder": write_sam(tmp_path / "sam.pth", model)}
    folder = convert_checkpoint(PROFILE, published, tmp_path / "mine", upstream={part: files[part] for part in lacking})
    found = load_file(folder.path / "model.safetensors")
    from_half = {name for name in found if name.startswith("clip.")} if "clip" in lacking else set()
    assert {name for name, tensor in found.items() if tensor.dtype == torch.float16} == from_half
    halved = {name: tensor.half() if name in from_half else tensor for name, tensor in model.state_dict().items()}
    assert same(found, halved)
    assert all(mask.any() for mask in masks_of(load_engine(folder.path, device="cpu")))


def test_a_part_that_is_asked_of_upstream_is_never_read_from_the_published_file(model, tmp_path, monkeypatch):
    other = perturbed(seed=2)
    published, sam = write_official(tmp_path / "a.pth", model), write_sam(tmp_path / "sam.pth", other)
    read = []
    copy = convert_module._copy
    monkeypatch.setattr(
        convert_module, "_copy", lambda out, file, places: (read.extend((file, p.name_there) for p in places), copy(out, file, places))[1]
    )
    folder = convert_checkpoint(PROFILE, published, tmp_path / "mine", upstream={"sam_image_encoder": sam})
    found = load_file(folder.path / "model.safetensors")
    assert torch.equal(found["sam.image_encoder.pos_embed"], other.sam.image_encoder.pos_embed)
    assert torch.equal(found["sam.mask_decoder.iou_token.weight"], model.sam.mask_decoder.iou_token.weight)
    assert not [name for file, name in read if file == published and name.startswith("sam.image_encoder.")]


def test_windows_of_any_size_give_the_same_file(model, tmp_path, monkeypatch):
    published = write_official(tmp_path / "a.pth", model)
    whole = convert_checkpoint(PROFILE, published, tmp_path / "whole" / "mine")
    monkeypatch.setattr(weights_tensors_module, "WINDOW_BYTES", 50_000)
    reported = []
    pieces = convert_checkpoint(PROFILE, published, tmp_path / "pieces" / "mine", report=lambda *now: reported.append(now))
    assert pieces.version == whole.version
    assert len(reported) > 5
    assert all(a[0] < b[0] for a, b in itertools.pairwise(reported))
    assert reported[-1][0] == reported[-1][1]
    expected = masks_of(engine_of(model))
    assert all(np.array_equal(a, b) for a, b in zip(masks_of(load_engine(pieces.path, device="cpu")), expected, strict=True))


def test_memory_layouts_other_than_rows_are_written_as_rows(model, tmp_path):
    published = tmp_path / "a.pth"
    state = {name: tensor.T.contiguous().T if tensor.ndim == 2 else tensor for name, tensor in model.sam.state_dict().items()}
    torch.save(state, published)
    official = write_official(tmp_path / "b.pth", model, leave_out=("sam_image_encoder",))
    folder = convert_checkpoint(PROFILE, official, tmp_path / "mine", upstream={"sam_image_encoder": published})
    assert same(load_file(folder.path / "model.safetensors"), model.state_dict())


def _without_decoder(path: Path, model: SspSam) -> Path:
    write_official(path, model)
    content = torch.load(path, weights_only=False)
    for name in [name for name in content["model"] if name.startswith("sam.mask_decoder.")]:
        del content["model"][name]
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(
            lambda path, model: write_official(path, model, leave_out=("clip", "sam_image_encoder")),
            r"a\.pth lacks clip \(upstream's file\) and sam_image_encoder \(upstream's file\), and no other file was given",
            id="frozen parts in no file",
        ),
        pytest.param(_without_decoder, r"120 missing \(sam\.mask_decoder\.transformer\.layers\.0\.", id="decoder missing"),
        pytest.param(write_sam, r"not expected \(image_encoder\.pos_embed, ", id="a SAM in its place"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(model, tmp_path, write, message):
    published = write(tmp_path / "a.pth", model)
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(PROFILE, published, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"architecture": "sam-9"}, "architecture 'sam-9'; only ssp-sam and zero-shot can be converted", id="architecture"),
        pytest.param({"config": "huge"}, "no configuration of SSP-SAM is called 'huge'", id="sizes"),
        pytest.param({"thresholds": {"presence": 2.0}}, "is a probability", id="threshold"),
        pytest.param({"thresholds": {"absence": 0.5}}, "absence", id="unknown threshold"),
    ],
)
def test_a_profile_that_cannot_be_built_is_refused(model, tmp_path, change, message):
    published = write_official(tmp_path / "a.pth", model)
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(PROFILE.model_copy(update=change), published, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_conversion_that_is_stopped_leaves_the_old_weights(model, tmp_path):
    published = write_official(tmp_path / "a.pth", model)
    old = convert_checkpoint(PROFILE, published, tmp_path / "mine")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(PROFILE, write_official(tmp_path / "b.pth", perturbed(seed=3)), tmp_path / "mine", report=stop)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["engine.json", "model.safetensors"]
    assert find_weights(tmp_path / "mine").version == old.version


ZERO_SHOT = PROFILE.model_copy(update={"architecture": "zero-shot", "thresholds": {}})


def test_a_profile_without_training_is_made_of_sam_and_clip_alone(model, tmp_path):
    sam, clip = write_sam(tmp_path / "sam.pth", model), write_clip_archive(tmp_path / "clip.pt", model)
    folder = convert_checkpoint(ZERO_SHOT, sam, tmp_path / "mine", upstream={"clip": clip})
    found = load_file(folder.path / "model.safetensors")
    assert {name.split(".")[0] for name in found} == {"clip", "sam"}
    engine = load_engine(folder.path, device="cpu")
    assert isinstance(engine, Engine)
    assert isinstance(engine, ProposingEngine)
    everything = ProposalOptions(min_score=0.0)
    assert engine.propose(IMAGE, ["cat", "dog"], options=everything).label_map.shape == IMAGE.shape[:2]
    one_by_one = [one.segment() for one in engine.propose(IMAGE, ["dog"]).proposals]
    nothing, dog = engine.segment(IMAGE, [" ", "dog"])
    assert nothing == []
    assert [(one.text, one.score) for one in dog] == [(one.text, one.score) for one in one_by_one]
    trained = SspSamEngine.segment_from_boxes(engine_of(model), IMAGE, np.array([[5.0, 5, 30, 30]]))
    (boxed,) = engine.segment_from_boxes(IMAGE, np.array([[5.0, 5, 30, 30]]))
    np.testing.assert_array_equal(boxed.mask, trained[0].mask)


@pytest.mark.parametrize(
    ("first", "beside", "message"),
    [
        pytest.param("sam", {}, "CLIP from a file of its own, found nothing", id="no CLIP"),
        pytest.param("sam", {"clip": "clip", "sam_image_encoder": "sam"}, "found clip and sam_image_encoder beside", id="SAM twice"),
        pytest.param("clip", {"clip": "clip"}, "missing", id="CLIP in place of SAM"),
    ],
)
def test_files_that_do_not_make_a_profile_without_training_are_named(model, first, beside, message, tmp_path):
    written = {"sam": write_sam(tmp_path / "sam.pth", model), "clip": write_clip_archive(tmp_path / "clip.pt", model)}
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(ZERO_SHOT, written[first], tmp_path / "mine", upstream={part: written[file] for part, file in beside.items()})
    assert not (tmp_path / "mine").exists()
