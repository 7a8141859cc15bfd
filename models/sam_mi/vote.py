"""Masks whose pixels mostly agree take one label as a whole, up to SAM's own edge.

The correction before it is soft because a doubtful mask must not overwrite what is seen. One that a single label mostly
fills is not doubtful.
"""

from __future__ import annotations

import numpy as np

from models.preprocess import Letterbox, masks_to_image
from models.sam_mi.sam_proposals import SamMasks
from models.semantic_metrics import LabelMap


def vote(masks: SamMasks, voters: LabelMap, start: LabelMap, letterbox: Letterbox, agreement: float = 0.0) -> LabelMap:
    """Every mask takes the label that most of its pixels have, "nothing" included; smaller masks over larger ones.

    Args:
        masks: over CLIP's canvas; enlarged one at a time, for an image may be large.
        voters: label of every pixel, int32 ``[H, W]`` of 0 and above.
        start: what pixels keep that no mask covers.
        letterbox: CLIP's.
        agreement: least share of a mask's pixels, 0..1, that must have that label; other masks change nothing.
    """
    found = start.copy()
    for place in masks.hard.sum(dim=(1, 2)).argsort(descending=True, stable=True).tolist():
        mask = (masks_to_image(masks.logits[place : place + 1], letterbox)[0] > 0).cpu().numpy()
        if not mask.any():
            continue
        votes = np.bincount(voters[mask])
        if votes.max() >= agreement * votes.sum():
            found[mask] = votes.argmax()
    return found
