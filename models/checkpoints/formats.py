"""What the files of each format must hold: the listing of names and shapes, derived from the networks themselves on the meta device.

For SSP-SAM these listings are compared with those of the published files, name by name, in ``tests/models/ssp_sam/test_checkpoint.py``.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from models.ssp_sam.clip_surgery import SurgeryClip
from models.ssp_sam.config import SamConfig, named_config, sam_vit_b, sam_vit_h, sam_vit_l
from models.ssp_sam.model import SspSam
from models.ssp_sam.sam_masks import build_sam

SAM_SIZES = {"vit-b": sam_vit_b, "vit-l": sam_vit_l, "vit-h": sam_vit_h}
"""Sizes of the published SAMs; any configuration of SSP-SAM names a SAM, too."""


@cache
def unfilled_ssp_sam(sizes: str) -> SspSam:
    """A network of the named configuration without its numbers: names and shapes only, so it takes no memory.

    Raises:
        ValueError: there is no such configuration.
    """
    with torch.device("meta"):
        return SspSam(named_config(sizes))


def sam_listing(sizes: str) -> dict[str, Tensor]:
    """Names and shapes of a whole SAM, as ``segment_anything`` publishes it.

    Raises:
        ValueError: there are no such sizes.
    """
    config: SamConfig = SAM_SIZES[sizes]() if sizes in SAM_SIZES else named_config(sizes).sam
    with torch.device("meta"):
        return dict(build_sam(config).state_dict())


def clip_listing(sizes: str) -> dict[str, Tensor]:
    """Names and shapes of the CLIP of an SSP-SAM configuration, as OpenAI publishes it.

    Raises:
        ValueError: there is no such configuration.
    """
    with torch.device("meta"):
        return dict(SurgeryClip(named_config(sizes).clip).state_dict())
