"""Published SSP-SAM checkpoints: their names, both of their layouts, both ways (spec sections 3.2 to 3.6).

The tables below are the whole conversion; ``model.py`` is named for clarity, not for old files. Loading is strict. Only the two frozen
parts may come from elsewhere, and only where the caller says so: they equal upstream's files, which :func:`load_upstream` reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.model import SspSam
from models.strict_weights import WeightsError, check_fit, copy_tensors
from models.torch_files import read_tensors

OFFICIAL_TO_OURS = (
    ("encoder.", "clip."),
    ("sam.", "sam."),
    # linguistic adapter
    ("clip_proj.", "linguistic_adapter.word_projection."),
    ("text_proj.", "linguistic_adapter.gru."),
    ("phrase_attn.fc.", "linguistic_adapter.word_score."),
    # visual adapter
    ("clip_img_proj.", "visual_adapter.patch_mlp."),
    ("norm_img.", "visual_adapter.patch_layer_norm."),
    ("img2text_attn.", "visual_adapter.word_attention."),
    ("imgtext_proj.", "visual_adapter.word_key."),
    ("img_proj.", "visual_adapter.patch_query."),
    ("tf_scale", "visual_adapter.gaussian_scale"),
    ("tf_sigma", "visual_adapter.gaussian_sigma"),
    # prompt generator
    ("mlp.", "generator.mix."),
    ("reg_token.", "generator.box_token."),
    ("prompt_token.", "generator.prompt_tokens."),
    ("vl_pos_embed.", "generator.positions."),
    ("vl_transformer.encoder.layers.", "generator.layers."),
    ("norm.", "generator.norm."),
    ("bbox_embed.", "box_head."),
    # in every file, never called
    ("img2img_attn.", "published_extras.img2img_attn."),
    ("norm_text_cond_img.", "published_extras.norm_text_cond_img."),
)
"""How official names begin, and how ours do; what follows is the same."""

FRESH_TO_SAVED = (
    ("attn.in_proj_weight", "attn.qkv.weight"),
    ("attn.in_proj_bias", "attn.qkv.bias"),
    ("attn.out_proj.weight", "attn.proj.weight"),
    ("attn.out_proj.bias", "attn.proj.bias"),
)
"""What the official code's first forward renames in the vision blocks that do surgery."""

SAVED_ALIAS = "encoder.visual."
"""Where the saved layout holds the attention of the first surgery block a second time."""

Layout = Literal["saved", "fresh"]
"""``saved`` is what training writes, after a forward; ``fresh`` what a model that never ran would write."""

FrozenPart = Literal["clip", "sam_image_encoder"]
FROZEN_PARTS: dict[FrozenPart, str] = {"clip": "encoder.", "sam_image_encoder": "sam.image_encoder."}
"""Parts that training leaves as upstream published them, and how their official names begin."""

PUBLISHED_SWITCHES: dict[str, dict[str, object]] = {
    "clip": {"letterbox": "centre", "conv_stem": None},
    "sam": {"conv_stem": None, "high_resolution_skips": False, "point_features": False},
    "head": {
        "published_extras": True, "patch_norm": "tokens", "patch_positions": False, "directed_positions": False, "patch_shapes": False,
        "word_tokens": False, "word_identities": False, "point_prompts": False, "presence": False,
    },
}  # fmt: skip
"""How the switches of a configuration must stand: any other way the official code would compute something else from the same file."""

UPSTREAM_CLIP_EXTRAS = ("input_resolution", "context_length", "vocab_size")
"""Plain numbers in OpenAI's files."""


def official_names(model: SspSam, layout: Layout) -> dict[str, str]:
    """Official name -> our name, for all tensors of a network.

    In the saved layout four of our tensors have two official names.

    Raises:
        WeightsError: the configuration is not of the published architecture.
    """
    _require_published_architecture(model.config)
    names = {_official_name(ours): ours for ours in model.state_dict()}
    return dict(_saved_names(names, model)) if layout == "saved" else names


