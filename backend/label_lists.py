"""Labels that are looked for together: which controls have them, the one question to the engine, and its answers as claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from backend.claims import Ask, Claim
from backend.errors import LabelConfigError
from backend.label_plan import LabelPlan, LabelSpec, OutputControl
from models import Engine, Proposal, ProposalOptions, ProposingEngine, RgbImage, Segment, proposal_doubt

MOST_PROPOSALS = 300
"""Far more than all controls of an image show: each control's own limit comes later, and none shall starve another."""


def listed_controls(plan: LabelPlan, image_name: str, engine: Engine, *, has_prompts: bool) -> frozenset[OutputControl]:
    """The controls of an image whose labels are looked for together; see :meth:`backend.label_plan.LabelPlan.model_of`.

    Where that is nobody's wish but the default, an engine that takes no lists, or has learned phrases from people's corrections, is asked
    for one label after the other.

    Args:
        has_prompts: the task brings prompts.

    Raises:
        LabelConfigError: a control says ``model="sam-mi"``, and the engine takes no lists.
    """
    controls = [control for control in plan.outputs if control.to_name == image_name]
    if isinstance(engine, ProposingEngine):
        in_words = has_prompts or not engine.prefers_lists
        return frozenset(control for control in controls if plan.model_of(control, in_words=in_words) == "sam-mi")
    for control in controls:
        if control.model == "sam-mi":
            raise LabelConfigError(
                f'{control.tag} {control.name!r} says model="sam-mi", but the model that serves, {engine.name!r}, takes no list of labels; '
                'write model="ssp-sam", or serve another profile'
            )
    return frozenset()


def claims_of_list(asks: Sequence[Ask], image: RgbImage, engine: Engine) -> tuple[Iterator[Claim], list[float]]:
    """Look for all names at once, so that they compete for the pixels.

    Args:
        asks: one per name and label; at least one.
        image: uint8 ``[H, W, 3]``.
        engine: one that takes lists, as :func:`listed_controls` has made sure.

    Returns:
        A claim per object of things and one per label of stuff; and the doubts of all that was found, shown or not.
    """
    assert isinstance(engine, ProposingEngine), "listed_controls lists nothing for another engine"
    by_name: dict[str, list[Ask]] = {}
    for ask in asks:
        by_name.setdefault(_tidy(ask.phrase), []).append(ask)
    meant = list(by_name.values())
    stuff = frozenset(same[0].phrase for same in meant if all(ask.label.is_stuff for ask in same))
    options = ProposalOptions(max_proposals=MOST_PROPOSALS, stuff=stuff, label_map=False)
    found = engine.propose(image, [same[0].phrase for same in meant], options=options)
    return _claims(meant, found.proposals), [proposal_doubt(one) for one in found.proposals]


def _claims(meant: Sequence[Sequence[Ask]], proposals: Sequence[Proposal]) -> Iterator[Claim]:
    parts: dict[tuple[OutputControl, LabelSpec], list[tuple[Ask, Proposal]]] = {}
    for one in proposals:
        for ask in meant[one.label_index]:
            if ask.label.is_stuff:
                parts.setdefault((ask.control, ask.label), []).append((ask, one))
            else:
                yield Claim(ask, one.score, one.segment)
    for same in parts.values():
        ask, best = max(same, key=lambda part: part[1].score)
        yield Claim(ask, best.score, partial(_together, [one for _, one in same]))


def _together(parts: Sequence[Proposal]) -> Segment:
    """All of it as one segment. The masks are finer than the map of labels, and more of them is right where the words are wrong."""
    best = max(parts, key=lambda one: one.score)
    mask = best.mask()
    for one in parts:
        mask |= one.mask()
    return Segment(best.label, mask, best.score)


def _tidy(name: str) -> str:
    """What two spellings of a name have in common; the engine would find only the first of them."""
    return " ".join(name.casefold().split())
