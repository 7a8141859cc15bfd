"""What was found, and what of it a control shows."""

from __future__ import annotations

from pathlib import Path

from backend.claims import Ask, Best, Claim
from backend.label_plan import LabelSpec, OutputControl
from models import Segment
from tests.factories import make_mask, make_segment, make_settings

DOG = LabelSpec("Dog", ("dog",))
MASK = OutputControl("mask", "brush", "image", (DOG,), "BrushLabels", max_regions=2)
ASK = Ask("dog", MASK, DOG)


def squares(count: int) -> list[Segment]:
    """Segments that do not overlap, the surest last."""
    boxes = [(10 * place, 0, 10 * place + 8, 8) for place in range(count)]
    return [make_segment("dog", 0.5 + 0.01 * place, make_mask(box=box)) for place, box in enumerate(boxes)]


def test_masks_are_made_only_of_what_is_shown(tmp_path: Path) -> None:
    made: list[Segment] = []

    def make(segment: Segment) -> Segment:
        made.append(segment)
        return segment

    found = squares(6)
    best = Best([MASK], make_settings(tmp_path))
    best.add(Claim(ASK, segment.score, lambda segment=segment: make(segment)) for segment in found)  # type: ignore[misc]
    assert [region["score"] for region in best.regions(None)] == [0.55, 0.54]
    assert made == [found[5], found[4]]


def test_claims_may_come_in_portions(tmp_path: Path) -> None:
    best = Best([MASK], make_settings(tmp_path))
    for segment in squares(4):
        best.add([Claim.of(ASK, segment)])
    assert [region["score"] for region in best.regions(None)] == [0.53, 0.52]
