"""From published files to a weights folder: renamed, the optimizer left behind, streamed in windows so that memory stays small.

Numbers keep the type they were published in: the published SSP-SAM its single precision, OpenAI's CLIP its half.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from models.checkpoints.formats import unfilled_ssp_sam
from models.checkpoints.registry import Profile, UpstreamPart
from models.sam_mi import zero_shot
from models.ssp_sam.checkpoint import FROZEN_PARTS, fit_official, fit_upstream, frozen_part_of
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import ARCHITECTURE, manifest_of, tokenizer_for
from models.strict_weights import WeightsError, check_fit
from models.torch_files import read_tensors
from models.weights_folder import WEIGHTS_FILE, WeightsFolder
from models.weights_tensors import replacing, windows, write_manifest

RELEASE = "published"
"""Release of converted weights; their digest tells them apart."""

_SAFETENSORS_TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the numbers of one of our tensors lie."""

    name: str
    file: Path
    name_there: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    nbytes: int


def convert_checkpoint(
    profile: Profile,
    published: Path,
    folder: Path,
    *,
    upstream: Mapping[UpstreamPart, Path] | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> WeightsFolder:
    """Write the weights folder of a profile.

    Args:
        profile: says which network.
        published: an SSP-SAM checkpoint in either layout, with or without its frozen parts; for a profile without training, a whole SAM.
        folder: its name becomes the name of the profile.
        upstream: whole files of upstream's for frozen parts: for those that ``published`` lacks, and for any others that shall come from
            there, whose copies in ``published`` are then never read.
        report: is told the bytes written and how many there will be.

    Raises:
        WeightsError: a file cannot be read or does not fit, or a part is in none of them; nothing is written then.
    """
    if profile.architecture not in _PLANS:
        raise WeightsError(
            f"profile {profile.name!r} is of architecture {profile.architecture!r}; only {' and '.join(_PLANS)} can be converted"
        )
    try:
        config = unfilled_ssp_sam(profile.config).config
        thresholds = Thresholds(**profile.thresholds)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"profile {profile.name!r} cannot be built: {error}; correct it in the registry") from error
    # The format aligns nothing: the widest numbers first keep all of them aligned.
    places = sorted(
        _PLANS[profile.architecture](profile, published, upstream or {}),
        key=lambda place: (-place.dtype.itemsize, str(place.file), place.name),
    )
    manifest = manifest_of(config, tokenizer_for(config), release=RELEASE, thresholds=thresholds) | {"architecture": profile.architecture}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS_FILE) as file:
        _write(file, places, report)
    return write_manifest(folder, manifest)


def _plan_ssp_sam(profile: Profile, published: Path, upstream: Mapping[UpstreamPart, Path]) -> list[_Place]:
    model = unfilled_ssp_sam(profile.config)
    tensors = read_tensors(published)
    fit = fit_official(tensors, model, label=str(published), may_lack=FROZEN_PARTS)
    absent = sorted(fit.lacking - set(upstream))
    if absent:
        files = " and ".join(f"{part} (upstream's {profile.upstream.get(part, 'file')})" for part in absent)
        raise WeightsError(f"{published} lacks {files}, and no other file was given for it")
    places = [
        _place(ours, published, official, tensors[official])
        for ours, official in fit.names.items()
        if frozen_part_of(official) not in upstream
    ]
    for part, file in upstream.items():
        places += _upstream_places(part, file, model)
    return places


def _plan_zero_shot(profile: Profile, sam: Path, upstream: Mapping[UpstreamPart, Path]) -> list[_Place]:
    model = unfilled_ssp_sam(profile.config)
    if set(upstream) != {"clip"}:
        found = " and ".join(sorted(upstream)) or "nothing"
        raise WeightsError(f"profile {profile.name!r} takes SAM from {sam} and CLIP from a file of its own, found {found} beside SAM's")
    tensors, own = read_tensors(sam), zero_shot.encoder_tensors(model)
    names = {ours: ours.removeprefix("sam.") for ours in own if ours.startswith("sam.")}
    remedy = f"Use the SAM file of the sizes of configuration {profile.config!r}"
    check_fit(tensors, {name: own[ours] for ours, name in names.items()}, source=str(sam), remedy=remedy)
    return [_place(ours, sam, name, tensors[name]) for ours, name in names.items()] + _upstream_places("clip", upstream["clip"], model)


_PLANS: dict[str, Callable[[Profile, Path, Mapping[UpstreamPart, Path]], list[_Place]]] = {
    ARCHITECTURE: _plan_ssp_sam,
    zero_shot.ARCHITECTURE: _plan_zero_shot,
}


def _upstream_places(part: UpstreamPart, file: Path, model: SspSam) -> list[_Place]:
    found = read_tensors(file)
    return [_place(ours, file, name, found[name]) for ours, name in fit_upstream(part, found, model, label=str(file)).items()]


def _place(ours: str, file: Path, name_there: str, tensor: Tensor) -> _Place:
    if tensor.dtype not in _SAFETENSORS_TYPES:
        raise WeightsError(f"{file}: {name_there} is of type {tensor.dtype}, expected floating-point numbers")
    return _Place(ours, file, name_there, tensor.dtype, tuple(tensor.shape), tensor.nbytes)


def _write(out: BinaryIO, places: Sequence[_Place], report: Callable[[int, int], None]) -> None:
    """The safetensors format: length of the header, header, then all numbers without a gap."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for place in places:
        header[place.name] = {"dtype": _SAFETENSORS_TYPES[place.dtype], "shape": place.shape, "data_offsets": [end, end + place.nbytes]}
        end += place.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(struct.pack("<Q", len(text)) + text)
    done = 0
    for file, group in groupby(places, key=lambda place: place.file):
        named = {place.name: place for place in group}
        for window in windows(named, lambda name, named=named: named[name].nbytes):  # type: ignore[misc]
            done += _copy(out, file, [named[name] for name in window])
            report(done, end)


def _copy(out: BinaryIO, file: Path, places: Sequence[_Place]) -> int:
    """Copy one window. The file is mapped anew each time: what is not mapped any more counts as nobody's memory."""
    tensors = read_tensors(file)
    for place in places:
        out.write(tensors[place.name_there].detach().reshape(-1).view(torch.uint8).numpy().data)
    return sum(place.nbytes for place in places)
