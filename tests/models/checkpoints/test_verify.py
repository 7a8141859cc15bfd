"""A file is what the registry says, or the message names what is different."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import Checkpoint, WeightsError, verify_checkpoint
from models.checkpoints.formats import clip_listing, sam_listing
from models.ssp_sam.model import SspSam
from tests.models.ssp_sam.files import write_clip_archive, write_official, write_sam
from tests.models.ssp_sam.networks import perturbed

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TorchScript


def entry(kind: str, sizes: str | None = "contract") -> Checkpoint:
    return Checkpoint(name="mine", title="a file of ours", licence="ours", format=kind, sizes=sizes)


@pytest.fixture(scope="module")
def model() -> SspSam:
    return perturbed(seed=1)


@pytest.mark.parametrize("layout", ["saved", "fresh"])
def test_a_published_ssp_sam_is_recognised_in_both_layouts(model, layout, tmp_path):
    report = verify_checkpoint(write_official(tmp_path / "a.pth", model, layout), entry("ssp-sam"))
    assert (report.layout, report.lacking) == (layout, frozenset())
    assert report.beside == ("optimizer", "lr_scheduler", "epoch", "args")
    assert report.tensors == len(model.state_dict()) + 4 * (layout == "saved")


def test_files_of_pytorchs_older_form_are_read(model, tmp_path):
    torch.save(model.sam.state_dict(), tmp_path / "sam.pth", _use_new_zipfile_serialization=False)
    assert verify_checkpoint(tmp_path / "sam.pth", entry("sam"), check_records=True).tensors == len(model.sam.state_dict())


def test_frozen_parts_may_be_lacking_and_are_told(model, tmp_path):
    path = write_official(tmp_path / "a.pth", model, leave_out=("clip", "sam_image_encoder"))
    report = verify_checkpoint(path, entry("ssp-sam"))
    assert (report.layout, report.lacking) == (None, {"clip", "sam_image_encoder"})


def test_upstream_files_are_recognised(model, tmp_path):
    sam = verify_checkpoint(write_sam(tmp_path / "sam.pth", model), entry("sam"))
    assert sam.parameters == sum(tensor.numel() for tensor in model.sam.state_dict().values())
    clip = verify_checkpoint(write_clip_archive(tmp_path / "clip.pt", model), entry("openai-clip"))
    assert clip.tensors == len(model.clip.state_dict()) + 3


@pytest.mark.parametrize(("sizes", "parameters"), [("vit-b", 93_735_728), ("vit-l", 312_343_088), ("vit-h", 641_090_864)])
def test_the_listings_of_sam_have_as_many_numbers_as_the_published_files(sizes, parameters):
    """The known counts of parameters, and 256 numbers of a buffer, the prompt encoder's Gaussian matrix."""
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        stock = sam_model_registry[sizes.replace("-", "_")]().state_dict()
    listing = sam_listing(sizes)
    assert {name: tensor.shape for name, tensor in listing.items()} == {name: tensor.shape for name, tensor in stock.items()}
    assert sum(tensor.numel() for tensor in listing.values()) == parameters


@pytest.mark.parametrize(("sizes", "tensors"), [("ssp-sam-224", 302), ("ssp-sam-336", 446)])
def test_the_listings_of_clip_have_as_many_tensors_as_open_clips(sizes, tensors):
    assert len(clip_listing(sizes)) == tensors


def _save_pickle(path: Path, model: SspSam) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (path.with_name("was_here"),))

    torch.save({"model": Evil()}, path)


def _transpose(path: Path, model: SspSam) -> None:
    write_official(path, model)
    content = torch.load(path, weights_only=False)
    content["model"]["clip_proj.weight"] = content["model"]["clip_proj.weight"].T.contiguous()
    torch.save(content, path)


def _truncate(path: Path, model: SspSam) -> None:
    write_official(path, model)
    path.write_bytes(path.read_bytes()[:-1000])


def _flip_one_number(path: Path, model: SspSam) -> None:
    write_official(path, model)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(_save_pickle, "cannot be read as a PyTorch checkpoint", id="runs code"),
        pytest.param(_transpose, r"clip_proj\.weight found float32 \(64, 32\), expected float32 \(32, 64\)", id="transposed"),
        pytest.param(_truncate, "cannot be read as a PyTorch checkpoint .* it may be cut short", id="cut short"),
        pytest.param(_flip_one_number, r"is damaged: the checksum of its record .*data/\d+ is wrong; get it anew", id="one byte damaged"),
        pytest.param(write_sam, r"does not fit: .*check that the file is of the same variant", id="another network"),
        pytest.param(lambda path, model: path.write_bytes(b"<html>"), "cannot be read as a PyTorch checkpoint", id="HTML"),
    ],
)
def test_what_is_not_the_file_is_refused_by_name(model, tmp_path, write, message):
    path = tmp_path / "a.pth"
    write(path, model)
    with pytest.raises(WeightsError, match=message):
        verify_checkpoint(path, entry("ssp-sam"), check_records=True)
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("sam", r"not expected .* It is not a file of ours", id="SAM"),
        pytest.param("openai-clip", r"not expected .* It is not a file of ours", id="CLIP"),
    ],
)
def test_upstream_files_of_another_kind_are_refused(model, tmp_path, kind, message):
    path = write_official(tmp_path / "a.pth", model)
    with pytest.raises(WeightsError, match=message):
        verify_checkpoint(path, entry(kind))


def test_a_plain_state_dict_is_only_opened(tmp_path):
    torch.save({"model": {"a": torch.zeros(2, 3)}}, tmp_path / "a.pth")
    report = verify_checkpoint(tmp_path / "a.pth", entry("state-dict", None))
    assert (report.tensors, report.parameters, report.beside) == (1, 6, ())
    torch.save({}, tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="empty state dict"):
        verify_checkpoint(tmp_path / "b.pth", entry("state-dict", None))
