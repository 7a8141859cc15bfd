"""How doubtful an answer is, from what the engine knows about it itself. NumPy only, and pure: no ground truth, no second look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from models.answer import Evidence, Judged, JudgingEngine
from models.engine import Engine
from models.proposals import Proposal
from models.types import BoolMask, RgbImage, Segment

STABILITY_OFFSET = 1.0
"""So far, in logits, the threshold of a mask is moved to see whether the mask follows; as SAM's own mask generator does."""


def mask_stability(logits: npt.NDArray[np.floating], offset: float = STABILITY_OFFSET) -> float:
    """IoU of a mask drawn strictly and drawn generously, 0..1 (the stability score of Segment Anything's mask generator).

    Args:
        logits: float, any shape.
        offset: how far the threshold is moved up and down.

    Returns:
        1 also where neither mask has a pixel: an empty mask that stays empty is stable.
    """
    strict, generous = np.count_nonzero(logits > offset), np.count_nonzero(logits > -offset)
    return strict / generous if generous else 1.0


def binary_entropy(probability: float) -> float:
    """How open a yes or no is, in bits: 0 where it is certain, 1 at one half."""
    p = min(max(probability, 0.0), 1.0)
    return 0.0 if p in (0.0, 1.0) else float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def map_entropy(probabilities: npt.NDArray[np.floating]) -> float:
    """Mean openness of a relevance map where it claims something, 0..1.

    Every place counts as much as it is held relevant; the plain mean would only tell how small the object is.

    Args:
        probabilities: float ``[N]``, 0..1.
    """
    p = np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return float((p * entropy).sum() / p.sum())


def disagreement(one: BoolMask, other: BoolMask) -> float:
    """1 - IoU of two answers, bool ``[H, W]``, to two ways of saying the same; 0 where both are empty."""
    union = np.count_nonzero(one | other)
    return 1.0 - np.count_nonzero(one & other) / union if union else 0.0


def expected_error(evidence: Evidence) -> float:
    """What the answer is expected to lack to an IoU of 1.

    A mask that was given is right as far as its own guess says, if its object is there at all; silence is wrong if it is.
    """
    return 1.0 - evidence.presence * evidence.predicted_iou if evidence.is_found else evidence.presence


def unstable_error(evidence: Evidence) -> float:
    """As :func:`expected_error`, with a mask that hangs on its threshold worth less."""
    if not evidence.is_found:
        return evidence.presence
    return 1.0 - evidence.presence * evidence.predicted_iou * evidence.stability


def answer_doubt(evidence: Evidence) -> float:
    """What a person would tell by correcting the answer, 0..1: half whether anything is there at all, half how well it is outlined.

    The first is the entropy of the decision, in bits; the second what the mask lacks, by its own guess and by how far it hangs on its
    threshold, as far as there is something to be outlined.
    """
    return 0.5 * (binary_entropy(evidence.presence) + evidence.presence * (1.0 - evidence.predicted_iou * evidence.stability))


def proposal_doubt(proposal: Proposal) -> float:
    """The same of one mask that was proposed for a list of labels; its score stands for presence and quality alike."""
    return answer_doubt(Evidence(is_found=True, presence=proposal.score, predicted_iou=1.0, stability=proposal.stability))


CANDIDATES: Mapping[str, Callable[[Evidence], float]] = MappingProxyType(
    {
        "presence entropy": lambda evidence: binary_entropy(evidence.presence),
        "predicted IoU": lambda evidence: 1.0 - evidence.predicted_iou,
        "mask stability": lambda evidence: 1.0 - evidence.stability,
        "relevance entropy": lambda evidence: evidence.relevance_entropy or 0.0,
        "expected error": expected_error,
        "expected error x stability": unstable_error,
        "presence entropy + missing mask": answer_doubt,
    }
)
"""Ways to tell the doubt of one phrase, 0..1, that ``benchmarks/doubt.py`` compares."""


def mean_in_play(doubts: Sequence[float], evidences: Sequence[Evidence]) -> float:
    """Mean doubt of the phrases that were found or might be there, each by its presence: sure absences say nothing about the others."""
    weights = np.array([evidence.presence for evidence in evidences])
    return float(np.average(doubts, weights=weights)) if weights.sum() > 0 else 0.0


def of_found(sum_up: Callable[[Sequence[float]], float], doubts: Sequence[float], evidences: Sequence[Evidence]) -> float:
    """Doubt of the phrases that were found; 1 when there is none: silence is what new images get from a model that has to learn them."""
    found = [doubt for doubt, evidence in zip(doubts, evidences, strict=True) if evidence.is_found]
    return float(sum_up(found)) if found else 1.0


AGGREGATES: Mapping[str, Callable[[Sequence[float], Sequence[Evidence]], float]] = MappingProxyType(
    {
        "sum": lambda doubts, _: task_doubt(doubts),
        "mean": lambda doubts, _: float(np.mean(doubts)),
        "max": lambda doubts, _: float(np.max(doubts)),
        "mean in play": mean_in_play,
        "mean of found": partial(of_found, np.mean),
        "max of found": partial(of_found, max),
    }
)
"""Ways to make one doubt of a task out of those of its phrases, for the same comparison."""


def task_doubt(doubts: Sequence[float]) -> float:
    """The doubt of a task, 0..1: the sum S of :func:`answer_doubt` over all answers, as S / (1 + S); 1 where nothing was asked or listed.

    The sum tells how much there is to learn from correcting the task, and so grows with what the task shows. The largest doubt of what was
    found tells better how wrong the masks are (``benchmarks/doubt.py``), but where a model does not know the artwork, it puts images first
    that show hardly anything of what is asked. ``benchmarks/active_learning.py`` measures what is learned from the tasks that come first.
    """
    total = float(np.sum(doubts))
    return total / (1.0 + total) if len(doubts) else 1.0


def segment_judged(engine: Engine, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
    """Ask any engine for phrases, and for what it knows about its answers.

    Args:
        engine: where it does not judge itself, the scores of its segments take the place of what it would say.
        image: uint8 ``[H, W, 3]`` RGB.
        phrases: as :meth:`models.engine.Engine.segment` takes them.
    """
    if isinstance(engine, JudgingEngine):
        return engine.segment_judged(image, phrases)
    return [Judged(segments, _evidence_of_scores(segments)) for segments in engine.segment(image, phrases)]


def _evidence_of_scores(segments: Sequence[Segment]) -> Evidence:
    # Of the silence of such an engine nothing is known: an even chance.
    score = float(np.mean([segment.score for segment in segments])) if segments else 0.5
    return Evidence(is_found=bool(segments), presence=score, predicted_iou=1.0, stability=1.0)
