"""Published CAT-Seg weights into the base of SAM-MI: one table of names (spec 5.4 to 5.6).

What a checkpoint holds of CLIP belongs to the encoders, not to this network, and is left out here; CAT-Seg reads its fine-tuned CLIP in
another way than the encoders of this project do, so its published figures do not carry over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from models.sam_mi.model import SamMi
from models.strict_weights import check_fit, copy_tensors

AGGREGATOR = "sem_seg_head.predictor.transformer."
OWN_PARTS = ("prompter.", "low.", "high1.", "high2.")
"""What CAT-Seg does not have; begins behind shut gates."""
_TAPS = ("upsample1.", "upsample2.")
_RECOMPUTED = ".attn_mask"

_NAMES = (
    (r"^tap_maps\.to_finer\.", "upsample1."),
    (r"^tap_maps\.to_finest\.", "upsample2."),
    (r"^aggregator\.embed\.", AGGREGATOR + "conv1."),
    (r"^aggregator\.appearance\.", AGGREGATOR + "guidance_projection."),
    (r"^aggregator\.text\.", AGGREGATOR + "text_guidance_projection."),
    (r"^aggregator\.layers\.(\d+)\.guide_norm\.", AGGREGATOR + r"layers.\1.swin_block.guidance_norm."),
    (r"^aggregator\.layers\.(\d+)\.plain\.", AGGREGATOR + r"layers.\1.swin_block.block_1."),
    (r"^aggregator\.layers\.(\d+)\.shifted\.", AGGREGATOR + r"layers.\1.swin_block.block_2."),
    (r"^aggregator\.layers\.(\d+)\.labels\.", AGGREGATOR + r"layers.\1.attention."),
    (r"^decoder\.up1\.guide\.", AGGREGATOR + "decoder_guidance_projection.0."),
    (r"^decoder\.up2\.guide\.", AGGREGATOR + "decoder_guidance_projection.1."),
    (r"^decoder\.up([12])\.mix\.", AGGREGATOR + r"decoder\1.conv.double_conv."),
    (r"^decoder\.up([12])\.up\.", AGGREGATOR + r"decoder\1.up."),
    (r"^decoder\.head\.", AGGREGATOR + "head."),
    (r"(block_[12])\.attention\.", r"\1.attn."),
    (r"(block_[12])\.proj\.", r"\1.attn.proj."),
    (r"(block_[12]\.mlp)\.0\.", r"\1.fc1."),
    (r"(block_[12]\.mlp)\.2\.", r"\1.fc2."),
    (r"(layers\.\d+\.attention)\.mlp\.", r"\1.MLP."),
    (r"(layers\.\d+\.attention)\.padding$", r"\1.padding_tokens"),
    (r"(layers\.\d+\.attention)\.padding_guide$", r"\1.padding_guidance"),
)
"""Our names become theirs by these replacements, one after the other."""


def cat_seg_name(name: str) -> str:
    """What CAT-Seg calls a tensor of the base that is ``name`` here."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def load_cat_seg(network: SamMi, checkpoint: Mapping[str, Tensor]) -> None:
    """Fill the base of a network from a published checkpoint, exactly or not at all; what is SAM-MI's own stays as it is.

    Args:
        network: of a configuration with CAT-Seg's sizes, such as ``cat-seg-vit-b``.
        checkpoint: tensors by their published names.

    Raises:
        WeightsError: a tensor of the base is missing, there is one that nobody expects, or a shape differs.
    """
    tensors = network.state_dict()
    expected = {cat_seg_name(name): tensor for name, tensor in tensors.items() if not name.startswith(OWN_PARTS)}
    found = {
        name: _flat(tensor) if ".padding_" in name else tensor
        for name, tensor in checkpoint.items()
        if name.startswith((AGGREGATOR, *_TAPS)) and not name.endswith(_RECOMPUTED)
    }
    remedy = "Take a checkpoint of the CVPR 2024 version and the configuration of its size"
    check_fit(found, expected, source="the CAT-Seg checkpoint", remedy=remedy)
    copy_tensors(found, expected)


def _flat(tensor: Tensor) -> Tensor:
    """Padding is ``[1, 1, D]`` there and ``[D]`` here."""
    return tensor.reshape(-1)
