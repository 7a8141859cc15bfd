"""Masks and points for the ablation: damaged masks, and any number of points."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preprocess import Letterbox
from models.sam_mi.canvas import image_cells
from models.sam_mi.region_points import Points
from models.sam_mi.sam_proposals import SamMasks

DAMAGE = 0.1
"""Share of a mask's cells that erosion takes, and share of its size by which it moves."""

Damage = Callable[[Tensor, np.random.Generator], Tensor]
"""Logits float ``[side, side]`` of one mask -> other logits."""


def eroded(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """Without the tenth of its cells that lie nearest to its border."""
    hard = (logits > 0).numpy()
    if not hard.any():
        return logits
    depth = cv2.distanceTransform(np.pad(hard, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    # Of cells equally deep, chance decides.
    order = np.argsort(depth[hard] + rng.uniform(0, 1e-3, hard.sum()))
    lost = np.zeros(int(hard.sum()), np.bool_)
    lost[order[: round(DAMAGE * len(order))]] = True
    gone = torch.zeros_like(logits, dtype=torch.bool)
    gone[torch.from_numpy(hard)] = torch.from_numpy(lost)
    return torch.where(gone, -logits.abs(), logits)


def shifted(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """Moved by a tenth of its size, the root of its area, in a random direction."""
    distance = DAMAGE * float((logits > 0).sum()) ** 0.5
    angle = rng.uniform(0, 2 * np.pi)
    right, down = (2 * distance / logits.shape[-1] * part for part in (np.cos(angle), np.sin(angle)))
    theta = torch.tensor([[[1.0, 0.0, right], [0.0, 1.0, down]]], dtype=logits.dtype)
    grid = F.affine_grid(theta, [1, 1, *logits.shape], align_corners=False)
    return F.grid_sample(logits[None, None], grid, padding_mode="border", align_corners=False)[0, 0]


def eroded_and_shifted(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """Both."""
    return shifted(eroded(logits, rng), rng)


def anywhere(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """At a random place, as if it lay there."""
    down, right = (int(step) for step in rng.integers(0, logits.shape[-1], 2))
    return logits.roll((down, right), (0, 1))


def damaged(masks: SamMasks, damage: Damage, rng: np.random.Generator) -> SamMasks:
    """Every mask damaged; what SAM says of its quality stays."""
    if len(masks.logits) == 0:
        return masks
    return masks._replace(logits=torch.stack([damage(one, rng) for one in masks.logits]))


def exactly(points: Points, count: int, letterbox: Letterbox, side: int) -> Points:
    """The first ``count`` points; where there are fewer, the cells of the image farthest from all of them follow (spec 2.4, step 5).

    Args:
        points: best first.
        count: how many; the cells of the image are the limit.
        letterbox: CLIP's.
        side: of the point grid.
    """
    rows, columns = np.nonzero(image_cells(letterbox, side).numpy())
    free = np.stack([columns, rows], axis=1).astype(np.float64)
    cells = [*points.cells[:count]]
    nearest = np.full(len(free), np.inf)
    for one in cells:
        nearest = np.minimum(nearest, np.hypot(*(free - one).T))
    while len(cells) < min(count, len(free)):
        # With nothing placed yet, the middle of the image comes first.
        far = int(nearest.argmax()) if cells else int(np.hypot(*(free - free.mean(axis=0)).T).argmin())
        cells.append(free[far])
        nearest = np.minimum(nearest, np.hypot(*(free - free[far]).T))
    unmarked = np.zeros((len(cells) - min(count, len(points.cells)), side, side), np.bool_)
    return Points(np.array(cells).reshape(-1, 2), np.concatenate([points.marked[:count], unmarked]))


def whole_grid(letterbox: Letterbox, side: int) -> Points:
    """Every cell of the image."""
    return exactly(Points(np.zeros((0, 2)), np.zeros((0, side, side), np.bool_)), side**2, letterbox, side)