def load_official(source: Path | str | Mapping[str, Tensor], model: SspSam, *, may_lack: Collection[FrozenPart] = ()) -> set[FrozenPart]:
    """Copy a published checkpoint into a network, or raise and leave the network as it was.

    Args:
        source: a file, or the state dict itself; in either layout.
        model: of the same sizes.
        may_lack: frozen parts that the checkpoint need not hold; a part that is there must be complete.

    Returns:
        the parts that the checkpoint lacks: the network keeps its own, and :func:`load_upstream` brings the published ones.

    Raises:
        WeightsError: the file cannot be read or does not fit exactly.
    """
    found = source if isinstance(source, Mapping) else read_tensors(Path(source))
    fit = fit_official(found, model, label="the state dict" if isinstance(source, Mapping) else str(source), may_lack=may_lack)
    own = model.state_dict()
    copy_tensors(found, {official: own[ours] for ours, official in fit.names.items()})
    return set(fit.lacking)


class OfficialFit(NamedTuple):
    """How a published checkpoint fills a network."""

    names: dict[str, str]
    """Our name -> the official one."""
    layout: Layout
    lacking: frozenset[FrozenPart]
    """Frozen parts that are not in it."""


def fit_official(found: Mapping[str, Tensor], model: SspSam, *, label: str, may_lack: Collection[FrozenPart] = ()) -> OfficialFit:
    """Hold a published checkpoint against a network, which may be on the meta device; of its numbers only the repeated ones are read.

    Args:
        found: official name -> tensor.
        model: of the sizes that are expected.
        label: what was read, for messages.
        may_lack: as for :func:`load_official`.

    Raises:
        WeightsError: it does not fit exactly.
    """
    lacking = {part for part in may_lack if not any(name.startswith(FROZEN_PARTS[part]) for name in found)}
    layout = detect_layout(found)
    names = _without(official_names(model, layout), lacking)
    own = model.state_dict()
    check_fit(found, {official: own[ours] for official, ours in names.items()}, source=label, remedy=_remedy(model, found))
    _check_alias(found, names, label)
    return OfficialFit({ours: official for official, ours in names.items()}, layout, frozenset(lacking))


def export_official(model: SspSam, layout: Layout = "saved", *, leave_out: Collection[FrozenPart] = ()) -> dict[str, Tensor]:
    """A network under official names.

    Args:
        model: with the published architecture at any size.
        layout: of the names.
        leave_out: frozen parts that the reader takes from upstream.

    Returns:
        a state dict that shares the network's memory; put it into a dict under ``model`` for a file like the published ones.

    Raises:
        WeightsError: the configuration is not of the published architecture.
    """
    own = model.state_dict()
    return {official: own[ours] for official, ours in _without(official_names(model, layout), leave_out).items()}


def load_upstream(part: FrozenPart, source: Path | str | Mapping[str, Tensor], model: SspSam) -> None:
    """Copy a frozen part from the file that its own authors published: OpenAI's CLIP archive, or a whole SAM checkpoint.

    Args:
        part: which part to fill.
        source: a file, or the state dict itself; of a SAM checkpoint only the image encoder is read.
        model: of the same sizes.

    Raises:
        WeightsError: the file cannot be read or does not fit exactly.
    """
    tensors = source if isinstance(source, Mapping) else read_tensors(Path(source))
    label = "the state dict" if isinstance(source, Mapping) else str(source)
    own = model.state_dict()
    names = fit_upstream(part, tensors, model, label=label)
    copy_tensors(tensors, {upstream: own[ours] for ours, upstream in names.items()})


