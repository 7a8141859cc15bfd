"""Which split an image belongs to: by a field of its task, or by shares of all images.

By shares, the address of the image decides and nothing else: new tasks move no old image to another split, and two tasks on one image are
never on both sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import BadRequest

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}")
UNSPLIT = "unsplit"
"""Split of tasks whose field names none."""

MOST_SPLITS = 20


@dataclass(frozen=True, slots=True)
class Splits:
    """How images are split; without a field and shares they are not.

    Args:
        field: the task's field that names the split.
        shares: names with their shares of the images, in order; any positive numbers.
    """

    field: str | None = None
    shares: tuple[tuple[str, float], ...] = ()

    def split_of(self, data: Mapping[str, Any], uri: str) -> str | None:
        """The split of an image; ``None`` where there are no splits."""
        if self.field is not None:
            value = str(data.get(self.field, "")).strip()
            return value if _NAME.fullmatch(value) else UNSPLIT
        if not self.shares:
            return None
        total = sum(share for _, share in self.shares)
        place = int.from_bytes(hashlib.sha256(uri.encode(errors="replace")).digest()[:8], "big") / 2**64 * total
        for name, share in self.shares:
            place -= share
            if place < 0:
                return name
        return self.shares[-1][0]


def parse_shares(text: str) -> tuple[tuple[str, float], ...]:
    """Read ``train=8,val=1,test=1``.

    Raises:
        BadRequest: a name or a share is none, or a name comes twice.
    """
    shares = []
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not _NAME.fullmatch(name) or not 0 < share < 1e6:
            raise BadRequest(f"cannot read the split {part!r:.60}; expected names with positive shares, as in train=8,val=1,test=1")
        shares.append((name, share))
    if len({name for name, _ in shares}) != len(shares) or len(shares) > MOST_SPLITS:
        raise BadRequest(f"the splits {text!r:.100} name one twice, or more than {MOST_SPLITS}; give each name once")
    return tuple(shares)
