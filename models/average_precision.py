"""COCO's average precision from matches that are known already, over images with weights: what resampling images asks for.

With every weight 1 it equals the AP of COCO's own tool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.bootstrap import Floats
from models.instance_metrics import ImageMatches

THRESHOLDS = 10
RECALLS = np.linspace(0.0, 1.0, 101)


class MatchTable:
    """Matches of one evaluation, sorted once so that AP can be computed for many weights of its images.

    Args:
        matches: of all images.
        image_ids: every image of the set, those without matches too; their order is that of the weights.
    """

    def __init__(self, matches: Sequence[ImageMatches], image_ids: Sequence[int]) -> None:
        places = {image_id: place for place, image_id in enumerate(image_ids)}
        labels = sorted({match.label for match in matches})
        self._labels = [_LabelMatches([one for one in matches if one.label == label], places) for label in labels]

    def average_precision(self, weights: Floats | None = None) -> float:
        """AP over labels and thresholds; NaN where no label has an object.

        Args:
            weights: float ``[I]``, how often each image counts; once where not given.
        """
        values = [one.average_precision(weights) for one in self._labels]
        defined = [value for value in values if not np.isnan(value)]
        return float(np.mean(defined)) if defined else float("nan")


class _LabelMatches:
    def __init__(self, matches: Sequence[ImageMatches], places: dict[int, int]) -> None:
        self._truth_places = np.array([places[one.image_id] for one in matches], int)
        self._n_truth = np.array([one.n_truth for one in matches], float)
        scores = np.array([score for one in matches for score in one.scores])
        order = np.argsort(-scores, kind="stable")
        self._places = np.repeat(self._truth_places, [len(one.scores) for one in matches])[order]
        ignored = _bits([bits for one in matches for bits in one.ignored])[order]
        hits = _bits([bits for one in matches for bits in one.hits])[order]
        self._right = (hits & ~ignored).astype(float)
        self._wrong = (~hits & ~ignored).astype(float)

    def average_precision(self, weights: Floats | None) -> float:
        of_truth = 1.0 if weights is None else weights[self._truth_places]
        n_truth = float((self._n_truth * of_truth).sum())
        if n_truth == 0:
            return float("nan")
        if self._places.size == 0:
            return 0.0
        of_answers = np.ones(len(self._places)) if weights is None else weights[self._places]
        right = np.cumsum(self._right * of_answers[:, np.newaxis], axis=0)
        wrong = np.cumsum(self._wrong * of_answers[:, np.newaxis], axis=0)
        precision = right / np.maximum(right + wrong, np.spacing(1))
        best_from_here_on = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        found = [_at_recalls(right[:, t] / n_truth, best_from_here_on[:, t]) for t in range(THRESHOLDS)]
        return float(np.mean(found))


def _at_recalls(recall: Floats, precision: Floats) -> Floats:
    """Precision at each of COCO's recalls, 0 for those that are not reached."""
    places = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[places]


def _bits(numbers: Sequence[int]) -> npt.NDArray[np.bool_]:
    shifted: npt.NDArray[np.int64] = np.array(numbers, np.int64)[:, np.newaxis] >> np.arange(THRESHOLDS)
    return np.asarray(shifted & 1, np.bool_)