def fit_upstream(part: FrozenPart, tensors: Mapping[str, Tensor], model: SspSam, *, label: str) -> dict[str, str]:
    """Hold a file of upstream's against the part of a network that it fills; the network may be on the meta device.

    Args:
        part: which part.
        tensors: OpenAI's whole CLIP, or a whole SAM, of which the image encoder counts.
        model: of the sizes that are expected.
        label: what was read, for messages.

    Returns:
        our name -> upstream's.

    Raises:
        WeightsError: it does not fit exactly.
    """
    own_start, cut, upstream_start = {
        "clip": ("clip.", "clip.", ""),
        "sam_image_encoder": ("sam.image_encoder.", "sam.", "image_encoder."),
    }[part]
    names = {ours: ours.removeprefix(cut) for ours in model.state_dict() if ours.startswith(own_start)}
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(upstream_start) and name not in UPSTREAM_CLIP_EXTRAS}
    own = model.state_dict()
    remedy = f"Use the upstream file that configuration {model.config.name!r} was published with"
    check_fit(found, {name: own[ours] for ours, name in names.items()}, source=f"the {part} part of {label}", remedy=remedy)
    return names


def frozen_part_of(official: str) -> FrozenPart | None:
    """The frozen part that an official name belongs to; ``None`` for what training changes."""
    return next((part for part, start in FROZEN_PARTS.items() if official.startswith(start)), None)


def _require_published_architecture(config: SspSamConfig) -> None:
    different = [
        f"{part}.{switch}={getattr(getattr(config, part), switch)!r}"
        for part, switches in PUBLISHED_SWITCHES.items()
        for switch, published in switches.items()
        if getattr(getattr(config, part), switch) != published
    ]
    if different:
        raise WeightsError(
            f"configuration {config.name!r} is not of the published architecture: {', '.join(different)}. Official files hold only "
            "networks with these switches as published; keep this one in a weights folder (models/ssp_sam/weights.py)"
        )


def _official_name(ours: str) -> str:
    for official_start, our_start in OFFICIAL_TO_OURS:
        if ours.startswith(our_start):
            return official_start + ours.removeprefix(our_start)
    raise LookupError(f"OFFICIAL_TO_OURS has no line for {ours}; a new part of the network needs one")


def _saved_names(fresh: Mapping[str, str], model: SspSam) -> Iterator[tuple[str, str]]:
    clip = model.config.clip
    surgery = range(clip.vision_layers - clip.surgery_blocks, clip.vision_layers)
    renamed = {
        f"encoder.visual.transformer.resblocks.{block}.{fresh_end}": (block, saved_end)
        for block in surgery
        for fresh_end, saved_end in FRESH_TO_SAVED
    }
    for official, ours in fresh.items():
        if official not in renamed:
            yield official, ours
            continue
        block, saved_end = renamed[official]
        yield f"encoder.visual.transformer.resblocks.{block}.{saved_end}", ours
        if block == surgery[0]:
            yield SAVED_ALIAS + saved_end, ours


def detect_layout(found: Mapping[str, Tensor]) -> Layout:
    """Which of the two layouts the names of a checkpoint are in; without CLIP both are the same."""
    return "saved" if any(name.startswith("encoder.visual.") and ".attn.qkv." in name for name in found) else "fresh"


def _without(names: Mapping[str, str], parts: Collection[FrozenPart]) -> dict[str, str]:
    starts = tuple(FROZEN_PARTS[part] for part in parts)
    return {official: ours for official, ours in names.items() if not official.startswith(starts)}


def _check_alias(found: Mapping[str, Tensor], names: Mapping[str, str], label: str) -> None:
    """The second copy carries nothing of its own; where it differs, one of the two is not what ran."""
    first: dict[str, str] = {}
    for official, ours in names.items():
        twin = first.setdefault(ours, official)
        if twin != official and not torch.equal(found[twin], found[official]):
            raise WeightsError(
                f"{label} holds one tensor twice, with different values: {twin} and {official}. "
                "The official code writes them equal, so the file was changed by hand or is damaged; get it anew"
            )


def _remedy(model: SspSam, found: Mapping[str, Tensor]) -> str:
    advice = [f"The network is configuration {model.config.name!r}: check that the file is of the same variant"]
    advice += [
        f"for a file without {start}* pass may_lack={part!r} and load that part with load_upstream"
        for part, start in FROZEN_PARTS.items()
        if not any(name.startswith(start) for name in found)
    ]
    return "; ".join(advice)
